"""Chains of their own: the bits of the loop interpreter, in how many launches."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc.compiler.fusion import scans
from graphc.ir.loops.ir import Kernel
from graphc_cuda.lower import chains, fission, mapping
from graphc_cuda.lower.fission import split_chains
from graphc_cuda.lower.mapping import map_kernel
from tests.backends.cuda.executors import executors
from tests.backends.cuda.kernel_runs import check_kernel

SCANS = {
    "sum": gx.cumulative_sum, "prod": gx.cumulative_prod, "max": gx.cumulative_max,
    "min": gx.cumulative_min,
}  # fmt: skip


NEVER = 1 << 30


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short chains are worth it, in three nests."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(fission, "MIN_TRIPS", 2)
    monkeypatch.setattr(fission, "MIN_TILED_TRIPS", NEVER)


@pytest.fixture(params=[17, 24])
def tiled(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Short chains are worth it, in small tiles."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(fission, "MIN_TRIPS", 2)
    monkeypatch.setattr(fission, "MIN_TILED_TRIPS", 2)
    monkeypatch.setattr(chains, "TILE", request.param)


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
    kernel = scan((2200, 4096), 1)
    assert [str(s) for s in map_kernel(split_chains(kernel, {}), {})] == [
        "element: 1126400 points",
        "element: 2200 points",
        "element: 1126400 points",
    ]
    short = scan((64, 256), 1)
    assert split_chains(short, {}) is short


def test_few_long_rows_have_a_block_each() -> None:
    kernel = scan((64, 4096), 1)
    assert [str(s) for s in map_kernel(split_chains(kernel, {}), {})] == ["rows: 64 of 256 threads"]
    kernel = scan((4096, 500), 0)
    assert [str(s) for s in map_kernel(split_chains(kernel, {}), {})] == [
        "rows: 500 of 128 threads"
    ]


@pytest.mark.parametrize("how", list(SCANS))
@pytest.mark.parametrize("columns", [16, 136, 192, 289])
def test_rows_in_tiles(tiled: None, how: str, columns: int) -> None:
    assert len(check_kernel(scan((3, columns), 1, how), {})) == 1


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8"])
@pytest.mark.parametrize("shape", [(50, 3), (2, 48, 2), (17,)])
def test_axes_in_tiles(tiled: None, dtype: str, shape: tuple[int, ...]) -> None:
    check_kernel(scan(shape, len(shape) // 2, "sum", dtype), {})


@executors
def test_any_order_of_threads(tiled: None, executor: str) -> None:
    for seed in (1, 2):
        check_kernel(scan((3, 280), 1), {}, executor=executor, seed=seed)


def test_what_comes_before_each_chunk_in_tiles(
    tiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "SCAN_CHUNK_ELEMENTS", 16)
    kernel = scan((700,), 0)
    modes = [x.segment.mode for x in check_kernel(kernel, {})]
    assert modes == [mapping.ROWS, mapping.ROWS, mapping.ELEMENT]


def test_a_recurrence_in_tiles(tiled: None) -> None:
    x = gx.input("x", (3, 70))
    loss = gx.sum(gx.cumulative_prod(x, axis=1) ** 2)
    compiled = gx.compile([x], [gx.grad(loss, x)], target="cuda-simulate")
    kernels = [k for k in compiled.program.schedule.kernels if "recurrence" in k.name]
    assert [len(check_kernel(k, {})) for k in kernels] == [1]
