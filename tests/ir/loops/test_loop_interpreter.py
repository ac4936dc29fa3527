"""The interpreter of the loop level: order of summation, guards, checks, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.dims import Dim
from graphc.ir.loops import ir
from graphc.ir.loops.combine import MEAN_M2, SUM
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.types import bool_, int32, int64
from graphc.testing import assert_close
from tests.ir.loops.nests import at as place
from tests.ir.loops.nests import (
    axes,
    buffer,
    dot,
    e,
    inside,
    lanes,
    load,
    number,
    parallel,
    reduction,
    refs,
    store,
)
from tests.ir.loops.nests import sequential as loop

M, N = Dim("m"), Dim("n")


def wide_range(*shape: int) -> Any:
    """Numbers whose sums depend on the order."""
    random = np.random.default_rng(0)
    return (random.normal(size=shape) * 10.0 ** random.uniform(-3, 3, shape)).astype(np.float32)


def ordered_sum(steps: Any) -> Any:
    """Sum (lane steps, lanes) in blocks of lane steps, blocks in order, lanes as a tree."""
    total = np.zeros(steps.shape[1], np.float32)
    for first in range(0, len(steps), ir.BLOCK):
        block = np.zeros_like(total)
        for step in steps[first : first + ir.BLOCK]:
            block = block + step
        total = total + block
    while len(total) > 1:
        half = len(total) // 2
        total = total[:half] + total[half:]
    return total[0]


def in_lanes(row: Any) -> Any:
    """A row as lane steps, zeros after its end."""
    padded = np.zeros(-(-len(row) // ir.LANES) * ir.LANES, np.float32)
    padded[: len(row)] = row
    return padded.reshape(-1, ir.LANES)


def total_of(nest: Any, x: ir.Buffer, total: ir.Ref, array: Any) -> Any:
    out = buffer("out")
    result = np.zeros((), np.float32)
    kernel = ir.Kernel("total", (x,), (out,), (nest, store(out, (), total)))
    dims = dict(zip(("m", "n"), array.shape[::-1])) if array.ndim == 2 else {"n": len(array)}
    run_kernel(kernel, {"x": array, "out": result}, {"m": 0, **dims})
    return result[()]


@pytest.mark.parametrize("count", [0, 1, 15, 17, 4096 + 16 + 5])
@pytest.mark.parametrize("along_lanes", [True, False])
def test_order_of_a_sum(count: int, along_lanes: bool) -> None:
    x, (i,), (total,) = buffer("x", N), axes("i"), refs("total")
    nest = reduction(i, N, SUM, (total,), [load(x, i)], along_lanes=along_lanes)
    array = wide_range(count)
    wanted = ordered_sum(in_lanes(array) if along_lanes else array[:, None])
    assert total_of(nest, x, total, array) == wanted


@pytest.mark.parametrize("shape", [(3, 20), (140, 37)])
def test_order_of_a_sum_over_rows_of_lanes(shape: tuple[int, int]) -> None:
    x, (i, j), (total,) = buffer("x", N, M), axes("i j"), refs("total")
    accumulator = ir.Accumulator(SUM, (total,))
    step = ir.Accumulate(accumulator, (load(x, i, j),))
    row = ir.Loop(j, e.extent(M), ir.SEQUENTIAL, (step,), lanes=True)
    nest = loop(i, N, row, into=(accumulator,))
    array = wide_range(*shape)
    steps = np.concatenate([in_lanes(row) for row in array])
    out = buffer("out")
    result = np.zeros((), np.float32)
    kernel = ir.Kernel("total", (x,), (out,), (nest, store(out, (), total)))
    run_kernel(kernel, {"x": array, "out": result}, {"n": shape[0], "m": shape[1]})
    assert result == ordered_sum(steps)


def test_a_dot_is_one_chain_of_fma() -> None:
    x, (i,), (total,) = buffer("x", N), axes("i"), refs("total")
    array = wide_range(700)
    got = total_of(dot(total, [(i, N)], load(x, i), load(x, i)), x, total, array)
    chain = np.float32(0)
    for v in array:
        chain = np.float32(np.float64(v) * np.float64(v) + np.float64(chain))
    assert got == chain


def test_moments_along_lanes() -> None:
    x, out, (i,) = buffer("x", N), buffer("out", 3), axes("i")
    names = refs("count mean m2")
    nest = reduction(i, N, MEAN_M2, names, [number(1.0), load(x, i), number(0.0)], along_lanes=True)
    body = (nest, *(store(out, (k,), name) for k, name in enumerate(names)))
    array, result = wide_range(37) + 100, np.zeros(3, np.float32)
    run_kernel(ir.Kernel("k", (x,), (out,), body), {"x": array, "out": result}, {"n": 37})
    assert_close(result, [37, array.mean(), array.var() * 37], each=True)


def test_guards_touch_nothing() -> None:
    x, y = buffer("x", 2), buffer("y", 4)
    (i,) = axes("i")
    place_before = e.plus(place(i), -1)
    known = ir.all_of(inside(place_before, 2))
    odd = e.eq(e.modulo(place(i), 2), number(1, int64))
    body = lanes(i, 4, store(y, (i,), load(x, place_before, where=known), odd))
    arrays = {"x": np.float32([5, 6]), "y": np.full(4, 9, np.float32)}
    assert run_kernel(ir.Kernel("k", (x,), (y,), (body,)), arrays, {}) is None
    np.testing.assert_array_equal(arrays["y"], [9, 5, 9, 0])


def test_checks_report_the_lowest_code_and_go_on() -> None:
    x, y, (i,) = buffer("x", N, dtype=int32), buffer("y", N, dtype=int32), axes("i")
    zero, ten = number(0, int32), number(10, int32)
    body = parallel(
        i, N,
        ir.Check(e.lt(load(x, i), ten), 7),
        ir.Check(e.lt(zero, load(x, i)), 3),
        store(y, (i,), load(x, i)),
    )  # fmt: skip
    kernel = ir.Kernel("k", (x,), (y,), (body,))
    for values, code in (([1, 2], None), ([1, 11], 7), ([11, 0], 3)):
        arrays = {"x": np.array(values, np.int32), "y": np.zeros(2, np.int32)}
        assert run_kernel(kernel, arrays, {"n": 2}) == code
        np.testing.assert_array_equal(arrays["y"], values)


def test_scratch_starts_as_poison() -> None:
    dtypes = {"f": np.float32, "i": np.int32, "b": np.bool_}
    found = {}
    for name, dtype in zip(dtypes, (buffer("x").dtype, int32, bool_)):
        scratch, out = buffer("s", dtype=dtype), buffer("out", dtype=dtype)
        body = (ir.Scratch(scratch), store(out, (), load(scratch)))
        arrays = {"out": np.zeros((), dtypes[name])}
        run_kernel(ir.Kernel("k", (), (out,), body), arrays, {})
        found[name] = arrays["out"][()]
    assert np.isnan(found["f"])
    assert found["i"] == 2**31 - 1
    assert found["b"]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_index_outside_is_an_error(wrong: int) -> None:
    x, y = buffer("x", 3), buffer("y", 1)
    arrays = {"x": np.zeros(3, np.float32), "y": np.zeros(1, np.float32)}
    with pytest.raises(IndexError, match=rf"x\[{wrong}\]: the shape is \(3,\)"):
        run_kernel(ir.Kernel("k", (x,), (y,), (store(y, (0,), load(x, wrong)),)), arrays, {})


def test_an_array_of_another_type_is_an_error() -> None:
    x, y = buffer("x", N), buffer("y", N)
    (i,) = axes("i")
    kernel = ir.Kernel("copy", (x,), (y,), (lanes(i, N, store(y, (i,), load(x, i))),))
    good = np.zeros(3, np.float32)
    for array in (np.zeros(4, np.float32), np.zeros(3), np.zeros((3, 1), np.float32)):
        with pytest.raises(ValueError, match=r"copy: x f32\[n\] is"):
            run_kernel(kernel, {"x": array, "y": good}, {"n": 3})
