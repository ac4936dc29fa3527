"""Decide which nodes share a kernel.

Every group has loop variables. A variable is a *row* of the group (each iteration of the kernel
owns one value of it) or *inner* (looped over within a row: something is reduced over it). A node
joins the group of an input when, going through views, its axes are the group's variables, when
it has every row of the group, and when no cycle between kernels arises. So a chain of elementwise
ops is a group whose variables are all rows; a softmax with its loss and gradient is a group with
the batch as row and the classes inside; a matrix product with its epilogue is a group that only
takes elementwise nodes of its own shape. Nothing here knows an op by name.
"""

from __future__ import annotations

from graphc.compiler.fusion.group import (
    CONTRACTION,
    ROWS,
    SPECIAL,
    Group,
    SumOrder,
    are_compatible,
    result_of,
)
from graphc.compiler.fusion.groups import Groups, is_computed, iteration_shape
from graphc.compiler.fusion.merging import Merging
from graphc.compiler.fusion.summing import SumOrders
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import Axes, base_of, through_views
from graphc.ir.ops.base import (
    Contract,
    Elementwise,
    Gather,
    Join,
    Leaf,
    Ordered,
    Reduce,
    Scatter,
)
from graphc.ir.ops.loop import Body, Scan

MAX_UNIFORM_FLOPS = 12  # of a number that is not worth a kernel and a barrier
MAX_GROUP_NODES = 1000  # what LLVM needs for a kernel grows faster than the kernel
MAX_CHEAP_FLOPS = 4  # per element: not worth a round trip through memory


