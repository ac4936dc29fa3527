"""Reads along columns, through tiles: the bits of the loop interpreter, and the tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel, Scratch
from graphc.ir.loops.ir import walk as walk_kernel
from graphc.ir.loops.kernel_printer import kernel_text
from graphc_cuda.assemble import assemble
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Barrier, Program, walk
from graphc_cuda.lower import mapping, turning
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.lower.turning import turn_tiles
from graphc_cuda.ptx import ptx_of
from tests.backends.cuda.executors import HAS_GREENLET
from tests.backends.cuda.kernel_runs import check_kernel

Make = Callable[..., Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few points are worth a tile."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(turning, "MIN_POINTS", 1)


def kernel_of(shape: tuple[int, ...], make: Make, dtype: str = "float32") -> Kernel:
    """The one kernel of a function."""
    x = gx.input("x", shape, dtype=dtype)
    made = make(x)
    outputs = [made] if isinstance(made, gx.Tensor) else list(made)
    (kernel,) = gx.compile([x], outputs, target="cuda-simulate").program.schedule.kernels
    return kernel


def turned(x: gx.Tensor) -> gx.Tensor:
    """The transpose, and some arithmetic."""
    return gx.permute_dims(x, (1, 0)) * 2 + 1


@pytest.mark.parametrize("shape", [(64, 32), (37, 70), (8, 8), (65, 33), (128, 9)])
def test_matrices(small: None, shape: tuple[int, int]) -> None:
    kernel = kernel_of(shape, turned)
    assert turn_tiles(kernel, {}) is not kernel
    check_kernel(kernel, {})
    if HAS_GREENLET:
        check_kernel(kernel, {}, executor="threads")


@pytest.mark.parametrize("shape", [(0, 40), (40, 0), (1, 40), (40, 1), (7, 40), (40, 7)])
def test_thin_matrices_have_no_tiles(small: None, shape: tuple[int, int]) -> None:
    kernel = kernel_of(shape, turned)
    assert turn_tiles(kernel, {}) is kernel
    check_kernel(kernel, {})


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64", "uint8"])
def test_dtypes(small: None, dtype: str) -> None:
    check_kernel(kernel_of((20, 35), turned, dtype), {})


@pytest.mark.parametrize("axes", [(2, 0, 1), (2, 1, 0), (0, 2, 1), (1, 2, 0), (1, 0, 2)])
def test_more_axes(small: None, axes: tuple[int, int, int]) -> None:
    kernel = kernel_of((9, 10, 11), lambda x: gx.permute_dims(x, axes) + 1)
    assert (turn_tiles(kernel, {}) is kernel) == (axes == (1, 0, 2))
    check_kernel(kernel, {})


def test_a_matrix_and_its_transpose(small: None) -> None:
    check_kernel(kernel_of((40, 40), lambda x: x + gx.permute_dims(x, (1, 0))), {})


# ------------------------------------------------------------------ writes along columns


def both_ways(x: gx.Tensor) -> list[gx.Tensor]:
    """A matrix and its transpose, from one kernel."""
    y = x * 2 + 1
    return [y, gx.permute_dims(y, (1, 0)) * 3]


def scratches(kernel: Kernel) -> list[str]:
    """The tiles of a kernel."""
    return [
        s.buffer.name for s in walk_kernel(turn_tiles(kernel, {}).body) if isinstance(s, Scratch)
    ]


@pytest.mark.parametrize("shape", [(64, 32), (37, 70), (8, 8), (65, 33), (128, 9)])
def test_matrices_that_are_written_both_ways(small: None, shape: tuple[int, int]) -> None:
    kernel = kernel_of(shape, both_ways)
    assert scratches(kernel) == ["out_output1_tile"]
    check_kernel(kernel, {})
    if HAS_GREENLET:
        check_kernel(kernel, {}, executor="threads", seed=3)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64", "uint8"])
def test_dtypes_that_are_written_both_ways(small: None, dtype: str) -> None:
    check_kernel(kernel_of((20, 35), both_ways, dtype), {})


def test_what_is_read_and_written_along_columns(small: None) -> None:
    def make(x: gx.Tensor) -> list[gx.Tensor]:
        y = x + gx.permute_dims(x, (1, 0))
        return [y, gx.permute_dims(y, (1, 0)) * 2]

    kernel = kernel_of((40, 40), make)
    assert len(scratches(kernel)) == 2
    check_kernel(kernel, {})


def test_writes_along_columns_can_be_read() -> None:
    kernel = kernel_of((512, 320), lambda x: [x * 2.0, gx.permute_dims(x * 2.0, (1, 0)) + 1.0])
    assert kernel_text(turn_tiles(kernel, {})).partition("\n")[2] == (
        """  parallel i_tile < 16
    parallel j_tile < 5
      scratch out_output1_tile f32[2112]
      parallel lanes q < 2048
        multiply = x[i_tile * 32 + q / 64, j_tile * 64 + rem(q, 64)] * 2.0
        add = multiply + 1.0
        out_output0[i_tile * 32 + q / 64, j_tile * 64 + rem(q, 64)] = multiply
        out_output1_tile[rem(q, 64) * 33 + q / 64] = add
      parallel lanes r < 2048
        t0 = r / 32
        t1 = rem(r, 32)
        out_output1[j_tile * 64 + t0, i_tile * 32 + t1] = out_output1_tile[t0 * 33 + t1]
"""
    )


def test_few_points_are_read_as_they_lie() -> None:
    kernel = kernel_of((64, 64), turned)
    assert turn_tiles(kernel, {}) is kernel


def test_the_tiles_can_be_read() -> None:
    kernel = kernel_of((512, 320), lambda x: gx.permute_dims(x, (1, 0)) * 2.0)
    assert kernel_text(turn_tiles(kernel, {})) == (
        """kernel multiply(x f32[512,320]) -> out_output0 f32[320,512]
  parallel i_tile < 10
    parallel j_tile < 8
      scratch x_tile f32[2112]
      parallel lanes p < 2048
        t0 = p / 32
        t1 = rem(p, 32)
        x_tile[t0 * 33 + t1] = x[j_tile * 64 + t0, i_tile * 32 + t1]
      parallel lanes q < 2048
        multiply = x_tile[rem(q, 64) * 33 + q / 64] * 2.0
        out_output0[i_tile * 32 + q / 64, j_tile * 64 + rem(q, 64)] = multiply
"""
    )


@pytest.mark.parametrize("make", [turned, both_ways])
def test_one_barrier_and_no_spills(make: Make) -> None:
    functions = Functions()
    (launch,) = lower_kernel(kernel_of((512, 320), make), {}, functions, "k")
    assert sum(isinstance(s, Barrier) for s in walk(launch.kernel.body)) == 1
    ptx = ptx_of(Program("p", functions.listed(), (launch.kernel,)), (9, 0))
    if find_tool("ptxas") is not None:
        (resources,) = assemble(ptx, (9, 0)).kernels.values()
        assert resources.spill_stores == 0
        assert resources.registers <= 64


def test_sizes_that_are_known_late(small: None) -> None:
    x = gx.input("x", (gx.dim("n"), gx.dim("m")))
    step = gx.compile([x], [turned(x)], target="cuda-simulate")
    (kernel,) = step.program.schedule.kernels
    for sizes in ({"n": 33, "m": 70}, {"n": 64, "m": 32}):
        assert turn_tiles(kernel, sizes) is not kernel
        check_kernel(kernel, sizes)
