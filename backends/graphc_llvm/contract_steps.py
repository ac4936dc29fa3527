"""The reduction steps of a tile: fewer where a window crosses an edge.

A condition is applied in the cheapest way possible. If it is about axes that stand still in
a tile, it limits the steps. If it is about the tile's rows and their places are known, there are
tiles for the edges, whose steps have fewer rows (`edges`); so for lanes, if one panel has all of
them. Otherwise lanes are masked, but not in the steps that count for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise

from graphc.ir.loops.contraction.condition import Segment, StepCondition, segments
from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Axis
from graphc.ir.types import int32, int64
from graphc_llvm.contract_plan import ContractPlan
from graphc_llvm.contract_shape import panel_count, row_block_count
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.ir_builder import Operand
from graphc_llvm.tiles import StepRange
from graphc_llvm.values import Value

MAX_PARTS = 64  # of the chains of all tiles of a plan, so that there is not too much code
FAR_STEPS = 1 << 30  # beyond every reduction; so bounded, sums of them cannot overflow

Edges = tuple[tuple[Segment, ...] | None, ...]  # for each inner axis; None: all rows in all steps


@dataclass(frozen=True)
class Blocks:
    """Row blocks begin .. end - 1, which have the same tile."""

    begin: int
    end: int
    height: int
    edges: Edges = ()


def place_name(number: int | str = "") -> str:
    """The parameter of a tile with the place on reduction axis `number`."""
    return f"place{number}"


class TileSteps:
    """The step ranges of a plan's tiles under its conditions."""

    def __init__(self, plan: ContractPlan) -> None:
        self.plan = plan
        self.rows = frozenset(s.axis for s in plan.combined or (plan.row,))
        self.moving = self.rows | {plan.column.axis}
        self.walked = () if plan.depth_block is None else plan.reduction[: plan.cut + 1]
        self.static = tuple(g for g in plan.contraction.conditions if self._is_static(g))
        self.blocks = self._blocks()
        if sum(len(s) for b in self.blocks for s in b.edges if s) > MAX_PARTS:
            self.static = ()
            self.blocks = self._blocks()

    def _is_static(self, condition: StepCondition) -> bool:
        """Whether the rows and lanes that a step counts for are known now."""
        plan, about = self.plan, condition.axes.keys() & self.moving
        one_panel = panel_count(plan.tiling, plan.column.size) == 1
        size = next(s.size for s in plan.reduction if s.axis is condition.step)
        known = all(isinstance(x, int) for x in (condition.constant, size, plan.row.size))
        walked = any(span.axis is condition.step for span in self.walked)
        fixed = condition.axes.keys() <= (self.moving if one_panel else self.rows)
        return bool(about) and fixed and known and not walked

    @property
    def places(self) -> tuple[int, ...]:
        """The reduction axes that tiles do in several goes and whose steps may not count."""
        guarded = {condition.step for condition in self.plan.contraction.conditions}
        return tuple(i for i, span in enumerate(self.walked) if span.axis in guarded)

    # ------------------------------------------------------------------ tiles of the edges

    def _blocks(self) -> tuple[Blocks, ...]:
        """The row blocks, those with equal tiles together; none where their number is unknown."""
        count = row_block_count(self.plan.tiling, self.plan.row.size)
        if not isinstance(count, int):
            return ()
        sizes, cuts, edges = self.plan.tiling.blocks, {0, count}, dict[int, Edges]()
        cuts |= {sizes[0][1] or 0} if len(sizes) == 2 else set()
        for listed in (range(count), range(count - 1, -1, -1)):  # from both ends to the middle
            for block in listed:
                if block in edges or not (found := self._edges(block)):
                    break
                edges[block] = found
                cuts |= {block, block + 1}
        ends = sorted(cuts)
        every = [Blocks(b, e, self._height(b), edges.get(b, ())) for b, e in pairwise(ends)]
        joined: list[Blocks] = []
        for some in every:
            last = joined[-1] if joined else None
            if last and (last.height, last.edges) == (some.height, some.edges):
                some = Blocks(joined.pop().begin, some.end, some.height, some.edges)
            joined.append(some)
        return tuple(joined)

    def _height(self, block: int) -> int:
        (large, many), *_ = self.plan.tiling.blocks
        return large if block < (many or 0) else self.plan.tiling.blocks[-1][0]

    def _edges(self, block: int) -> Edges:
        """The rows of a block that take part in the steps of each axis; () if always all do."""
        if not self.static:
            return ()
        height, found = self._height(block), list[tuple[Segment, ...] | None]()
        (large, many), *_ = self.plan.tiling.blocks
        first = block * height + min(block, many or 0) * (large - height)
        vectors, lanes = self.plan.tiling.vectors, self.plan.tiling.lanes
        everything = (((1 << lanes) - 1,) * vectors,) * height
        for span in self.plan.inner:
            conditions = [g for g in self.static if g.step is span.axis]
            size = span.size if isinstance(span.size, int) else 0
            parts = None
            if conditions:
                parts = segments(conditions, size, self._elements(first, height))
            if parts == (Segment(0, size, everything),):
                parts = None
            found.append(parts)
        return tuple(found) if any(parts is not None for parts in found) else ()

    def _elements(self, first: int, height: int) -> list[list[list[Mapping[Axis, int]]]]:
        """The axes' values of all lanes of the tile that begins at a row."""
        tiling, column = self.plan.tiling, self.plan.column
        last = column.size - 1 if isinstance(column.size, int) else tiling.width
        # lanes that do not exist are like the last one
        numbers = [min(lane, last) for lane in range(tiling.width)]
        found: list[list[list[Mapping[Axis, int]]]] = []
        for row in range(first, first + height):
            place = self._row(row)
            values: list[Mapping[Axis, int]] = [{**place, column.axis: n} for n in numbers]
            vectors = range(0, tiling.width, tiling.lanes)
            found.append([values[v : v + tiling.lanes] for v in vectors])
        return found

    def _row(self, row: int) -> Mapping[Axis, int]:
        values = {}
        for span in reversed(self.plan.combined):
            assert isinstance(span.size, int)
            values[span.axis] = row % span.size
            row //= span.size
        return values or {self.plan.row.axis: row}


