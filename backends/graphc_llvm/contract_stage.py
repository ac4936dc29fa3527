"""Pack an operand of a contraction into scratch memory in the order of the reduction.

What is staged may be any expression: a fused producer, padding, a conversion, a transposition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Axis
from graphc_llvm.contract_plan import Access, ContractPlan
from graphc_llvm.emit_context import EmitContext, Lane
from graphc_llvm.emit_value import evaluate
from graphc_llvm.ir_builder import Operand, vector
from graphc_llvm.tiles import lane_mask, transpose
from graphc_llvm.values import Value, element_type


@dataclass(frozen=True)
class Range:
    """The values begin .. begin + count - 1 of an axis."""

    axis: Axis
    begin: Operand
    count: Operand


def reduction_ranges(
    c: EmitContext, spans: Sequence[Span], begin: Operand, count: Operand | None
) -> tuple[Range, ...]:
    """The ranges of the reduction axes; of the first one `count` values from `begin`."""
    listed = []
    for i, span in enumerate(spans):
        cut = i == 0 and count is not None
        size = c.size(span.size)
        listed.append(Range(span.axis, begin if cut else 0, count if cut and count else size))
    return tuple(listed)


class Staging:
    """Writes the values of an operand to scratch memory."""

    def __init__(self, plan: ContractPlan, c: EmitContext, access: Access, memory: str) -> None:
        self.plan, self.c, self.builder = plan, c, c.builder
        self.access, self.memory = access, memory
        self.lanes = plan.tiling.lanes
        self.element = element_type(plan.dtype)

    # ------------------------------------------------------------------ the broadcast operand

    def rows(self, rows: Range, steps: tuple[Range, ...]) -> None:
        """Stage a range of rows: element (row, step) at row * row stride + step * step stride."""
        if self.access.along is rows.axis:
            unit = self.c.size(self.plan.left_step_elements)

            def across(flat: Operand) -> None:
                self.along(rows, self.builder.mul(flat, unit, "place"))

            self._each(steps, 0, across)
            return
        stride = self.c.size(self.plan.staged_row_elements)

        def row(index: Operand, _: list[str]) -> list[str]:
            self.c.axes[rows.axis] = self.builder.add(rows.begin, index, "row")
            place = self.builder.mul(index, stride, "place")
            with self.c.inside():
                self._onward(steps, place)
            return []

        self.builder.loop("stage_row", 0, rows.count, 1, [], row)

    def _onward(self, steps: tuple[Range, ...], place: Operand) -> None:
        """Evaluate along the last step axis."""
        last = steps[-1]

        def body(flat: Operand) -> None:
            start = self.builder.mul(flat, last.count, "step")
            self.along(last, self.builder.add(place, start, "place"))

        self._each(steps[:-1], 0, body)

    def _each(
        self, steps: tuple[Range, ...], flat: Operand, body: Callable[[Operand], None]
    ) -> None:
        """Emit loops over the steps; `body` gets the number of the step in the chain."""
        if not steps:
            body(flat)
            return
        first, f = steps[0], self.builder
        start = f.mul(flat, first.count, "step")

        def inner(index: Operand, _: list[str]) -> list[str]:
            self.c.axes[first.axis] = f.add(first.begin, index, first.axis.name)
            with self.c.inside():
                self._each(steps[1:], f.add(start, index, "step"), body)
            return []

        f.loop(f"stage_{first.axis.name}", 0, first.count, 1, [], inner)

    def along(self, extent: Range, place: Operand) -> None:
        """Evaluate along an axis into neighbouring elements."""
        f, lanes = self.builder, self.lanes
        whole = f.round_down(extent.count, lanes, "whole")

        def body(index: Operand, _: list[str]) -> list[str]:
            value = self._lanes(extent.axis, f.add(extent.begin, index), None)
            self._store(value, f.add(place, index, "place"))
            return []

        f.loop("stage", 0, whole, lanes, [], body)

        def rest(index: Operand, _: list[str]) -> list[str]:
            mask = lane_mask(self.c.emit, lanes, f.sub(extent.count, index, "left"))
            value = self._lanes(extent.axis, f.add(extent.begin, index), mask)
            self._store(value, f.add(place, index, "place"))
            return []

        f.loop("stage_rest", whole, extent.count, lanes, [], rest)

    # ------------------------------------------------------------------ the operand in lanes

    def panel(self, column: Operand, steps: tuple[Range, ...], counts: Sequence[Operand]) -> None:
        """Stage a panel; counts[v] lanes of vector v exist."""
        if self.access.along is self.plan.column.axis:
            self._panel_across(column, steps, counts)
            return

        def body(flat: Operand) -> None:
            self._panel_onward(column, steps[-1], flat, counts)

        self._each(steps[:-1], 0, body)

    def _panel_across(
        self, column: Operand, steps: tuple[Range, ...], counts: Sequence[Operand]
    ) -> None:
        f, width, axis = self.builder, len(counts) * self.lanes, self.plan.column.axis
        masks = [lane_mask(self.c.emit, self.lanes, count) for count in counts]

        def body(flat: Operand) -> None:
            place = f.mul(flat, width, "place")
            for v, mask in enumerate(masks):
                value = self._lanes(axis, f.add(column, v * self.lanes), mask)
                self._store(value, f.add(place, v * self.lanes))

        self._each(steps, 0, body)

    def _panel_onward(
        self, column: Operand, last: Range, flat: Operand, counts: Sequence[Operand]
    ) -> None:
        """Evaluate columns along the last step axis and turn squares of them."""
        f, lanes, width = self.builder, self.lanes, len(counts) * self.lanes
        start = f.mul(flat, last.count, "step")
        whole = f.round_down(last.count, lanes, "whole")
        full = counts[-1] == lanes

        def squares(index: Operand, mask: Value | None) -> None:
            first = f.mul(f.add(start, index, "step"), width, "place")

            def square(v: Operand, _: list[str]) -> list[str]:
                shift = f.mul(v, lanes, "shift")
                count = lanes if full else f.sub(counts[0], shift, "count")
                at = f.add(column, shift, "column")
                with self.c.inside():
                    transposed = self._square(last, f.add(last.begin, index), at, count, mask)
                for step, value in enumerate(transposed):
                    self._store(value, f.add(f.add(first, shift), step * width))
                return []

            f.loop("stage_vector", 0, len(counts), 1, [], square)

        def body(index: Operand, _: list[str]) -> list[str]:
            squares(index, None)
            return []

        def rest(index: Operand, _: list[str]) -> list[str]:
            squares(index, lane_mask(self.c.emit, lanes, f.sub(last.count, index, "left")))
            return []

        f.loop("stage", 0, whole, lanes, [], body)
        f.loop("stage_rest", whole, last.count, lanes, [], rest)

    def _square(
        self, last: Range, step: Operand, column: Operand, count: Operand, mask: Value | None
    ) -> list[Value]:
        """The values of as many columns as there are lanes, as one vector for each step."""
        f, axis = self.builder, self.plan.column.axis
        final = f.sub(count, 1, "final")
        rows = []
        for lane in range(self.lanes):
            # columns that do not exist repeat the last one
            self.c.axes[axis] = f.add(column, f.minimum(lane, final), "column")
            rows.append(self._lanes(last.axis, step, mask))
        return transpose(self.c.emit, rows)

    # ------------------------------------------------------------------ vectors

    def _lanes(self, axis: Axis, start: Operand, mask: Value | None) -> Value:
        """The operand for lanes along an axis."""
        self.c.axes[axis] = start
        with self.c.inside(lane=Lane(axis, self.lanes, mask)):
            value = evaluate(self.c, self.access.value)
            return self.c.emit.spread(value, self.lanes)

    def _store(self, value: Value, place: Operand) -> None:
        """Write all lanes: those that do not exist fall on padding or are overwritten later."""
        f = self.builder
        pointer = f.gep(self.memory, self.element, place)
        kind = vector(self.element, self.lanes)
        f.store(kind, value.text, pointer, self.plan.dtype.itemsize)
