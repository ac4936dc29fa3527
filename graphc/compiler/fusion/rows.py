"""Lower a row group: loops over its rows, and within a row one loop per stage.

A stage holds everything that needs the same finished reductions and runs over the same inner
variables, so that softmax is: find the maximum; sum the exponentials; divide. What is expensive and
needed by several stages is kept in scratch that lives as long as the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compiler.fusion.group import Group
from graphc.compiler.fusion.grouping import MAX_CHEAP_FLOPS, Grouping
from graphc.compiler.fusion.kernel_builder import KernelBuilder, narrowed
from graphc.compiler.fusion.one_hot_sum import find_one_hot_sum
from graphc.compiler.fusion.summing import is_short
from graphc.ir.dims import Size, nominal, product
from graphc.ir.graph import Node
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Expr,
    Load,
    Loop,
    Ref,
    Scratch,
    Store,
)  # fmt: skip
from graphc.ir.ops.axes import Axes, base_of, through_views
from graphc.ir.ops.base import Elementwise, Reduce
from graphc.ir.ops.reduce import Sum
from graphc.ir.schedule import Storage
from graphc.ir.types import int64

AXIS_NAMES = "ijklmnopqrstuvwxyz"
MAX_ROW_SCRATCH_BYTES = 32768  # a row of scratch stays in the L1 cache


@dataclass(frozen=True)
class Lowering:
    """What every lowering of a group is given: the groups, and where outputs go."""

    grouping: Grouping
    targets: Mapping[Node, tuple[Storage, ...]]  # every place that a node's value is stored to


class RowKernel:
    """Lowers one row group through `builder`."""

    def __init__(
        self, group: Group, lowering: Lowering, builder: KernelBuilder, flat: int | None
    ) -> None:
        self.group, self.lowering, self.builder = group, lowering, builder
        self.grouping = lowering.grouping
        self.flat = flat  # the one variable of a flattened group
        self.inner = self.grouping.inner(group)
        self.rows = (flat,) if flat is not None else self.grouping.rows(group)
        self.levels = stage_levels(group, self.grouping)
        self.lane = flat if flat is not None else choose_lane(group, lowering)
        self.nests = nests(group, self.grouping)
        self.axis: dict[int, Axis] = {}
        self.position: dict[int, Expr] = {}  # where each variable is
        self.cached: dict[Node, Buffer] = {}
        one_hot_sums = {n: find_one_hot_sum(n) for n in group.nodes if self.flat is None}
        self.one_hot_sums = {
            n: one_hot for n, one_hot in one_hot_sums.items() if one_hot is not None
        }

    # -- loops ----------------------------------------------------------------------

    def build(self) -> None:
        """Emit the loops over the rows and everything in them."""
        rows = sorted(self.rows, key=lambda v: v == self.lane)  # lanes innermost
        for v in rows:
            self._open(v)
        self._row()
        for v in reversed(rows):
            self._close(v)

    def _open(self, v: int) -> None:
        if v not in self.axis:
            self.axis[v] = Axis(AXIS_NAMES[len(self.axis) % len(AXIS_NAMES)])
            self.position[v] = self.builder.e.index(self.axis[v])
        self.builder.open()

    def _close(self, v: int) -> None:
        size = self.builder.e.extent(self.size(v))
        body = self.builder.close()
        loop = Loop(self.axis[v], size, PARALLEL, body, lanes=v == self.lane)
        self.builder.emit(loop)

    def size(self, v: int) -> Size:
        """How far a variable runs."""
        if v == self.flat:
            return product(self.grouping.sizes[w] for w in self.grouping.rows(self.group))
        return self.grouping.sizes[v]

    def at(self, axes: Axes) -> tuple[Expr, ...]:
        """The index with these variables."""
        e = self.builder.e
        if self.flat is not None:
            return (self.position[self.flat],)
        return tuple(e.const(0, int64) if v is None else self.position[v] for v in axes)

    # -- one row --------------------------------------------------------------------

    def _row(self) -> None:
        nodes = self.group.nodes
        self._choose_cached()
        by_level: list[list[Node]] = [[] for _ in range(max(self.levels.values()) + 1)]
        for node in nodes:
            by_level[self.levels[node]].append(node)
        for level, here in enumerate(by_level):
            for node in here:
                if node in self.one_hot_sums:
                    self._one_hot_element(node)
                elif not self._loops(node):
                    self._row_value(node)
            for variables, members in self._stages(here).items():
                self._stage(variables, members, level)

    def _loops(self, node: Node) -> tuple[int, ...]:
        """The inner variables that a node runs over, lanes last; those of a sum in its order."""
        found = [v for v in self.grouping.axes(node) if v is not None and v in self.inner]
        own = nest_of(node, self.grouping) or self.nests.get(frozenset(found))
        if own:
            return own
        lane = self.lane if self.lane in found else (found[-1] if found else None)
        return tuple(sorted(found, key=lambda v: (v == lane, v)))

    def _stages(self, nodes: list[Node]) -> dict[tuple[int, ...], list[Node]]:
        """Nodes that need a loop of their own, by the variables they run over."""
        stages: dict[tuple[int, ...], list[Node]] = {}
        for node in nodes:
            if node in self.one_hot_sums:
                continue
            wanted = isinstance(node.op, Reduce) or node in self.cached
            if self._loops(node) and (wanted or node in self.lowering.targets):
                stages.setdefault(self._loops(node), []).append(node)
        return stages

    def _row_value(self, node: Node) -> None:
        at = self.at(self.grouping.result_axes(node))
        value = self.builder.named(node, self.builder.at(node, at))
        self.builder.bind(node, at, value)
        self._store(node, at, value)

    def _one_hot_element(self, node: Node) -> None:
        """Load the one element of a one-hot sum."""
        e, one_hot = self.builder.e, self.one_hot_sums[node]
        axes = self.grouping.axes(node)
        kept = {a: self.at(axes[a : a + 1])[0] for a in range(len(axes)) if a != one_hot.axis}
        first = tuple(kept.get(a, e.const(0, int64)) for a in range(len(axes)))
        place = e.cast(self.builder.at(one_hot.place, first), int64)
        low = e.apply("le", e.const(0, int64), place)
        high = e.apply("lt", place, e.extent(node.inputs[0].type.shape[one_hot.axis]))
        there = tuple(kept.get(a, place) for a in range(len(axes)))
        inside = e.apply("logical_and", low, high)
        assert isinstance(node.op, Sum)
        masked = node.inputs[0]
        # Another kernel stores what it masked itself, not what is behind the mask.
        together = self.grouping.group_of.get(masked) is self.group
        source = one_hot.source if together else masked
        fed = node.op.emit(e, self.builder.inside(source, there, inside), place)
        value = self.builder.named(node, narrowed(e, node, node.op.finish(e, fed)))
        at = self.at(self.grouping.result_axes(node))
        self.builder.bind(node, at, value)
        self._store(node, at, value)

    def _store(self, node: Node, at: tuple[Expr, ...], value: Expr) -> None:
        if node in self.lowering.targets:
            self.builder.store_later(node, self.lowering.targets[node], at, value)

    # -- one stage --------------------------------------------------------------------

    def _stage(self, variables: tuple[int, ...], members: list[Node], level: int) -> None:
        lane_inside = self.lane not in self.rows
        reduces = [n for n in members if isinstance(n.op, Reduce)]
        for v in variables:
            self._open(v)
        self._bind_cached(variables, level)
        fed = {n: self._element(n) for n in members}
        results: dict[Node, tuple[Expr, ...]] = {n: fed[n] for n in reduces}
        for v in reversed(variables):
            accumulators = {n: self._accumulator(n, results[n]) for n in reduces}
            for n in reduces:
                self.builder.emit(Accumulate(accumulators[n], results[n]))
                results[n] = accumulators[n].refs
            body = self.builder.close()
            self.builder.emit(
                Loop(
                    self.axis[v],
                    self.builder.e.extent(self.grouping.sizes[v]),
                    SEQUENTIAL if reduces else PARALLEL,
                    body,
                    tuple(accumulators.values()),
                    lanes=lane_inside and v == variables[-1],
                )
            )
        for n in reduces:
            self._finish(n, results[n])

    def _element(self, node: Node) -> tuple[Expr, ...]:
        """Compute one element inside the stage's loops; store or keep it where wanted."""
        builder, axes = self.builder, self.grouping.axes(node)
        if isinstance(node.op, Reduce):
            x = builder.at(node.inputs[0], self.at(axes))
            return node.op.emit(builder.e, x, self._position(node, axes))
        value = builder.at(node, self.at(axes))
        if node in self.cached:
            value = builder.named(node, value)
            builder.bind(node, self.at(axes), value)
            builder.emit(Store(self.cached[node], self._inner_at(node), value))
        self._store(node, self.at(axes), value)
        return (value,)

    def _position(self, node: Node, axes: Axes) -> Expr:
        """The row-major position along the reduced axes."""
        e, op = self.builder.e, node.op
        assert isinstance(op, Reduce)
        position: Expr = e.const(0, int64)
        for a, i in enumerate(self.at(axes)):
            if a in op.axes:
                position = e.add(e.times(position, node.inputs[0].type.shape[a]), i)
        return position

    def _accumulator(self, node: Node, fed: tuple[Expr, ...]) -> Accumulator:
        assert isinstance(node.op, Reduce)
        refs = tuple(Ref(x.dtype, self.builder.name(node.op.name)) for x in fed)
        return Accumulator(node.op.combine(), refs)

    def _finish(self, node: Node, results: tuple[Expr, ...]) -> None:
        assert isinstance(node.op, Reduce)
        at = self.at(self.grouping.result_axes(node))
        value = narrowed(self.builder.e, node, node.op.finish(self.builder.e, results))
        self.builder.bind(node, at, value)
        self._store(node, at, value)

    # -- scratch ----------------------------------------------------------------------

    def _choose_cached(self) -> None:
        """Cache expensive values that a later stage needs again in a row of scratch."""
        for node in self.group.nodes:
            if not isinstance(node.op, Elementwise) or not self._loops(node):
                continue
            if self.lane in self.rows:
                continue  # a row of scratch for every lane would not stay near
            if not self._is_expensive(node) or not self._needed_later(node):
                continue
            shape = tuple(self.grouping.sizes[v] for v in self._loops(node))
            if nominal(product(shape)) * node.type.dtype.itemsize > MAX_ROW_SCRATCH_BYTES:
                continue
            name = self.builder.name(f"{node.op.name}_row")
            self.cached[node] = Buffer(name, node.type.dtype, shape)
            self.builder.emit(Scratch(self.cached[node]))

    def _is_expensive(self, node: Node) -> bool:
        return isinstance(node.op, Elementwise) and node.op.cost > MAX_CHEAP_FLOPS

    def _needed_later(self, node: Node) -> bool:
        """Whether a node of a later level reads it, directly or through cheap elementwise nodes."""
        reach, waiting = {node}, [node]
        while waiting:
            for reader in self.grouping.readers[waiting.pop()]:
                if reader in reach or reader not in self.levels:
                    continue
                if self.levels[reader] > self.levels[node]:
                    return True
                if not isinstance(reader.op, Reduce):
                    reach.add(reader)
                    waiting.append(reader)
        return False

    def _inner_at(self, node: Node) -> tuple[Expr, ...]:
        return tuple(self.builder.e.index(self.axis[v]) for v in self._loops(node))

    def _bind_cached(self, variables: tuple[int, ...], level: int) -> None:
        """Load values that earlier stages cached."""
        for node, buffer in self.cached.items():
            if self.levels[node] < level and set(self._loops(node)) <= set(variables):
                value = Load(buffer.dtype, buffer, self._inner_at(node))
                self.builder.bind(node, self.at(self.grouping.axes(node)), value)


