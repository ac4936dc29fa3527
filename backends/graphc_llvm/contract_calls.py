"""Call the tiles of a contraction, row block by row block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Buffer, Expr
from graphc_llvm.contract_plan import ContractPlan
from graphc_llvm.contract_shape import Shape, row_block_count
from graphc_llvm.contract_steps import Edges, place_name
from graphc_llvm.contract_tile import TileFunctions, TileKind
from graphc_llvm.emit_address import address
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_value import evaluate
from graphc_llvm.ir_builder import Operand
from graphc_llvm.values import element_type


@dataclass(frozen=True)
class ScratchPointers:
    """Pointers to the scratch memory of one contraction."""

    left: str
    right: str
    kept: str


@dataclass(frozen=True)
class UnitRange:
    """Units low .. high - 1 of a chunk: its row blocks, counted for each panel of it."""

    first_block: Operand
    blocks: Operand
    first_panel: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True)
class DepthBlock:
    """Steps of the reduction axis that is cut: `count` (None: all) from `begin`.

    `outer` are the places on the axes before it. `later` is 0 for the first block of steps, `last`
    is 0 for all but the last.
    """

    begin: Operand = 0
    count: Operand | None = None
    later: Operand = 0
    last: Operand = 1
    outer: tuple[Operand, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Row blocks low .. high - 1 of panel `number` of a part; its tiles have this width.

    `place` is its number among all panels of the columns.
    """

    units: UnitRange
    number: Operand
    low: Operand
    high: Operand
    place: Operand
    column: Operand
    vectors: int = 0
    full: bool = True


def decode(c: EmitContext, index: Operand, spans: Sequence[Span]) -> None:
    """Set the axes of a combined index."""
    f = c.builder
    for span in reversed(spans[1:]):
        size = f.maximum(c.size(span.size), 1)
        c.axes[span.axis] = f.rem(index, size, span.axis.name)
        index = f.div(index, size)
    if spans:
        c.axes[spans[0].axis] = index


def first_row(c: EmitContext, plan: ContractPlan, block: Operand) -> Operand:
    """The first row of a row block; behind the last block, the number of rows."""
    f, blocks = c.builder, plan.tiling.blocks
    size = c.size(plan.row.size)
    if len(blocks) == 1:
        return f.minimum(f.mul(block, blocks[0][0], "row"), size, "row")
    (large, many), (small, _) = blocks
    more = f.mul(f.minimum(block, many or 0), large - small)
    return f.add(f.mul(block, small), more, "row")


def guarded(c: EmitContext, test: str, body: Callable[[], None]) -> None:
    """Emit ``if test: body``."""

    def inside() -> list[str]:
        with c.inside():
            body()
        return []

    c.builder.when(test, [], inside)


def panel_memory(c: EmitContext, plan: ContractPlan, memory: ScratchPointers, panel: Panel) -> str:
    """Where a staged panel is."""
    if not plan.keeps_panels:
        return memory.right
    start = c.builder.mul(panel.place, c.size(plan.panel_elements))
    return c.builder.gep(memory.right, element_type(plan.dtype), start, "panel")


class TileCalls:
    """Calls the tiles of one panel."""

    def __init__(
        self, tiles: TileFunctions, memory: ScratchPointers, panel: Panel, depth: DepthBlock
    ) -> None:
        self.tiles, self.memory, self.panel, self.depth = tiles, memory, panel, depth
        self.plan, self.c, self.builder = tiles.plan, tiles.context, tiles.context.builder
        self.element = element_type(self.plan.dtype)

    def block(self, index: Operand) -> None:
        """All tiles of a block: one, or several small ones where the rows run out."""
        f, c, plan = self.builder, self.c, self.plan
        number = f.add(self.panel.units.first_block, index, "block")
        unit = f.add(f.mul(self.panel.number, self.panel.units.blocks), index)
        self.slot = f.sub(unit, self.panel.units.low, "slot")
        if plan.outer_rows:
            each = c.size(row_block_count(plan.tiling, plan.row.size))
            decode(c, f.div(number, each), plan.outer_rows)
            number = f.rem(number, each, "block")
        row = first_row(c, plan, number)
        if plan.tiling.rest:
            self._unknown_rows(row, plan.tiling.rows)
            return
        listed = self.tiles.steps.blocks
        for some in listed:
            tile = partial(self._tile, row, 0, some.height, None, some.edges)
            if some is not listed[-1]:
                tile = partial(guarded, c, f.compare("slt", number, some.end), tile)
            if some is not listed[0]:
                tile = partial(guarded, c, f.compare("sge", number, some.begin), tile)
            tile()

    def _unknown_rows(self, row: Operand, height: int) -> None:
        f, rest = self.builder, self.plan.tiling.rest
        left = f.sub(self.c.size(self.plan.row.size), row, "left")

        def small(offset: Operand, _: list[str]) -> list[str]:
            valid = f.minimum(f.sub(left, offset), rest, "valid")
            with self.c.inside():
                self._tile(f.add(row, offset, "row"), offset, rest, valid)
            return []

        def several() -> None:
            f.loop("rest", 0, left, rest, [], small)

        whole = f.compare("sge", left, height)
        guarded(self.c, whole, partial(self._tile, row, 0, height, None))
        guarded(self.c, f.compare("slt", left, height), several)

    def _tile(
        self,
        row: Operand,
        offset: Operand,
        height: int,
        valid: Operand | None,
        edges: Edges = (),
    ) -> None:
        """Call one tile, `offset` rows into its block."""
        c, f, plan = self.c, self.builder, self.plan
        c.axes[plan.row.axis] = row
        c.axes.update({span.axis: 0 for span in plan.combined})
        values: dict[str, Operand] = {"left": self._left(row), "right": self._right()}
        if plan.depth_block is not None:
            width = plan.tiling.width
            start = f.mul(self.slot, plan.tiling.rows * width)
            place = f.add(start, f.mul(offset, width), "kept")
            values["kept"] = f.gep(self.memory.kept, self.element, place)
            values["steps"] = self.depth.count or 0
            values["later"] = self.depth.later
            values["last"] = self.depth.last
            places = (*self.depth.outer, self.depth.begin)
            values |= {place_name(k): places[k] for k in self.tiles.steps.places}
        if valid is not None:
            values["valid"] = valid
        values["columns"] = f.sub(c.size(plan.column.size), self.panel.column, "left")
        shape = Shape(height, self.panel.vectors)
        kind = TileKind(shape, self.panel.full, valid is not None, edges)
        self.tiles.call(kind, values)

    def _left(self, row: Operand) -> str:
        f, plan = self.builder, self.plan
        if plan.left.load is not None:
            return self._in_place(plan.left.load.buffer, plan.left.load.index)
        first = first_row(self.c, plan, self.panel.units.first_block)
        local = f.sub(row, first, "row")
        unit = 1 if plan.left.along is plan.row.axis else self.c.size(plan.staged_row_elements)
        return f.gep(self.memory.left, self.element, f.mul(local, unit))

    def _right(self) -> str:
        right = self.plan.right
        if right.load is None:
            return panel_memory(self.c, self.plan, self.memory, self.panel)
        return self._in_place(right.load.buffer, right.load.index)

    def _in_place(self, buffer: Buffer, at: tuple[Expr, ...]) -> str:
        """The address of an operand's element at the first step of this block."""
        starts = (*self.depth.outer, self.depth.begin)
        for number, span in enumerate(self.plan.reduction):
            self.c.axes[span.axis] = starts[number] if number < len(starts) else 0
        with self.c.inside():
            return address(self.c, buffer, at, evaluate).pointer
