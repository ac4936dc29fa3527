"""Chains cut in pieces: the bits of the loop interpreter, and what the cut kernel looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import graphc as gx
from graphc.errors import VerifyError
from graphc.ir.loops.ir import Kernel, Loop
from graphc.ir.loops.kernel_printer import kernel_text
from graphc_cuda.lower import mapping, pieces
from graphc_cuda.lower.mapping import map_kernel
from graphc_cuda.lower.pieces import cut_chains
from graphc_cuda.lower.reshape import reshape
from tests.backends.cuda.kernel_runs import check_kernel

Make = Callable[[gx.Tensor], gx.Tensor]


def kernels_of(shape: tuple[int, ...], make: Make, dtype: str = "float32") -> tuple[Kernel, ...]:
    """The kernels of a function of one input."""
    x = gx.input("x", shape, dtype=dtype)
    compiled = gx.compile([x], [make(x)], target="cuda-simulate")
    return tuple(compiled.program.schedule.kernels)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains of small kernels are worth being cut."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(pieces, "FREE_STEPS", 4)
    monkeypatch.setattr(pieces, "HEAVY", 2)
    monkeypatch.setattr(pieces, "MIN_STEPS", 1)


def launches(shape: tuple[int, ...], make: Make, dtype: str = "float32") -> list[int]:
    """How many launches each kernel has; all of them leave the interpreter's bits."""
    return [len(check_kernel(k, {})) for k in kernels_of(shape, make, dtype)]


@pytest.mark.parametrize("rows", [513, 769])
def test_sums_of_columns(small: None, rows: int) -> None:
    assert launches((rows, 3), lambda x: gx.sum(x, axis=0) * 2.0 + 1.0) == [2]


@pytest.mark.parametrize("rows", [0, 1, 7, 300])
def test_short_chains_stay_whole(small: None, rows: int) -> None:
    assert launches((rows, 3), lambda x: gx.sum(x, axis=0)) == [1]


@pytest.mark.parametrize("dtype", ["int32", "float64", "bfloat16"])
@pytest.mark.parametrize("make", [gx.max, gx.min, gx.argmax], ids=["max", "min", "argmax"])
def test_extremes_of_columns(small: None, dtype: str, make: Callable[..., gx.Tensor]) -> None:
    for rows in (3, 13, 31):
        launches((rows, 5), lambda x: make(x, axis=0), dtype)
    assert launches((31, 5), lambda x: make(x, axis=0), dtype)[0] >= 2


def test_loops_in_loops_give_iterations(small: None) -> None:
    found = launches((3, 5, 4, 7), lambda x: gx.sum(gx.nn.relu(x), axis=(1, 2)))
    assert max(found) >= 2


def test_what_the_loop_stores_is_stored_by_the_pieces(small: None) -> None:
    x = gx.input("x", (600, 2))
    y = gx.exp(x)
    step = gx.compile([x], [y, gx.sum(y, axis=0)], target="cuda-simulate")
    for kernel in step.program.schedule.kernels:
        check_kernel(kernel, {})


@pytest.mark.parametrize("columns", [8192, 9001])
def test_long_rows(columns: int) -> None:
    (kernel,) = kernels_of((2, columns), lambda x: gx.sum(x, axis=1) / 3.0)
    assert len(check_kernel(kernel, {})) == 2


def test_running_sums_stay_whole() -> None:
    kernels = kernels_of((600, 2), lambda x: gx.cumulative_sum(x, axis=0))
    assert all(cut_chains(k, {}) is k for k in kernels)


def test_few_results_are_cut_and_many_are_not() -> None:
    (few,) = kernels_of((4096, 512), lambda x: gx.sum(x, axis=0))
    assert [str(s) for s in map_kernel(cut_chains(few, {}), {})] == [
        "element: 8192 points",
        "element: 512 points",
    ]
    (many,) = kernels_of((512, 65536), lambda x: gx.sum(x, axis=0))
    assert cut_chains(many, {}) is many


def test_the_cut_kernel_can_be_read() -> None:
    (kernel,) = kernels_of((1024, 8), lambda x: gx.sum(x, axis=0))
    assert kernel_text(cut_chains(kernel, {})) == (
        """kernel sum(x f32[1024,8]) -> out_output0 f32[8]
  scratch sum_parts f32[4,8]
  parallel piece < 4
    parallel lanes i < 8
      sequential j < 256; sum_piece: sum
        sum_piece sum= x[piece * 256 + j, i]
      sum_parts[piece, i] = sum_piece
  parallel lanes i < 8
    sequential piece < 4; sum: sum
      sum sum= sum_parts[piece, i]
    out_output0[i] = sum
"""
    )


@pytest.mark.parametrize("shape", [(2, 300), (3, 517)])
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_products_of_integers(small: None, shape: tuple[int, int], dtype: str) -> None:
    assert max(launches(shape, lambda x: x @ x.T, dtype)) > 1


def test_sums_over_one_axis_that_need_each_other(small: None) -> None:
    """The pieces of one take the merge of another along, and both go along the batch."""
    x, dy = gx.input("x", (16, 3, 2, 4)), gx.input("dy", (16, 3, 2, 5))
    h = gx.nn.BatchNorm()(gx.nn.Conv2D(5, 1, activation="relu")(x))
    loss = (h * dy).mean()
    step = gx.compile([x, dy], loss, gx.optim.SGD(0.1).minimize(loss), target="cuda-simulate")
    deepest = 0
    for kernel in step.program.schedule.kernels:
        check_kernel(kernel, {})
        cut = cut_chains(kernel, {})
        kernel_text(cut)  # an axis inside of itself has no name
        deepest = max(deepest, sum(isinstance(s, Loop) for s in cut.body))
    assert deepest >= 3


def test_an_axis_inside_of_itself_is_noticed() -> None:
    (kernel,) = kernels_of((8, 8), lambda x: x + 1.0)
    (outer,) = kernel.body
    assert isinstance(outer, Loop)
    twice = replace(kernel, body=(replace(outer, body=(outer,)),))
    with pytest.raises(VerifyError, match="inside of one over the same axis"):
        reshape(twice, {})