def stage_levels(group: Group, grouping: Grouping) -> dict[Node, int]:
    """How many loops within the row must have finished before a node can be computed."""
    inner = grouping.inner(group)
    levels: dict[Node, int] = {}
    for node in group.nodes:
        level = 0
        for i in node.inputs:
            base = base_of(i)
            if base in levels:
                looped = isinstance(base.op, Reduce) and bool(set(grouping.axes(base)) & inner)
                level = max(level, levels[base] + looped)
        levels[node] = level
    return levels


def nest_of(node: Node, grouping: Grouping) -> tuple[int, ...] | None:
    """The variables that a sum runs over, in the order that its bits depend on."""
    if not isinstance(node.op, Reduce):
        return None
    order, axes = grouping.orders.of(node), grouping.axes(node)
    if order.free:
        return None
    taken = [a for a in node.op.axes if axes[a] is not None]
    own = (axes[a] for a in sorted(taken, key=lambda a: (a == order.lane, a)))
    return tuple(v for v in own if v is not None)


def nests(group: Group, grouping: Grouping) -> dict[frozenset[int], tuple[int, ...]]:
    """The order of the first sum over every set of variables: what else runs over them joins it."""
    found: dict[frozenset[int], tuple[int, ...]] = {}
    for node in group.nodes:
        own = nest_of(node, grouping)
        if own:
            found.setdefault(frozenset(own), own)
    return found


