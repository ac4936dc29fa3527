"""Which contractions become tiles, and which tile the sizes choose."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Axis, Buffer, Load, index
from graphc.ir.types import DType, float32, float64
from graphc_cuda.contract.find import TiledContraction, find_contraction
from graphc_cuda.contract.route import Extents, find_route
from graphc_cuda.contract.shape import MAX_SHARED_BYTES, TILES, Sizes, Tile, choose_tile
from tests.backends.llvm.contractions import contraction

CHOICES = {
    Sizes(1, 4096, 4096, 4096): "128x128x16, 8x8 a thread",
    Sizes(1, 1024, 1024, 1024): "64x64x16, 4x4 a thread",
    Sizes(1, 200704, 64, 576): "128x64x16, 8x4 a thread",
    Sizes(96, 512, 512, 64): "128x128x16, 8x8 a thread",
    Sizes(1, 64, 10, 784): "16x16x16, 1x1 a thread",
}


def find(spec: str, sizes: Mapping[str, int], tile: Tile | None = None) -> TiledContraction | None:
    kernel = contraction(spec, sizes)
    return find_contraction(kernel.body, {}, tile)


@pytest.mark.parametrize("sizes", CHOICES, ids=str)
def test_sizes_choose_the_tile(sizes: Sizes) -> None:
    assert str(choose_tile(sizes, float32)) == CHOICES[sizes]


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_tiles_suit_threads_and_memory(tile: Tile, dtype: DType) -> None:
    if tile.shared_bytes(dtype) > MAX_SHARED_BYTES:
        assert choose_tile(Sizes(1, tile.rows, tile.columns, 4096), dtype) != tile
    assert tile.threads % 32 == 0
    assert tile.threads <= 256
    assert tile.threads % tile.depth == 0
    assert tile.threads >= max(tile.rows, tile.columns)
    assert tile.thread_rows * tile.thread_columns <= 64


def test_it_is_said_in_one_line() -> None:
    found = find("bmk,bkn->bmn", {"b": 3, "m": 100, "n": 70, "k": 19}, TILES[3])
    assert str(found) == "tile 3 x 100x70x19: 64x64x16, 4x4 a thread"


def test_what_is_stored_next_to_each_other_is_a_column() -> None:
    for spec in ("mk,kn->mn", "nk,km->nm", "km,nk->mn"):
        found = find(spec, {"m": 8, "n": 24, "k": 5})
        assert found is not None
        last = spec[-1]
        assert [span.axis.name for span in found.right.spans] == [last]


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        ("mk,k->m", {"m": 64, "k": 64}),
        ("mk,kn->mn", {"m": 64, "n": 2, "k": 64}),
        ("mk,kn->mn", {"m": 64, "n": 64, "k": 2}),
        ("bk,bk->b", {"b": 64, "k": 64}),
        ("mk,kn->mn", {"m": 0, "n": 64, "k": 64}),
    ],
)
def test_little_to_share_is_no_tile(spec: str, sizes: dict[str, int]) -> None:
    assert find(spec, sizes) is None


@pytest.mark.parametrize(("size", "vector"), [(20, 4), (22, 1)])
def test_rows_of_a_larger_array_may_begin_anywhere(size: int, vector: int) -> None:
    """A loop passes one row after the other: those of 22 numbers do not begin at 16 bytes."""
    step = Axis("k")
    load = Load(float32, Buffer("x", float32, (size,)), (index(step),))
    extents = Extents((), (Span(step, 20),), 1, 16)
    route = find_route(load, float32, extents, by_line=None)
    assert route.is_copied
    assert route.vector == vector
