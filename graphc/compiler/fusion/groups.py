"""Groups of nodes and their loop variables, and what is asked about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from graphc.compiler.fusion.group import Form, Group, SumOrder, is_divided, reduced_axes, result_of
from graphc.compiler.fusion.precedence import Precedence
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import Axes, base_of
from graphc.ir.ops.base import Leaf, Reduce, View
from graphc.ir.ops.leaf import RandomBits


class Groups:
    """Groups, their loop variables and order; `group_of` has all nodes but leaves and views."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {n: i for i, n in enumerate(graph.nodes)}
        self.group_of: dict[Node, Group] = {}
        self.readers = readers(graph)
        self.sizes: list[Size] = []
        self._axes: dict[Node, Axes] = {}  # of the iteration: a reduce's input
        self._same: list[int] = []
        self.precedence = Precedence()

    # -- variables ------------------------------------------------------------------

    def variable(self, size: Size) -> int | None:
        """A new loop variable; None for size 1."""
        if size == 1:
            return None
        self.sizes.append(size)
        self._same.append(len(self._same))
        return len(self._same) - 1

    def find(self, v: int | None) -> int | None:
        """The variable that stands for all variables unified with v."""
        if v is None:
            return None
        while self._same[v] != v:
            self._same[v] = self._same[self._same[v]]
            v = self._same[v]
        return v

    def unify(self, pairs: Mapping[int, int]) -> None:
        """Unify pairs of variables: the second stands for both."""
        for v, w in pairs.items():
            self._same[v] = w

    def axes(self, node: Node) -> Axes:
        """The variables of a placed node's iteration."""
        return self.found(self._axes[node])

    def found(self, axes: Axes) -> Axes:
        """The variables that stand for these."""
        return tuple([self.find(v) for v in axes])

    def result_axes(self, node: Node) -> Axes:
        """The variables of a placed node's result."""
        return result_of((self.axes(node), reduced_axes(node)))

    def inner(self, group: Group) -> set[int]:
        """The inner variables of a group."""
        return {v for v in map(self.find, group.inner) if v is not None}

    def rows(self, group: Group) -> tuple[int, ...]:
        """The row variables of a group, in the order of its first node with all of them."""
        inner = self.inner(group)
        best: tuple[int, ...] = ()
        for axes, _ in group.forms:
            rows = tuple([v for v in self.found(axes) if v is not None and v not in inner])
            if len(rows) > len(best):
                best = rows
        return best

    def keep(self, group: Group, nodes: list[Node]) -> None:
        """Restrict a group to some of its nodes."""
        group.nodes = nodes
        group.forms = {}
        for node in nodes:
            form = self.axes(node), reduced_axes(node)
            group.forms.setdefault(form, self.position[node])

    # -- orders -----------------------------------------------------------------------

    def renamed(self, sum_order: SumOrder, pairs: Mapping[int, int]) -> SumOrder:
        """An order with the variables that stand for its own."""
        column, *reduced = (self.find(v) for v in (sum_order.column, *sum_order.reduced))
        return replace(
            sum_order,
            column=column if column is None else pairs.get(column, column),
            reduced=tuple(pairs.get(v, v) for v in reduced if v is not None),
        )

    def is_chunked(self, group: Group) -> bool:
        """Whether a group adds in chunks, by two kernels."""
        return any(sum_order.chunked for sum_order in group.sum_orders)

    def is_joined(self, group: Group) -> bool:
        """Whether all that a group reduces in chunks is reduced as one axis."""
        return any(sum_order.joined for sum_order in group.sum_orders)

    def is_divided(self, group: Group) -> bool:
        """Whether threads share what a group reduces."""
        return self.divided(group.forms)

    def divided(self, forms: Iterable[Form]) -> bool:
        """Whether threads share what is reduced in one of these forms."""
        return any(self._is_shared(*form) for form in forms if form[1])

    def _is_shared(self, axes: Axes, reduced: tuple[int, ...] | None) -> bool:
        own = [(v, a in (reduced or ())) for a, v in enumerate(axes) if v is not None]
        inner = [self.sizes[v] for v, taken in own if taken]
        rows = [self.sizes[v] for v, taken in own if not taken]
        return bool(inner) and is_divided(rows, inner, own[-1][1])

    # -- cycles -----------------------------------------------------------------------

    def needing(self, group: Group) -> set[Group]:
        """The transitive successors of a group."""
        found: set[Group] = set()
        stack = [group]
        while stack:
            fresh = stack.pop().after - found
            found |= fresh
            stack.extend(fresh)
        return found

    def put_before(self, first: Group, second: Group) -> None:
        """Order one group before another that reads nothing of it."""
        if first is not second:
            second.before.add(first)
            first.after.add(second)
            second.predecessors.add(first)


def readers(graph: Graph) -> dict[Node, list[Node]]:
    """For every computed node or leaf, the computed nodes that read it, directly or as a view."""
    result: dict[Node, list[Node]] = {n: [] for n in graph.nodes}
    for node in graph.nodes:
        if is_computed(node):
            for base in dict.fromkeys(base_of(i) for i in node.inputs):
                result[base].append(node)
    return result


def is_computed(node: Node) -> bool:
    """True for nodes that a kernel computes: no views, and no leaves but random bits."""
    if isinstance(node.op, RandomBits):
        return True
    return not isinstance(node.op, (Leaf, View))


def iteration_shape(node: Node) -> tuple[Size, ...]:
    """The sizes a node iterates over: its shape; a reduce's input shape."""
    return node.inputs[0].type.shape if isinstance(node.op, Reduce) else node.type.shape
