"""Sorts and the k best with a thread for every element: the bits of the loop interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.fusion import sorting
from graphc.ir.loops.ir import Kernel
from graphc.ir.loops.kernel_printer import kernel_text
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.lower import mapping
from graphc_cuda.lower.mapping import ELEMENT
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.all_kernels import table
from tests.backends.cuda.executors import executors
from tests.backends.cuda.kernel_runs import check_kernel

MOST_REGISTERS = 40
WAYS: dict[str, Callable[[gx.Tensor, int], gx.Tensor]] = {
    "sort": lambda x, axis: gx.sort(x, axis=axis),
    "sort_down": lambda x, axis: gx.sort(x, axis=axis, descending=True),
    "argsort": lambda x, axis: gx.argsort(x, axis=axis),
    "argsort_down": lambda x, axis: gx.argsort(x, axis=axis, descending=True),
    "topk": lambda x, axis: gx.topk(x, 5, axis=axis)[1],
}
# all that keys are made of: 8, 16, 32 and 64 bits, signs, NaN, one bit
DTYPES = "bool", "int8", "uint8", "bfloat16", "float16", "float32", "uint32", "int64", "float64"


def sort_kernel(way: str, shape: tuple[int | str, ...], axis: int, dtype: str) -> Kernel:
    """The one kernel of a sort."""
    x = gx.input("x", shape, dtype=dtype)
    compiled = gx.compile([x], [WAYS[way](x, axis)], target="cuda-simulate")
    return next(k for k in compiled.program.schedule.kernels if k.spread)


def few_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Many ties."""
    return rng.integers(0, 7, shape)


def odd_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Ties, both zeros, infinities and both NaN."""
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5])
    return np.where(rng.random(shape) < 0.5, rng.choice(special, shape), rng.normal(size=shape))


def draw_for(dtype: str) -> Callable[[np.random.Generator, tuple[int, ...]], Any]:
    """Values with ties, and whatever else a dtype has."""
    return odd_values if "float" in dtype else few_values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_dtypes(way: str, dtype: str) -> None:
    kernel = sort_kernel(way, (2, 193), 1, dtype)
    launches = check_kernel(kernel, {}, draw_for(dtype))
    assert {x.segment.mode for x in launches} == {ELEMENT}


@pytest.mark.parametrize(
    ("shape", "axis"), [((161,), 0), ((256, 2), 0), ((2, 257, 3), 1), ((5, 512), 1), ((1031,), 0)]
)
@pytest.mark.parametrize("way", ["argsort", "sort_down", "topk"])
def test_shapes(way: str, shape: tuple[int, ...], axis: int) -> None:
    check_kernel(sort_kernel(way, shape, axis, "float32"), {}, odd_values, seed=5)


@pytest.mark.parametrize("k", [1, 2, 63, 64, 65, 200, 333])
@pytest.mark.parametrize("largest", [False, True])
def test_how_many_are_wanted(k: int, largest: bool) -> None:
    x = gx.input("x", (2, 333), dtype="int64")
    y = gx.topk(x, k, axis=1, largest=largest)[1]
    compiled = gx.compile([x], [y], target="cuda-simulate")
    (kernel,) = (k for k in compiled.program.schedule.kernels if k.spread)
    check_kernel(kernel, {}, few_values)


@executors
@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_threads(executor: str, seed: int) -> None:
    kernel = sort_kernel("argsort", (163,), 0, "float32")
    check_kernel(kernel, {}, odd_values, executor=executor, seed=seed)


@pytest.mark.parametrize("way", ["argsort", "sort_down"])
def test_a_row_that_threads_of_a_cpu_share(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MIN_SHARED_ELEMENTS", 300)
    launches = check_kernel(sort_kernel(way, (2, 400), 1, "int8"), {}, few_values)
    assert {x.segment.mode for x in launches} == {ELEMENT}


def test_any_number_of_rows() -> None:
    kernel = sort_kernel("topk", ("rows", 250), 1, "float16")
    for rows in (1, 5):
        check_kernel(kernel, {"rows": rows}, odd_values)


def of_any_size() -> list[Kernel]:
    """An order and the best of rows whose size, and k, are known at the call."""
    n = gx.dim("n")
    x = gx.input("x", ("rows", n + 3))
    outputs = [gx.argsort(x, axis=1), gx.topk(x, n, axis=1)[1]]
    compiled = gx.compile([x], outputs, target="cuda-simulate")
    return [k for k in compiled.program.schedule.kernels if k.spread]


@pytest.mark.parametrize("n", [0, 1, 61, 62, 197])
def test_sizes_that_the_call_knows(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "SMALL", 0)
    kernels = of_any_size()
    assert len(kernels) == 2
    for kernel in kernels:
        launches = check_kernel(kernel, {"rows": 2, "n": n}, odd_values)
        assert n == 0 or {x.segment.mode for x in launches} == {ELEMENT}


def test_each_size_has_the_same_body_again() -> None:
    for kernel in of_any_size():
        assert kernel.spread is not None
        twice = [kernel.spread({"rows": 2, "n": 100}) for _ in range(2)]
        first, second = (kernel_text(replace(kernel, body=body)) for body in twice)
        assert first == second


def test_short_rows_are_counted() -> None:
    x = gx.input("x", (3, 160))
    kernels: Sequence[Kernel] = gx.compile(
        [x], [gx.argsort(x, axis=1)], target="cuda-simulate"
    ).program.schedule.kernels
    assert not any(k.spread for k in kernels)


def test_a_plan_has_places_for_what_is_merged() -> None:
    x = gx.input("x", (3, 700))
    outputs = [gx.argsort(x, axis=1), gx.topk(x, 9, axis=1)[0]]
    compiled = gx.compile([x], outputs, target="cuda-simulate")
    data = np.random.default_rng(0).integers(0, 50, (3, 700)).astype("float32")
    order, best = compiled(data)
    assert np.array_equal(order, np.argsort(data, axis=1, kind="stable"))
    assert np.array_equal(best, np.sort(data, axis=1)[:, ::-1][:, :9])


def sorts() -> Program:
    """Words of one column and of two, values alone, and the best."""
    x, z = gx.input("x", (1 << 12,)), gx.input("z", (3, 500), dtype="int64")
    outputs = [gx.topk(x, 10)[1], gx.argsort(z, axis=1), gx.sort(z, axis=1)]
    compiled = gx.compile([x, z], outputs, target="cuda-simulate")
    return plan_launches(compiled.program, {}).program


@pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not here")
def test_nothing_spills() -> None:
    rows = table([("sorts", sorts)])
    assert [row for row in rows if "error" in row] == []
    assert max(row["spill_stores"] + row["spill_loads"] for row in rows) == 0
    assert max(row["registers"] for row in rows) <= MOST_REGISTERS
