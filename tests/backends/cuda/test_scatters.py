"""Updates at places that data decides, spread over threads: the bits of the loop interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.lower import mapping, scatters
from graphc_cuda.lower.mapping import map_kernel
from graphc_cuda.lower.reshape import reshape
from graphc_cuda.lower.scatters import spread_updates
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.all_kernels import table
from tests.backends.cuda.executors import executors
from tests.backends.cuda.kernel_runs import check_kernel, draw_arrays

ROWS = 7
MOST_REGISTERS = 40


@pytest.fixture(params=["compared", "sorted"])
def small(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A few updates are worth being spread, in one form or the other."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(scatters, "MIN_UPDATES", 1)
    if request.param == "sorted":
        monkeypatch.setattr(scatters, "MAX_COMPARED", 0)


def kernels_of(
    count: tuple[int, ...], columns: tuple[int, ...], how: str, dtype: str = "float32"
) -> Sequence[Kernel]:
    """The kernels of updates of the rows of a table."""
    x = gx.input("x", (ROWS, *columns), dtype=dtype)
    i = gx.input("i", count, dtype="int32")
    u = gx.input("u", (*count, *columns), dtype=dtype)
    y: Any = getattr(x.at[i], how)(u)
    return gx.compile([x, i, u], [y], target="cuda-simulate").program.schedule.kernels


def check(
    kernels: Sequence[Kernel], low: int, high: int, executor: str = "vector", seed: int = 0
) -> int:
    """Compare the bits for indices from low to high; how many launches the longest has."""
    most = 0
    for kernel in kernels:
        arrays = draw_arrays(kernel, {})
        rng = np.random.default_rng(3)
        for buffer in kernel.reads:
            if buffer.dtype.is_integer and buffer.name.startswith("i"):
                arrays[buffer.name][...] = rng.integers(low, high, arrays[buffer.name].shape)
        launches = check_kernel(kernel, {}, arrays=arrays, executor=executor, seed=seed)
        most = max(most, len(launches))
    return most


@pytest.mark.parametrize("how", ["add", "set", "max", "multiply"])
@pytest.mark.parametrize("count", [(1,), (2,), (17,), (131,), (5, 7)])
def test_updates_of_rows(small: None, how: str, count: tuple[int, ...]) -> None:
    assert check(kernels_of(count, (5,), how), -ROWS, ROWS) >= (3 if count != (1,) else 1)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int32"])
@pytest.mark.parametrize("columns", [(), (3,), (2, 3)])
def test_columns_and_dtypes(small: None, dtype: str, columns: tuple[int, ...]) -> None:
    check(kernels_of((37,), columns, "add", dtype), 0, ROWS)
    check(kernels_of((37,), columns, "set", dtype), 0, 2)


def test_places_outside_fail_and_are_left_out(small: None) -> None:
    check(kernels_of((23,), (3,), "add"), -2 * ROWS, 2 * ROWS)
    check(kernels_of((23,), (3,), "set"), -2 * ROWS, 2 * ROWS)


@pytest.mark.parametrize("how", ["add", "set"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 37), 1), ((29, 2), 0), ((2, 23, 3), 1)])
def test_rows_with_places_of_their_own(
    small: None, monkeypatch: pytest.MonkeyPatch, how: str, shape: tuple[int, ...], axis: int
) -> None:
    monkeypatch.setattr(scatters, "MIN_UPDATES_OF_ROWS", 1)
    table = (*shape[:axis], ROWS, *shape[axis + 1 :])
    x, u = gx.input("x", table), gx.input("u", shape)
    i = gx.input("i", shape, dtype="int32")
    y: Any = gx.put_along_axis(x, i, u, axis, how)
    kernels = gx.compile([x, i, u], [y], target="cuda-simulate").program.schedule.kernels
    assert check(kernels, -ROWS, ROWS) >= 3


def test_no_update_at_all(small: None) -> None:
    check(kernels_of((0,), (3,), "add"), 0, ROWS)


def embedding(count: int) -> Sequence[Kernel]:
    """A step that updates the rows of a table that are used."""
    i = gx.input("i", (count,), dtype="int32")
    loss = (gx.nn.Embedding(50, 4)(i) ** 2).mean()
    updates = gx.optim.Adagrad(0.1).minimize(loss)
    return gx.compile([i], loss, updates, target="cuda-simulate").program.schedule.kernels


def test_first_occurrences_and_sparse_rows(small: None) -> None:
    assert check(embedding(41), 0, 50) >= 3


def test_few_updates_stay_in_order() -> None:
    for kernel in embedding(scatters.MIN_UPDATES - 1):
        assert spread_updates(kernel, {}) is kernel


def test_the_launches_of_an_embedding() -> None:
    (kernel,) = [k for k in embedding(8192) if k.name.startswith("scatter_add")]
    assert [str(s) for s in map_kernel(reshape(kernel, {}), {})] == [
        "element: 200 points",  # zeros
        "element: 8192 points",  # keys
        "rows: 8192 of 16 threads",  # what comes before
        "element: 32768 points",
    ]


def test_the_launches_of_many_updates() -> None:
    (kernel,) = [k for k in embedding(1 << 20) if k.name.startswith("scatter_add")]
    zeros, *rest, chains = [str(s) for s in map_kernel(reshape(kernel, {}), {})]
    assert (zeros, chains) == ("element: 200 points", "element: 4194304 points")
    # keys, words, runs of 64, 14 merges, the order, lengths
    assert [text.split(",")[0] for text in rest] == ["element: 1048576 points"] * 19


def updates() -> Program:
    """Many updates that add, and many that overwrite."""
    x, i = gx.input("x", (90, 3)), gx.input("i", (150,), dtype="int32")
    u = gx.input("u", (150, 3))
    outputs = [x.at[i].add(u), x.at[i].set(u)]
    compiled = gx.compile([x, i, u], outputs, target="cuda-simulate")
    return plan_launches(compiled.program, {}).program


@pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not here")
def test_nothing_spills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(scatters, "MAX_COMPARED", 0)
    rows = table([("updates", updates)])
    assert [row for row in rows if "error" in row] == []
    assert max(row["spill_stores"] + row["spill_loads"] for row in rows) == 0
    assert max(row["registers"] for row in rows) <= MOST_REGISTERS


@executors
def test_any_order_of_threads(small: None, executor: str) -> None:
    check(kernels_of((33,), (2,), "add"), -ROWS, ROWS, executor, seed=3)


def test_updates_that_see_other_places_stay_in_order(small: None) -> None:
    x = gx.input("x", (64, 3))
    for kernel in gx.compile(
        [x], [gx.cumulative_sum(x, axis=0)], target="cuda-simulate"
    ).program.schedule.kernels:
        assert spread_updates(kernel, {}) is kernel