class StepEmitter:
    """Emits the bounds of a tile's steps, and masks where there are no such bounds.

    `rows` are the values of the axes of each row of the tile.
    """

    def __init__(
        self,
        steps: TileSteps,
        edges: Edges,
        c: EmitContext,
        rows: Sequence[Mapping[Axis, Operand]],
        vectors: int,
    ) -> None:
        self.steps, self.edges, self.c, self.builder = steps, edges, c, c.builder
        self.plan, self.rows, self.vectors = steps.plan, rows, vectors

    def levels(self) -> list[list[StepRange]]:
        """The parts of every axis of the chain."""
        return [self._parts(number, span) for number, span in enumerate(self.plan.inner)]

    def outer_masks(self) -> list[Value] | None:
        """Masks of conditions about axes that are walked through outside of the tile."""
        found: list[Value] | None = None
        for number, span in enumerate(self.steps.walked[:-1]):
            conditions = [g for g in self.plan.contraction.conditions if g.step is span.axis]
            if conditions:
                masks = self._masks(conditions, f"%{place_name(number)}", 0)
                found = masks if found is None else self._both(found, masks)
        return found

    def _parts(self, number: int, span: Span) -> list[StepRange]:
        """The steps of an axis: fewer than all, by lanes, or with masks at both ends."""
        f, cut = self.builder, number == 0 and self.plan.depth_block is not None
        conditions = [g for g in self.plan.contraction.conditions if g.step is span.axis]
        conditions = [g for g in conditions if g not in self.steps.static]
        masked = [g for g in conditions if g.axes.keys() & self.steps.moving]
        begin: Operand = f"%{place_name(self.plan.cut)}" if cut and conditions else 0
        low: Operand = 0
        high: Operand = "%steps" if cut else self.c.size(span.size)
        for condition in conditions:
            if condition not in masked:
                low, high = self._limited(condition, begin, low, high)
        parts = self.edges[number] if self.edges else None
        if parts is not None:
            return [
                StepRange(f.maximum(low, p.begin), f.minimum(high, p.end), p.lanes) for p in parts
            ]
        if not masked:
            return [StepRange(low, high)]
        first, last = low, high
        for condition in masked:
            first, last = self._limited(condition, begin, first, last)
        first = f.minimum(first, high, "first")
        last = f.maximum(first, last, "last")
        masks = partial(self._masks, masked, begin)
        return [
            StepRange(low, first, None, masks),
            StepRange(first, last),
            StepRange(last, high, None, masks),
        ]

    def _limited(
        self, condition: StepCondition, begin: Operand, low: Operand, high: Operand
    ) -> tuple[Operand, Operand]:
        """The steps among low .. high - 1 from `begin` on that count for all lanes."""
        f, rest, factor = self.builder, self._least(condition), abs(condition.factor)
        if condition.factor > 0:
            first = f.div(f.add(f.maximum(f.sub(0, rest), 0), factor - 1), factor, "first")
            return f.maximum(low, f.sub(f.mul(first, condition.per), begin), "low"), high
        end = f.div(f.maximum(f.add(rest, factor), 0), factor, "end")
        return low, f.minimum(high, f.sub(f.mul(end, condition.per), begin), "high")

    def _least(self, condition: StepCondition) -> Operand:
        """The least that a condition's sum is without its step, among all rows and lanes."""
        f, total = self.builder, self.c.size(condition.constant)
        for axis, (coefficient, per) in condition.axes.items():
            value: Operand = self.rows[0][axis] if axis in self.rows[0] else self.c.axes[axis]
            if coefficient < 0 and axis in self.steps.moving:
                value = self._last(axis)
            elif any(axis is span.axis for span in self.plan.combined):
                value = 0
            total = f.add(total, f.mul(f.div(value, per), coefficient), "rest")
        return total

    def _last(self, axis: Axis) -> Operand:
        """The last value that an axis has in the tile."""
        f, plan = self.builder, self.plan
        if axis is plan.column.axis:
            end = f.add(self.c.axes[axis], self.vectors * plan.tiling.lanes)
            return f.sub(f.minimum(end, self.c.size(plan.column.size)), 1, "last")
        for span in plan.combined:
            if axis is span.axis:
                return f.sub(self.c.size(span.size), 1)
        return self.rows[-1][axis]

    def _masks(
        self, conditions: Sequence[StepCondition], begin: Operand, index: Operand
    ) -> list[Value]:
        """The lanes of each accumulator for which a step counts."""
        place = self.builder.add(begin, index)
        return reduce(self._both, (self._mask(condition, place) for condition in conditions))

    def _both(self, x: Sequence[Value], y: Sequence[Value]) -> list[Value]:
        return list(map(self.c.emit.logical_and, x, y))

    def _mask(self, condition: StepCondition, place: Operand) -> list[Value]:
        f, lanes, emit, column = self.builder, self.plan.tiling.lanes, self.c.emit, self.plan.column
        place = f.add(
            f.mul(f.div(place, condition.per), condition.factor), self.c.size(condition.constant)
        )
        found = []
        for row in self.rows:
            total = place
            for axis, (coefficient, per) in condition.axes.items():
                if axis is not column.axis:
                    value = row[axis] if axis in row else self.c.axes[axis]
                    total = f.add(total, f.mul(f.div(value, per), coefficient), "total")
            # a sum that is far from 0 need not be exact
            near = f.maximum(f.minimum(total, FAR_STEPS), -FAR_STEPS)
            limit = emit.cast(Value(str(near), int64), int32)
            for v in range(self.vectors):
                least = emit.vector_of([-1] * lanes, int32)
                if column.axis in condition.axes:
                    least = emit.sub(least, self._along_lanes(v, *condition.axes[column.axis]))
                found.append(emit.lt(least, limit))
        return found

    def _along_lanes(self, v: int, coefficient: int, per: int) -> Value:
        """coefficient * (column // per) in the lanes of a vector."""
        f, lanes, emit = self.builder, self.plan.tiling.lanes, self.c.emit
        first = f.add(self.c.axes[self.plan.column.axis], v * lanes)
        numbers = emit.cast(Value(str(first), int64), int32)
        column = emit.add(emit.vector_of(range(lanes), int32), numbers)
        if per > 1:
            column = emit.div(column, emit.const(per, int32))
        return emit.mul(column, emit.const(coefficient, int32))
