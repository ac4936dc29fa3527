"""Emit a planned contraction: which tiles a thread does, in which order, and what it stages.

The output is cut into units, one tile each, counted panel by panel. A thread does a contiguous
share of the units and stages what they read by itself, so no thread waits for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from graphc.ir.dims import product
from graphc.ir.loops.contraction.box import Box
from graphc_llvm.contract_calls import (
    DepthBlock,
    Panel,
    ScratchPointers,
    TileCalls,
    UnitRange,
    decode,
    first_row,
    guarded,
    panel_memory,
)
from graphc_llvm.contract_fill import BoxFill, Scope
from graphc_llvm.contract_plan import ContractPlan, aligned
from graphc_llvm.contract_shape import panel_count, row_block_count
from graphc_llvm.contract_stage import Range, Staging, reduction_ranges
from graphc_llvm.contract_tile import TileFunctions
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.ir_builder import Operand


def emit_contract(plan: ContractPlan, c: EmitContext) -> None:
    """Emit this thread's share of a contraction at the current place of a kernel.

    The function has the parameters ``%sizes %scratch %team %thread %threads``; scratch memory is
    taken from `c.scratch` on.
    """
    for alias, original in plan.aliases.items():
        if original in c.pointers:  # boxes have their pointers when they are filled
            c.pointers[alias] = c.pointers[original]
    _Driver(plan, c).emit()
    c.scratch = c.scratch + plan.scratch_bytes


class _Driver:
    """Emits the loops around the tiles."""

    def __init__(self, plan: ContractPlan, c: EmitContext) -> None:
        self.plan, self.c, self.builder = plan, c, c.builder
        self.tiles = TileFunctions(plan, c)
        places = [plan.left_elements, plan.right_elements, plan.kept_elements, *plan.box_elements]
        pointers, offset = [], c.scratch
        for elements in places:
            pointers.append(c.builder.gep("%scratch", "i8", c.size(offset), "staged"))
            offset = offset + aligned(elements) * plan.dtype.itemsize
        self.memory = ScratchPointers(*pointers[:3])
        self.boxes = dict(zip(plan.boxes, pointers[3:]))
        self.panels, self.blocks = c.size(plan.all_panels), c.size(plan.block_count)
        self.column_panels = c.size(panel_count(plan.tiling, plan.column.size))

    def emit(self) -> None:
        """Walk through the chunks of the output; all threads share each of them."""
        plan = self.plan
        if 0 in (self.panels, self.blocks, self.c.size(product(s.size for s in plan.batch))):
            return

        if plan.keeps_panels:
            self._all_panels()

        def rows(first_block: Operand, blocks: Operand) -> None:
            def panels(first_panel: Operand, count: Operand) -> None:
                self._chunk(first_block, blocks, first_panel, count)

            self._chunks("panels", self.panels, plan.chunk_panels, panels)

        self._chunks("blocks", self.blocks, plan.chunk_blocks, rows)

    def _chunks(
        self, hint: str, total: Operand, most: int | None, body: Callable[[Operand, Operand], None]
    ) -> None:
        if most is None:
            body(0, total)
            return
        f = self.builder

        def chunk(first: Operand, _: list[str]) -> list[str]:
            with self.c.inside():
                body(first, f.minimum(f.sub(total, first, "left"), most, hint))
            return []

        f.loop(hint, 0, total, most, [], chunk)

    def _chunk(
        self, first_block: Operand, blocks: Operand, first_panel: Operand, panels: Operand
    ) -> None:
        """This thread's units of a chunk, one batch element after the other."""
        f = self.builder
        if self.plan.group is not None:
            self._groups(blocks, panels)
            return
        each = f.mul(blocks, panels, "units")
        total = f.mul(each, self.c.size(product(s.size for s in self.plan.batch)), "units")
        begin = f.div(f.mul(total, "%thread"), "%threads", "begin")
        end = f.div(f.mul(total, f.add("%thread", 1)), "%threads", "end")

        def batch(index: Operand, low: Operand, high: Operand) -> None:
            decode(self.c, index, self.plan.batch)
            self._depths(UnitRange(first_block, blocks, first_panel, low, high))

        if self.plan.batch:
            self._parts("batch", begin, end, each, batch)
        else:
            batch(0, begin, end)

    def _groups(self, blocks: Operand, panels: Operand) -> None:
        """This thread's row blocks, a few at a time with all of their panels."""
        f, most = self.builder, self.plan.group or 1
        begin = f.div(f.mul(blocks, "%thread"), "%threads", "begin")
        end = f.div(f.mul(blocks, f.add("%thread", 1)), "%threads", "end")

        def group(first: Operand, _: list[str]) -> list[str]:
            count = f.minimum(f.sub(end, first, "left"), most, "count")
            with self.c.inside():
                self._depths(UnitRange(first, count, 0, 0, f.mul(count, panels)))
            return []

        f.loop("group", begin, end, most, [], group)

    def _parts(
        self,
        hint: str,
        begin: Operand,
        end: Operand,
        size: Operand,
        body: Callable[[Operand, Operand, Operand], None],
    ) -> None:
        """Cut units begin .. end - 1 at multiples of `size`: body(part, low, high) for each."""
        f = self.builder
        some = f.maximum(size, 1)
        final = f.div(f.add(end, f.sub(some, 1)), some, "final")

        def units(index: Operand, _: list[str]) -> list[str]:
            base = f.mul(index, size, "base")
            low = f.maximum(f.sub(begin, base), 0, "low")
            high = f.minimum(f.sub(end, base), size, "high")
            with self.c.inside():
                body(index, low, high)
            return []

        f.loop(hint, f.div(begin, some, hint), final, 1, [], units)

    # ------------------------------------------------------------------ the reduction

    def _depths(self, units: UnitRange) -> None:
        """Blocks of the reduction, one after the other."""
        plan = self.plan
        if plan.depth_block is None:
            self._fill_boxes(units, plan.boxes, {})
            self._stage_rows(units, 0, None)
            self._panels(units, DepthBlock())
            return
        walked = {span.axis for span in plan.reduction[: plan.cut + 1]}
        self._fill_boxes(units, tuple(b for b in plan.boxes if not walked & b.axes), {})
        self._outer_depths(units, ())

    def _outer_depths(self, units: UnitRange, outer: tuple[Operand, ...]) -> None:
        """Walk through the reduction axes before the cut, then through blocks of the cut one."""
        plan, f = self.plan, self.builder
        if len(outer) == plan.cut:
            self._depth_blocks(units, outer)
            return
        span = plan.reduction[len(outer)]

        def step(index: Operand, _: list[str]) -> list[str]:
            self.c.axes[span.axis] = index
            with self.c.inside():
                self._outer_depths(units, (*outer, index))
            return []

        f.loop(span.axis.name, 0, f.maximum(self.c.size(span.size), 1), 1, [], step)

    def _depth_blocks(self, units: UnitRange, outer: tuple[Operand, ...]) -> None:
        plan, f, c = self.plan, self.builder, self.c
        first, most = plan.reduction[plan.cut], plan.depth_block or 1
        total = c.size(first.size)
        later: Operand = 0
        last: Operand = 1
        for span, index in zip(plan.reduction, outer):
            size = c.size(span.size)
            later = f.add(later, index, "later")
            last = f.mul(last, self._at_least(f.add(index, 1), size))
            total = f.minimum(total, f.mul(size, total))  # nothing where an outer axis is empty
        axes = {span.axis for span in plan.reduction[: plan.cut + 1]}
        cut = tuple(box for box in plan.boxes if axes & box.axes)

        def block(begin: Operand, _: list[str]) -> list[str]:
            count = f.minimum(f.sub(total, begin, "left"), most, "steps")
            scope = {span.axis: (at, 1) for span, at in zip(plan.reduction, outer)}
            with c.inside():
                self._fill_boxes(units, cut, {**scope, first.axis: (begin, count)})
                self._stage_rows(units, begin, count)
                ends = f.mul(last, self._at_least(f.add(begin, most), total))
                self._panels(units, DepthBlock(begin, count, f.add(later, begin), ends, outer))
            return []

        # a reduction over nothing still has an epilogue
        f.loop("depth", 0, f.maximum(total, 1), most, [], block)

    def _at_least(self, x: Operand, y: Operand) -> Operand:
        """1 where x >= y, else 0."""
        if isinstance(x, int) and isinstance(y, int):
            return int(x >= y)
        test = self.builder.compare("sge", x, y)
        return self.builder.define("flag", f"zext i1 {test} to i64", (test,))

    def _fill_boxes(self, units: UnitRange, boxes: Sequence[Box], scope: Scope) -> None:
        """Fill boxes for the present batch element and the rows of a chunk."""
        plan, c, f = self.plan, self.c, self.builder
        scope = {**scope, **{span.axis: (c.axes[span.axis], 1) for span in plan.batch}}
        if plan.band is not None:
            first, *others = plan.outer_rows
            each = c.size(row_block_count(plan.tiling, plan.row.size))
            each = f.mul(each, c.size(product(span.size for span in others)))
            begin, count = f.div(units.first_block, each), f.div(units.blocks, each)
            scope[first.axis] = (begin, count)
        for box in boxes:
            BoxFill(plan, c, box, self.boxes[box]).fill(scope)

    def _stage_rows(self, units: UnitRange, begin: Operand, count: Operand | None) -> None:
        plan, f = self.plan, self.builder
        if plan.left.load is not None:
            return
        first = first_row(self.c, plan, units.first_block)
        final = first_row(self.c, plan, f.add(units.first_block, units.blocks))
        rows = Range(plan.row.axis, first, f.sub(final, first, "rows"))
        steps = reduction_ranges(self.c, plan.inner, begin, count)
        Staging(plan, self.c, plan.left, self.memory.left).rows(rows, steps)

    # ------------------------------------------------------------------ panels and tiles

    def _panels(self, units: UnitRange, depth: DepthBlock) -> None:
        plan, f = self.plan, self.builder

        def panel(index: Operand, low: Operand, high: Operand) -> None:
            number = f.add(units.first_panel, index, "panel")
            place = number
            if plan.outer_columns:
                decode(self.c, f.div(number, self.column_panels), plan.outer_columns)
                place = f.rem(number, self.column_panels, "panel")
            column = f.mul(place, plan.tiling.width, "column")
            some = Panel(units, index, low, high, place, column)
            self._kinds(some, partial(self._panel, depth))

        self._parts("panel", units.low, units.high, units.blocks, panel)

    def _kinds(self, panel: Panel, body: Callable[[Panel], None]) -> None:
        """A full panel, or the last one."""
        tiling, size = self.plan.tiling, self.c.size(self.plan.column.size)
        full = replace(panel, vectors=tiling.vectors, full=True)
        last = replace(panel, vectors=tiling.last, full=False)
        if isinstance(size, int) and size % tiling.width == 0:
            body(full)
            return
        if isinstance(size, int) and size < tiling.width:
            body(last)
            return
        left = self.builder.sub(size, panel.column, "left")
        for how, kind in (("sge", full), ("slt", last)):
            test = self.builder.compare(how, left, tiling.width)
            guarded(self.c, test, partial(body, kind))

    def _all_panels(self) -> None:
        """Stage every panel before the first tile."""

        def one(index: Operand, _: list[str]) -> list[str]:
            column = self.builder.mul(index, self.plan.tiling.width, "column")
            with self.c.inside():
                panel = Panel(UnitRange(0, 0, 0, 0, 0), 0, 0, 0, index, column)
                self._kinds(panel, partial(self._stage_panel, DepthBlock()))
            return []

        self.builder.loop("panel", 0, self.panels, 1, [], one)

    def _stage_panel(self, depth: DepthBlock, panel: Panel) -> None:
        plan, f, c, lanes = self.plan, self.builder, self.c, self.plan.tiling.lanes
        left = f.sub(c.size(plan.column.size), panel.column, "left")
        counts = [lanes if panel.full else f.sub(left, v * lanes) for v in range(panel.vectors)]
        steps = reduction_ranges(c, plan.inner, depth.begin, depth.count)
        memory = panel_memory(c, plan, self.memory, panel)
        Staging(plan, c, plan.right, memory).panel(panel.column, steps, counts)

    def _panel(self, depth: DepthBlock, panel: Panel) -> None:
        """Stage a panel unless it is staged, and compute its tiles."""
        plan, f, c = self.plan, self.builder, self.c
        if plan.right.load is None and not plan.keeps_panels:
            self._stage_panel(depth, panel)
        c.axes[plan.column.axis] = panel.column

        def block(index: Operand, _: list[str]) -> list[str]:
            with c.inside():
                TileCalls(self.tiles, self.memory, panel, depth).block(index)
            return []

        f.loop("block", panel.low, panel.high, 1, [], block)