def choose_lane(group: Group, lowering: Lowering) -> int | None:
    """The variable that runs over neighbouring elements of most of what is read and written.

    Where something is added, that says whether the lanes run along the sum or over the rows.
    """
    grouping, rows = lowering.grouping, lowering.grouping.rows(group)
    sum_orders = [
        grouping.renamed(sum_order, {}) for sum_order in group.sum_orders if not sum_order.free
    ]
    if sum_orders and sum_orders[0].column is not None:
        return sum_orders[0].column
    votes = lane_votes(group, lowering)
    if sum_orders:
        votes = {v: n for v, n in votes.items() if (v in rows) != sum_orders[0].inside}
        if not votes and sum_orders[0].inside:
            return None  # the last variable of every sum
    if not votes:
        return rows[-1] if rows else None
    best = max(votes, key=lambda v: (votes[v], v))
    if rows and not sum_orders and best not in rows and is_short(grouping.sizes[best]):
        long = [v for v in rows if not is_short(grouping.sizes[v])]
        return long[-1] if long else best
    return best


def lane_votes(group: Group, lowering: Lowering) -> dict[int, int]:
    """How many elements lie next to each other along each variable."""
    grouping = lowering.grouping
    votes: dict[int, int] = {}

    def vote(v: int | None, weight: int) -> None:
        if v is not None:
            votes[v] = votes.get(v, 0) + weight

    for node in group.nodes:
        axes = grouping.axes(node)
        if node in lowering.targets:
            last = [v for v in grouping.result_axes(node) if v is not None]
            vote(last[-1] if last else None, nominal(node.type.size))
        for i in node.inputs:
            if grouping.group_of.get(base_of(i)) is not group:
                vote(last_axis(i, axes), nominal(base_of(i).type.size))
    return votes


def last_axis(node: Node, axes: Axes) -> int | None:
    """The variable, among the reader's axes, that runs over the last axis of a view's base."""
    shape = base_of(node).type.shape
    own = tuple(a if size != 1 else None for a, size in enumerate(shape))
    seen = through_views(node, own)
    last = [a for a in own if a is not None]
    if seen is None or not last or last[-1] not in seen or len(seen) != len(axes):
        return None
    return axes[seen.index(last[-1])]
