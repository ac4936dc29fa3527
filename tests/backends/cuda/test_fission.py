"""Chains of their own: the bits of the loop interpreter, in how many launches."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc_cuda.lower import fission, mapping
from graphc_cuda.lower.fission import split_chains
from graphc_cuda.lower.mapping import map_kernel
from tests.backends.cuda.kernel_runs import check_kernel

SCANS = {
    "sum": gx.cumulative_sum, "prod": gx.cumulative_prod, "max": gx.cumulative_max,
    "min": gx.cumulative_min,
}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short chains are worth it."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(fission, "MIN_TRIPS", 2)


def scan(shape: tuple[int, ...], axis: int, how: str = "sum", dtype: str = "float32") -> Kernel:
    """The kernel of a scan."""
    x = gx.input("x", shape, dtype=dtype)
    (kernel,) = gx.compile(
        [x], [SCANS[how](x, axis=axis)], target="cuda-simulate"
    ).program.schedule.kernels
    return kernel


@pytest.mark.parametrize("how", list(SCANS))
@pytest.mark.parametrize("columns", [16, 24, 31, 97])
def test_scans_of_rows(small: None, how: str, columns: int) -> None:
    kernel = scan((3, columns), 1, how)
    assert split_chains(kernel, {}) is not kernel
    assert len(check_kernel(kernel, {})) == 3


@pytest.mark.parametrize("columns", [0, 1, 7, 8, 15])
def test_short_rows_stay_whole(small: None, columns: int) -> None:
    kernel = scan((3, columns), 1)
    assert split_chains(kernel, {}) is kernel
    check_kernel(kernel, {})


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_dtypes(small: None, dtype: str) -> None:
    check_kernel(scan((2, 2, 45), 2, "sum", dtype), {})


@pytest.mark.parametrize("size", [4097, 5000])
def test_chunks_of_a_long_axis(small: None, size: int) -> None:
    assert len(check_kernel(scan((size,), 0), {})) >= 4


def test_columns_stay_whole(small: None) -> None:
    kernel = scan((70, 3), 0)
    assert split_chains(kernel, {}) is kernel


def test_the_chain_is_one_addition_for_eight_elements() -> None:
    kernel = scan((64, 4096), 1)
    assert [str(s) for s in map_kernel(split_chains(kernel, {}), {})] == [
        "element: 32768 points",
        "element: 64 points",
        "element: 32768 points",
    ]
    short = scan((64, 256), 1)
    assert split_chains(short, {}) is short