class Grouping(Groups):
    """Assigns every computed node of a graph to a group."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._roots = {base_of(r) for r in graph.roots}
        self._loops: dict[tuple[Body, tuple[Node, ...]], Group] = {}
        self.orders = SumOrders(graph)
        self.uniform = find_uniform(graph, self._roots)
        placed = [n for n in graph.nodes if is_computed(n) and n not in self.uniform]
        for node in placed:
            self._place(node)
        for node in placed:  # what only now has inner variables may take in more
            if self.group_of[node].kind == ROWS:
                self._merge_others(node)
        for group in dict.fromkeys(self.group_of.values()):
            group.nodes.sort(key=self.position.__getitem__)

    # -- placing ----------------------------------------------------------------------

    def _place(self, node: Node) -> None:
        shape = iteration_shape(node)
        if isinstance(node.op, Scan):
            self._place_loop(node)
            return
        if isinstance(node.op, (Join, Scatter, Ordered)):
            self._start(node, SPECIAL, shape)
            return
        if isinstance(node.op, Contract):
            self._start(node, CONTRACTION, shape)
            return
        for group in self._candidates(node):
            axes = self._fit(node, group, shape)
            if axes is not None:
                self._join(node, group, axes)
                self._merge_others(node)
                return
        self._start(node, ROWS, shape)

    def _place_loop(self, node: Node) -> None:
        """The results of one loop are one group."""
        assert isinstance(node.op, Scan)
        key = node.op.body, node.inputs
        if key in self._loops:
            self._join(node, self._loops[key], ())
        else:
            self._start(node, SPECIAL, ())
            self._loops[key] = self.group_of[node]

    def _start(self, node: Node, kind: str, shape: tuple[Size, ...]) -> None:
        group = Group(kind)
        self.precedence.append(group)
        self._join(node, group, tuple(self.variable(s) for s in shape))

    def _join(self, node: Node, group: Group, axes: Axes) -> None:
        self._axes[node] = axes
        self.group_of[node] = group
        group.add(node, self.position[node], axes)
        group.sum_orders |= self._sum_orders(node, axes)
        for other in self._input_groups(node):
            if other is not group:
                self.precedence.put_before(other, group)

    def _input_groups(self, node: Node) -> list[Group]:
        found = {self.group_of[b]: None for i in node.inputs if (b := base_of(i)) in self.group_of}
        return list(found)

    def _candidates(self, node: Node) -> list[Group]:
        """Groups of the inputs: contractions first (their epilogue is free), then the latest."""
        groups = [g for g in self._input_groups(node) if g.kind != SPECIAL]
        return sorted(groups, key=lambda g: (g.kind != CONTRACTION, -g.last))

    def _fit(self, node: Node, group: Group, shape: tuple[Size, ...]) -> Axes | None:
        """The node's axes in the group, or None where it cannot join."""
        if len(group.nodes) >= MAX_GROUP_NODES:
            return None
        if group.kind == CONTRACTION and not isinstance(node.op, Elementwise):
            return None
        axes = self._unify_inputs(node, group, shape)
        if axes is None:
            return None
        axes = self._inner_matches(group, axes, shape)
        if axes is None or not self._keeps_rows(node, group, axes):
            return None
        again = group.follows(node) and not self.inner(group).isdisjoint(axes)
        if again and self.is_divided(group):
            return None  # see `_passes_twice`
        if not self._adds_alike(node, group, axes):
            return None
        others = (g for g in self._input_groups(node) if g is not group)
        return None if any(self.precedence.needs(g, group) for g in others) else axes

    def _adds_alike(self, node: Node, group: Group, axes: Axes) -> bool:
        """Whether the node's summation order agrees with those of the group."""
        sum_orders = self._sum_orders(node, axes)
        if any(w.chunked for w in sum_orders) and (group.passes_twice or group.follows(node)):
            return False
        return are_compatible(
            self.renamed(sum_order, {}) for sum_order in (*group.sum_orders, *sum_orders)
        )

    def _sum_orders(self, node: Node, axes: Axes) -> dict[SumOrder, None]:
        """The summation orders that a node requires of its kernel."""
        sum_order = self.orders.sum_order(node, axes)
        return {} if sum_order is None else {sum_order: None}

    def _unify_inputs(self, node: Node, group: Group, shape: tuple[Size, ...]) -> Axes | None:
        """Where the inputs from the group put its variables on the node's axes."""
        found: list[int | None] = [None] * len(shape)
        for k, i in enumerate(node.inputs):
            base = base_of(i)
            if self.group_of.get(base) is not group:
                continue
            if isinstance(node.op, Gather) and k == 0:
                return None  # the table is read at other rows
            axes = through_views(i, self.result_axes(base))
            if axes is None:
                return None
            for a, v in enumerate(axes):
                if v is None:
                    continue
                if found[a] is None:
                    found[a] = v
                elif self.find(found[a]) != self.find(v):
                    return None
        used = [v for v in found if v is not None]
        return tuple(found) if len(set(used)) == len(used) else None

    def _inner_matches(self, group: Group, axes: Axes, shape: tuple[Size, ...]) -> Axes | None:
        """Axes that repeat the group's values must run over an inner variable of their size."""
        result = list(axes)
        inner = sorted(self.inner(group))
        for a, (v, size) in enumerate(zip(axes, shape)):
            if v is not None or size == 1:
                continue
            if self.is_divided(group):
                return None  # reduced by all threads together: a second pass is a kernel
            free = [w for w in inner if self.sizes[w] == size and w not in result]
            if not free:
                return None
            result[a] = free[0]
        return tuple(result)

    def _keeps_rows(self, node: Node, group: Group, axes: Axes) -> bool:
        """Every row of the group is an axis of the node, and reducing leaves it rows."""
        rows = set(self.rows(group))
        if not rows <= set(axes):
            return False
        if not isinstance(node.op, Reduce):
            return True
        reduced = {axes[a] for a in node.op.axes if axes[a] is not None}
        kept = {v for a, v in enumerate(axes) if a not in node.op.axes and v is not None}
        inner = self.inner(group)
        if kept & inner:
            return False  # the result would need an array per row
        if not reduced & rows:
            return True
        results = (self.found(result_of(f)) for f in group.forms if f[1] is not None)
        if any(not reduced.isdisjoint(axes) for axes in results):
            return False
        return bool(rows - reduced) or not inner

    # -- merging ----------------------------------------------------------------------

    def _merge_others(self, node: Node) -> None:
        for other in self._input_groups(node):
            group = self.group_of[node]
            if other is group or other.absorbed or other.kind != ROWS:
                continue
            if len(group.nodes) + len(other.nodes) > MAX_GROUP_NODES:
                continue
            if group.kind == CONTRACTION and not self._is_for(other, node):
                continue
            self._merge(node, group, other)

    def _is_for(self, group: Group, reader: Node) -> bool:
        """Whether a group is a few cheap elementwise nodes with a single reader."""
        for n in group.nodes:
            if not isinstance(n.op, Elementwise) or n.op.cost > MAX_CHEAP_FLOPS or not n.op.pure:
                return False
            if n in self._roots or any(
                r is not reader and self.group_of.get(r) is not group for r in self.readers[n]
            ):
                return False
        return True

    def _merge(self, node: Node, group: Group, other: Group) -> None:
        """Merge a node's group with that of an input, where that is legal."""
        merging = Merging(self, group, other)
        pairs = merging.pairs(node)
        if pairs is None or not self.precedence.can_merge(group, other):
            return
        if not merging.edges_agree(pairs):
            return
        self.unify(pairs)
        merging.merge()


def find_uniform(graph: Graph, roots: set[Node]) -> set[Node]:
    """Scalars computed from leaves in a few operations: every kernel recomputes them.

    So 1 / batch, which the gradient of a mean needs, does not wait for the mean.
    """
    cost: dict[Node, int] = {}
    for node in graph.nodes:
        if node.type.ndim or node in roots or not isinstance(node.op, Elementwise):
            continue
        total = node.op.cost if node.op.pure else MAX_UNIFORM_FLOPS + 1
        for base in map(base_of, node.inputs):
            known = isinstance(base.op, Leaf) and not base.type.ndim
            total += 0 if known else cost.get(base, MAX_UNIFORM_FLOPS + 1)
        if total <= MAX_UNIFORM_FLOPS:
            cost[node] = total
    return set(cost)
