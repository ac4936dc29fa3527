"""A contraction as the program of one block: stage, multiply, finish.

left and right of the first steps -> registers -> shared memory
for each tile of steps: fetch the next one, take the steps of this one, put the next one
the epilogue of every sum
"""

from __future__ import annotations

from dataclasses import replace

from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.finish import finish
from graphc_cuda.contract.multiply import Sums
from graphc_cuda.contract.shape import STAGES
from graphc_cuda.contract.stage import Staging, set_axes
from graphc_cuda.device.program import BLOCK_INDEX, Barrier, Intrinsic
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.writer import Placed, Writer


def emit_tile(w: Writer, found: TiledContraction) -> None:
    """Write what each of `found.grid` blocks of `found.tile.threads` threads does."""
    for alias, buffer in found.contraction.aliases.items():
        w.arrays[alias] = Placed(w.arrays[buffer].array, w.shape(alias), w.arrays[buffer].start)
    row, column = _origin(w, found)
    left = Staging(w, found, found.left, "left", found.tile.rows, row)
    right = Staging(w, found, found.right, "right", found.tile.columns, column)
    sums = Sums(w, found, left, right)
    if found.sizes.steps:
        _chain(w, found, sums)
    memory = max(left.array, right.array, key=lambda array: array.size)
    finish(w, sums, memory, (row, column))


def _origin(w: Writer, found: TiledContraction) -> tuple[Scalar, Scalar]:
    """The first row and column of the block's tile; sets the axes of the batch.

    Blocks that run at the same time are close to each other, so that they share what they read.
    """
    e, group = w.emit, found.group
    tiles = found.row_tiles * found.column_tiles
    block = index_of(BLOCK_INDEX, 0, found.grid - 1)
    set_axes(w, found.contraction.batch, e.div(block, as_index(tiles)))
    tile = w.assign("tile", e.rem(block, as_index(tiles)))
    together = as_index(group * found.column_tiles)
    within = e.rem(tile, together)
    above = e.add(e.mul(e.div(tile, together), as_index(group)), e.rem(within, as_index(group)))
    row = e.mul(above, as_index(found.tile.rows))
    column = e.mul(e.div(within, as_index(group)), as_index(found.tile.columns))
    return w.assign("first_row", row), w.assign("first_column", column)


def _chain(w: Writer, found: TiledContraction, sums: Sums) -> None:
    """Take all steps of the chain in ascending order."""
    e, depth = w.emit, found.tile.depth
    whole, rest = divmod(found.sizes.steps, depth)
    total = whole + (rest > 0)
    zero = as_index(0)
    sides = (sums.left, sums.right)
    _fetch(w, sums, zero, zero)
    for side in sides:
        side.put(zero)
    _arrive(w, sums)
    with w.loop("tile_step", zero, as_index(whole), 1) as number:
        later = e.add(number, as_index(1))
        is_there = e.lt(later, as_index(total))
        later = replace(later, range=(0, max(0, total - 1)))
        stage = w.assign("stage", e.rem(number, as_index(STAGES)))
        other = w.assign("other", e.sub(as_index(1), stage))
        with w.when(is_there.value):
            _fetch(w, sums, e.mul(later, as_index(depth)), other)
        sums.take(stage, depth)
        with w.when(is_there.value):
            for side in sides:
                side.put(other)
        _arrive(w, sums)
    if rest:
        sums.take(as_index(whole % STAGES), rest)
        w.add(Barrier())


def _fetch(w: Writer, sums: Sums, first: Scalar, stage: Scalar) -> None:
    for side in (sums.left, sums.right):
        side.fetch(first, stage)
    if sums.left.is_direct or sums.right.is_direct:
        w.add(Intrinsic((), "copy_async_commit", ()))


def _arrive(w: Writer, sums: Sums) -> None:
    """Wait until the next tile is in shared memory."""
    if sums.left.is_direct or sums.right.is_direct:
        w.add(Intrinsic((), "copy_async_wait", (0,)))
    w.add(Barrier())
