"""A contraction as the program of one block: stage, multiply, finish.

left and right of the first steps -> registers -> shared memory
for each tile of steps: fetch the next one, take the steps of this one, put the next one
the epilogue of every sum
"""

from __future__ import annotations

from dataclasses import replace

from graphc_cuda.contract.axes import set_axes
from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.matrix import MatrixSums
from graphc_cuda.contract.multiply import Sums
from graphc_cuda.device.program import BLOCK_INDEX, Barrier, Intrinsic
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.writer import Placed, Writer

AnySums = Sums | MatrixSums


def emit_tile(w: Writer, found: TiledContraction) -> None:
    """Write what each of `found.grid` blocks of `found.tile.threads` threads does."""
    _name_aliases(w, found)
    _one_tile(w, found, index_of(BLOCK_INDEX, 0, found.grid - 1))


def emit_stage(w: Writer, found: TiledContraction) -> None:
    """Write how one block computes all tiles, one after the other.

    The block has met when it starts to bring operands of another tile.
    """
    _name_aliases(w, found)
    if found.grid == 1:
        _one_tile(w, found, as_index(0))
        return
    with w.loop("tile_number", as_index(0), as_index(found.grid), 1) as number:
        _one_tile(w, found, number)


def _name_aliases(w: Writer, found: TiledContraction) -> None:
    for alias, buffer in found.contraction.aliases.items():
        w.arrays[alias] = Placed(w.arrays[buffer].array, w.shape(alias), w.arrays[buffer].start)


def _one_tile(w: Writer, found: TiledContraction, block: Scalar) -> None:
    """The tile with a number."""
    origin = _origin(w, found, block)
    sums = (MatrixSums if found.kind else Sums)(w, found, origin)
    if found.sizes.steps:
        _chain(w, found, sums)
    sums.finish()


def _origin(w: Writer, found: TiledContraction, block: Scalar) -> tuple[Scalar, Scalar]:
    """The first row and column of a tile; sets the axes of the batch.

    Blocks that run at the same time are close to each other, so that they share what they read.
    """
    e, group = w.emit, found.group
    tiles = found.row_tiles * found.column_tiles
    set_axes(w, found.contraction.batch, e.div(block, as_index(tiles)))
    tile = w.assign("tile", e.rem(block, as_index(tiles)))
    together = as_index(group * found.column_tiles)
    within = e.rem(tile, together)
    above = e.add(e.mul(e.div(tile, together), as_index(group)), e.rem(within, as_index(group)))
    row = e.mul(above, as_index(found.tile.rows))
    column = e.mul(e.div(within, as_index(group)), as_index(found.tile.columns))
    return w.assign("first_row", row), w.assign("first_column", column)


def _chain(w: Writer, found: TiledContraction, sums: AnySums) -> None:
    """Take all steps of the chain in ascending order."""
    e, depth, stages = w.emit, found.tile.depth, found.tile.stages
    whole, rest = divmod(found.sizes.steps, depth)
    if sums.takes_zeros and rest:
        whole, rest = whole + 1, 0
    total, ahead = whole + (rest > 0), stages - 1
    for first in range(ahead):
        if first < total:
            _fetch(w, sums, as_index(first * depth), as_index(first))
            _put(sums, as_index(first))
        _close(w, sums)  # also where there is no tile: waiting counts groups
    _arrive(w, sums, ahead)
    with w.loop("tile_step", as_index(0), as_index(whole), 1) as number:
        later = e.add(number, as_index(ahead))
        is_there = e.lt(later, as_index(total)).value
        later = replace(later, range=(0, max(0, total - 1)))
        other = w.assign("next_stage", e.rem(later, as_index(stages)))
        with w.when(is_there):
            _fetch(w, sums, e.mul(later, as_index(depth)), other)
        _close(w, sums)
        begin = e.mul(number, as_index(depth))
        sums.take(w.assign("stage", e.rem(number, as_index(stages))), depth, begin)
        with w.when(is_there):
            _put(sums, other)
        _arrive(w, sums, ahead)
    if rest:
        sums.take(as_index(whole % stages), rest, as_index(whole * depth))
        w.add(Barrier())


def _fetch(w: Writer, sums: AnySums, first: Scalar, stage: Scalar) -> None:
    for side in (sums.left, sums.right):
        side.fetch(first, stage)


def _put(sums: AnySums, stage: Scalar) -> None:
    for side in (sums.left, sums.right):
        side.put(stage)


def _is_copying(sums: AnySums) -> bool:
    return sums.left.route.is_copied or sums.right.route.is_copied


def _close(w: Writer, sums: AnySums) -> None:
    """Close the group of copies of one tile, empty or not."""
    if _is_copying(sums):
        w.add(Intrinsic((), "copy_async_commit", ()))


def _arrive(w: Writer, sums: AnySums, ahead: int) -> None:
    """Wait until the next tile is in shared memory; those behind it may be on their way."""
    if _is_copying(sums):
        w.add(Intrinsic((), "copy_async_wait", (ahead - 1,)))
    w.add(Barrier())
