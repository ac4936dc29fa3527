"""Find a contraction in a nest, and cut it into the tiles that blocks compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.condition import StepCondition
from graphc.ir.loops.contraction.index import Affine, affine, axes_of, flat_offset, loads_of
from graphc.ir.loops.contraction.match import Contraction, Span, merged, recognise
from graphc.ir.loops.ir import Expr, Loop, Stmt
from graphc.ir.types import DType
from graphc_cuda.contract.low import HELD, low_operands, unmarked
from graphc_cuda.contract.shape import MatrixTile, Sizes, Tile, choose_matrix_tile, choose_tile

MIN_LINES = 4  # rows and columns that share what is staged
MIN_STEPS = 4  # of a chain
MIN_MATRIX_SIZE = 16  # rows, columns and steps from which on matrix instructions are worth it
GROUP = 8  # blocks above each other that run at the same time


@dataclass(frozen=True)
class Side:
    """One operand: its value, the axes of its lines (rows or columns), and which lines count.

    A step counts for a line where all `conditions` hold.
    """

    name: str
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
    product of the batch. `kind` names the low type of operands that matrix instructions multiply.
    Only results for which all `limits` hold are finished; chains stop where the loop `ends`.
    """

    contraction: Contraction
    left: Side
    right: Side
    sizes: Sizes
    tile: Tile | MatrixTile
    kind: str = ""
    limits: tuple[Expr, ...] = ()
    ends: Loop | None = None

    @property
    def dtype(self) -> DType:
        """The dtype of the sums."""
        return self.contraction.accumulator.refs[0].dtype

    @property
    def grid(self) -> int:
        """How many blocks there are."""
        return self.tile.blocks(self.sizes)

    def width(self, side: Side) -> int:
        """The lines of an operand in a tile."""
        return self.tile.rows if side is self.left else self.tile.columns

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
    if found is None or not _stays_inside(found):
        return None
    found = _oriented(merged(found))
    extents = Sizes(*map(count, (found.batch, found.rows, found.columns, found.reduction)))
    if extents.batch * extents.rows * extents.columns == 0:
        return None
    sides = _sides(found)
    if sides is None or (tile is None and not _is_worthwhile(extents)):
        return None
    dtype = found.accumulator.refs[0].dtype
    low = None
    if _suits_matrices(extents, tile):
        low = low_operands(*(side.value for side in sides))
    kind, *values = low or ("", unmarked(sides[0].value), unmarked(sides[1].value))
    left, right = (replace(side, value=value) for side, value in zip(sides, values))
    if low is None:
        return TiledContraction(found, left, right, extents, tile or choose_tile(extents, dtype))
    chosen = tile or choose_matrix_tile(extents, HELD[kind])
    return TiledContraction(found, left, right, extents, chosen, kind)


def _stays_inside(found: Contraction) -> bool:
    """Whether operands are in memory for all steps, those that do not count among them."""
    steps = {condition.step for condition in found.conditions}
    spans = (*found.batch, *found.rows, *found.columns, *found.reduction)
    last = {span.axis: known(span.size) - 1 for span in spans}
    for load in (*loads_of(found.left), *loads_of(found.right)):
        guarded = set() if load.where is None else set(axes_of(load.where))
        for at, extent in zip(load.index, load.buffer.shape):
            form = affine(at)
            if form.others or not set(form.axes) & (steps - guarded):
                continue
            ends = [known(c) * last[axis] for axis, c in form.axes.items()]
            first = known(form.constant)
            most, least = first + sum(max(0, e) for e in ends), first + sum(min(0, e) for e in ends)
            if least < 0 or most >= known(extent):
                return False
    return True


def count(spans: Sequence[Span]) -> int:
    """The number of points of axes of known sizes."""
    return prod(known(span.size) for span in spans)


def known(size: Size) -> int:
    """A size of which all dims are known."""
    assert isinstance(size, int)
    return size


def _suits_matrices(sizes: Sizes, tile: Tile | MatrixTile | None) -> bool:
    if tile is not None:
        return isinstance(tile, MatrixTile)
    return min(sizes.rows, sizes.columns, sizes.steps) >= MIN_MATRIX_SIZE


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
    left = Side("left", found.left, found.rows, tuple(of_rows))
    return left, Side("right", found.right, found.columns, tuple(of_columns))
