"""Choose the register tile of a contraction from the target's facts and the sizes.

The model counts cycles of a machine that starts two multiply-adds and two loads a cycle. It only
ranks tiles; no choice changes a bit of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.dims import Size, ceildiv
from graphc.ir.types import DType
from graphc_llvm.target import PAGE_BYTES, Target

FMA_PER_CYCLE = 2
LOADS_PER_CYCLE = 2
FMA_LATENCY = 4.6  # with what it takes to keep all chains going
STEP_CYCLES = 0.2  # the loop's own instructions, for one step of the reduction
TILE_CYCLES = 40.0  # call and addresses, for one tile
STORE_CYCLES = 1.5  # epilogue, for one vector
FUNCTION_SHARE = 0.02  # what a further tile function must save to be worth compiling
UNEVEN_SHARE = 0.1  # of a tile, where two threads cannot have equally many
ASSUMED_EXTENT = 128  # stands for an extent that is not known
CACHE_WAYS = 8  # lines of one cache set
MAX_MEMORY_VECTORS = 16  # of a tile's row that are operands in memory


@dataclass(frozen=True)
class Shape:
    """A register tile: `rows` broadcast values by `vectors` vectors."""

    rows: int
    vectors: int

    def step_cycles(self) -> float:
        """Cycles for one step of the reduction."""
        multiply = self.rows * self.vectors / FMA_PER_CYCLE
        # a vector that crosses a cache line is loaded twice
        load = (self.rows + 2 * self.vectors) / LOADS_PER_CYCLE
        return max(multiply, load, FMA_LATENCY) + STEP_CYCLES


@dataclass(frozen=True)
class Tiling:
    """How rows and columns are cut.

    `blocks` lists (rows, count) of the row blocks, the larger first; where the number of rows is
    not known, it is ((rows, None),) and what remains is done by blocks of `rest` rows, the last of
    which may reach beyond the end. Columns come in panels of `vectors` vectors of `lanes` lanes,
    then one panel of what is left: `last` vectors, of which the last one may be partial.
    """

    lanes: int
    vectors: int
    last: int
    blocks: tuple[tuple[int, int | None], ...]
    rest: int = 0

    @property
    def width(self) -> int:
        """Columns of a full panel."""
        return self.lanes * self.vectors

    @property
    def rows(self) -> int:
        """Rows of the largest block."""
        return self.blocks[0][0]


def choose_tiling(
    target: Target,
    dtype: DType,
    rows: Size,
    outer: Size,
    columns: Size,
    depth: Size,
    most: int,
    vectors: Sequence[int] = (),
) -> Tiling:
    """The cheapest tiling of `outer` times `rows` rows, `columns` columns, `depth` steps.

    A tile has at most `most` rows, and one of these numbers of `vectors` if any are given.
    """
    lanes = target.lanes(dtype)
    shapes = [s for s in candidate_shapes(target) if s.rows <= most]
    shapes = [s for s in shapes if not vectors or s.vectors in vectors]
    if isinstance(rows, int):
        shapes = [s for s in shapes if s.rows <= max(1, rows)]
    if isinstance(columns, int):
        shapes = [s for s in shapes if s.vectors <= max(1, -(-columns // lanes))]
    times = known(outer), known(depth)
    options = {_tiling(s, lanes, rows, columns): None for s in shapes}
    return min(options, key=lambda t: _ranked(t, rows, columns, *times))


def candidate_shapes(target: Target) -> list[Shape]:
    """All tiles that fit the registers, the larger first."""
    found = []
    for vectors in range(target.vector_registers, 0, -1):
        for rows in range(target.vector_registers, 0, -1):
            folded = vectors == 1 and target.folds_broadcasts
            needed = rows * vectors + vectors + (0 if folded else 1)
            if rows == 1:  # the vectors are operands in memory
                needed = vectors + 1 if vectors <= MAX_MEMORY_VECTORS else needed
            if needed <= target.tile_registers + 1:
                found.append(Shape(rows, vectors))
    return found


def known(size: Size) -> int:
    """The size, or a typical one where it is unknown."""
    return size if isinstance(size, int) else ASSUMED_EXTENT


def max_l1_rows(row_stride: Size, dtype: DType) -> int:
    """The number of rows that fit the L1 cache, given its associativity."""
    if not isinstance(row_stride, int) or row_stride == 0:
        return 4 * CACHE_WAYS
    step = gcd(row_stride * dtype.itemsize, PAGE_BYTES)
    return CACHE_WAYS * (PAGE_BYTES // step)


def split_evenly(total: int, most: int) -> tuple[tuple[int, int], ...]:
    """Cut into as few parts of at most `most` as possible, as (part, count), larger first."""
    if total == 0:
        return ((1, 0),)
    parts = -(-total // most)
    small, more = divmod(total, parts)
    listed = ((small + 1, more), (small, parts - more))
    return tuple((size, count) for size, count in listed if count)


def _tiling(shape: Shape, lanes: int, rows: Size, columns: Size) -> Tiling:
    width = shape.vectors * lanes
    last = -(-(columns % width) // lanes) if isinstance(columns, int) else shape.vectors
    if not isinstance(rows, int):
        rest = max(1, shape.rows // 2)
        return Tiling(lanes, shape.vectors, last, ((shape.rows, None),), rest)
    return Tiling(lanes, shape.vectors, last, split_evenly(rows, shape.rows))


def tiling_cost(tiling: Tiling, rows: Size, columns: Size, outer: int, depth: int) -> float:
    """Cycles, with a share added for each function, and for an uneven number of tiles."""
    blocks = [(r, count or max(1, known(rows) // r)) for r, count in tiling.blocks]
    panels = [(tiling.vectors, known(columns) // tiling.width), (tiling.last, 1)]
    panels = [(v, count) for v, count in panels if v and count]
    cycles = 0.0
    for height, many in blocks:
        for vectors, count in panels:
            shape = Shape(height, vectors)
            one = shape.step_cycles() * depth + TILE_CYCLES + STORE_CYCLES * height * vectors
            cycles += one * many * count * outer
    tiles = outer * sum(many for _, many in blocks) * sum(count for _, count in panels)
    uneven = UNEVEN_SHARE / tiles if tiles % 2 else 0.0
    return cycles * (1 + FUNCTION_SHARE * len(blocks) * len(panels) + uneven)


def _ranked(
    tiling: Tiling, rows: Size, columns: Size, outer: int, depth: int
) -> tuple[float, int, int]:
    """The cost; ties go to fewer vectors."""
    return tiling_cost(tiling, rows, columns, outer, depth), tiling.vectors, tiling.rows


def row_block_count(tiling: Tiling, rows: Size) -> Size:
    """The number of row blocks."""
    if isinstance(rows, int):
        return sum(count or 0 for _, count in tiling.blocks)
    return ceildiv(rows, tiling.rows)


def panel_count(tiling: Tiling, columns: Size) -> Size:
    """The number of panels."""
    return ceildiv(columns, tiling.width)
