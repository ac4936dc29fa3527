"""Find a contraction in a nest, and cut it into the tiles that blocks compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.condition import StepCondition
from graphc.ir.loops.contraction.index import Affine, flat_offset
from graphc.ir.loops.contraction.match import Contraction, Span, merged, recognise
from graphc.ir.loops.ir import Axis, Expr, Stmt
from graphc.ir.types import DType
from graphc_cuda.contract.shape import Sizes, Tile, choose_tile

MIN_LINES = 4  # rows and columns that share what is staged
MIN_STEPS = 4  # of a chain
GROUP = 8  # blocks above each other that run at the same time


@dataclass(frozen=True)
class Side:
    """One operand: its value, the axes of its lines (rows or columns), and which lines count.

    A step counts for a line where all `conditions` hold.
    """

    value: Expr
    spans: tuple[Span, ...]
    conditions: tuple[StepCondition, ...] = ()

    @property
    def lines(self) -> int:
        """How many rows or columns there are."""
        return count(self.spans)


@dataclass(frozen=True, eq=False)
class TiledContraction:
    """A contraction of known sizes, and its tile.

    `left` has the rows, `right` the columns; the block with number `block` computes a tile of one
    product of the batch.
    """

    contraction: Contraction
    left: Side
    right: Side
    sizes: Sizes
    tile: Tile

    @property
    def dtype(self) -> DType:
        """The dtype of the sums."""
        return self.contraction.accumulator.refs[0].dtype

    @property
    def grid(self) -> int:
        """How many blocks there are."""
        return self.tile.blocks(self.sizes)

    @property
    def row_tiles(self) -> int:
        """Tiles above each other."""
        return -(-self.sizes.rows // self.tile.rows)

    @property
    def column_tiles(self) -> int:
        """Tiles beside each other."""
        return -(-self.sizes.columns // self.tile.columns)

    @property
    def group(self) -> int:
        """Row tiles that are computed for all columns before the next ones are."""
        return max(d for d in range(1, GROUP + 1) if self.row_tiles % d == 0)

    def __str__(self) -> str:
        return f"tile {self.sizes}: {self.tile}"


def find_contraction(
    nest: Sequence[Stmt], sizes: Mapping[str, int], tile: Tile | None = None
) -> TiledContraction | None:
    """The contraction of a nest, where tiles are worth it; a tile that is given is taken."""
    found = recognise(nest, sizes)
    if found is None:
        return None
    found = _oriented(merged(found))
    extents = Sizes(*map(count, (found.batch, found.rows, found.columns, found.reduction)))
    sides = _sides(found)
    if sides is None or (tile is None and not _is_worthwhile(extents)):
        return None
    if extents.batch * extents.rows * extents.columns == 0:
        return None
    dtype = found.accumulator.refs[0].dtype
    return TiledContraction(found, *sides, extents, tile or choose_tile(extents, dtype))


def count(spans: Sequence[Span]) -> int:
    """The number of points of axes of known sizes."""
    return prod(known(span.size) for span in spans)


def known(size: Size) -> int:
    """A size of which all dims are known."""
    assert isinstance(size, int)
    return size


def _is_worthwhile(sizes: Sizes) -> bool:
    return min(sizes.rows, sizes.columns) >= MIN_LINES and sizes.steps >= MIN_STEPS


# ------------------------------------------------------------------ orientation


def _oriented(found: Contraction) -> Contraction:
    """The same with the axes along which neighbours are stored last, and among the columns."""
    stores = [flat_offset(s.buffer, s.index) for s in found.stores]
    stored = stores[0] if stores else Affine()

    def stride(span: Span) -> int:
        return abs(known(stored.coefficient(span.axis))) or 1 << 62

    def ordered(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple(sorted(spans, key=stride, reverse=True))

    found = replace(found, rows=ordered(found.rows), columns=ordered(found.columns))
    nearest = [min(map(stride, spans), default=1 << 62) for spans in (found.rows, found.columns)]
    return found.swapped() if nearest[0] < nearest[1] else found


def _sides(found: Contraction) -> tuple[Side, Side] | None:
    """Both operands with the conditions on their lines; None if one needs both lines."""
    rows, columns = ({s.axis for s in spans} for spans in (found.rows, found.columns))
    of_rows, of_columns = list[StepCondition](), list[StepCondition]()
    for condition in found.conditions:
        axes = set(condition.axes)
        if axes & rows and axes & columns:
            return None
        (of_columns if axes & columns else of_rows).append(condition)
    left = Side(found.left, found.rows, tuple(of_rows))
    return left, Side(found.right, found.columns, tuple(of_columns))


# ------------------------------------------------------------------ places of operands


def aligned_run(offset: Affine, spans: Sequence[Span], others: Sequence[Axis]) -> int:
    """How many neighbours along the last axis start at a multiple of their number in memory."""
    if not spans or offset.others or offset.coefficient(spans[-1].axis) != 1:
        return 1
    fixed = [offset.constant, spans[-1].size]
    fixed += [offset.coefficient(axis) for axis in (*(s.axis for s in spans[:-1]), *others)]
    return gcd(*map(known, fixed))
