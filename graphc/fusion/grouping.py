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

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphc.dims import Size, product
from graphc.fusion.axes import Axes, base_of, through_views
from graphc.graph import Graph, Node
from graphc.ops.base import (
    Contract,
    Elementwise,
    Gather,
    Join,
    Leaf,
    Ordered,
    Reduce,
    Scatter,
    View,
)
from graphc.ops.leaf import RandomBits
from graphc.ops.loop import Body, Scan

ROWS, CONTRACTION, SPECIAL = "rows", "contraction", "special"
UNIFORM_COST = 12  # flops of a number that is not worth a kernel and a barrier
CHEAP = 4  # flops per element that are not worth a round trip through memory


@dataclass(eq=False)
class Group:
    """Nodes of one kernel, in topological order."""

    kind: str
    first: int  # position of its earliest node
    last: int = 0  # position of its latest node
    nodes: list[Node] = field(default_factory=list)
    axes: dict[Node, Axes] = field(default_factory=dict)  # of the iteration: a reduce's input
    inner: set[int] = field(default_factory=set)
    late: set[Node] = field(default_factory=set)  # reductions, and what follows them
    before: set[Group] = field(default_factory=set)  # groups it reads from
    after: set[Group] = field(default_factory=set)  # groups that read from it


class Grouping:
    """The groups of a graph. `group_of` holds every node that is computed (no leaves, no views)."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {n: i for i, n in enumerate(graph.nodes)}
        self.group_of: dict[Node, Group] = {}
        self.readers = readers(graph)
        self._roots = {base_of(r) for r in graph.roots}
        self.sizes: list[Size] = []
        self._same: list[int] = []
        self._loops: dict[tuple[Body, tuple[Node, ...]], Group] = {}
        self._reordered = False  # whether a group may wait for a later one
        self.uniform = find_uniform(graph, self._roots)
        placed = [n for n in graph.nodes if is_computed(n) and n not in self.uniform]
        for node in placed:
            self._place(node)
        for node in placed:  # what only now has inner variables may take in more
            if self.group_of[node].kind == ROWS:
                self._merge_others(node, self.group_of[node])

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

    def axes(self, node: Node) -> Axes:
        """The variables of a placed node's iteration."""
        return tuple(self.find(v) for v in self.group_of[node].axes[node])

    def result_axes(self, node: Node) -> Axes:
        """The variables of a placed node's result."""
        axes = self.axes(node)
        if isinstance(node.op, Reduce):
            return tuple(v for i, v in enumerate(axes) if i not in node.op.axes)
        return axes

    def inner(self, group: Group) -> set[int]:
        """The inner variables of a group."""
        return {v for v in map(self.find, group.inner) if v is not None}

    def rows(self, group: Group) -> tuple[int, ...]:
        """The row variables of a group, in the order of its first node with all of them."""
        inner = self.inner(group)
        best: tuple[int, ...] = ()
        for node in group.nodes:
            rows = tuple(v for v in self.axes(node) if v is not None and v not in inner)
            if len(rows) > len(best):
                best = rows
        return best

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
                self._merge_others(node, group)
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
        group = Group(kind, self.position[node])
        self._join(node, group, tuple(self.variable(s) for s in shape))

    def _join(self, node: Node, group: Group, axes: Axes) -> None:
        group.nodes.append(node)
        group.axes[node] = axes
        group.last = self.position[node]
        self.group_of[node] = group
        if _is_late(node, group.late, axes):
            group.late.add(node)
        if isinstance(node.op, Reduce):
            group.inner |= {v for v in (axes[a] for a in node.op.axes) if v is not None}
        for other in self._input_groups(node):
            if other is not group:
                group.before.add(other)
                other.after.add(group)

    def _input_groups(self, node: Node) -> list[Group]:
        found = {self.group_of[b]: None for i in node.inputs if (b := base_of(i)) in self.group_of}
        return list(found)

    def _candidates(self, node: Node) -> list[Group]:
        """Groups of the inputs: contractions first (their epilogue is free), then the latest."""
        groups = [g for g in self._input_groups(node) if g.kind != SPECIAL]
        return sorted(groups, key=lambda g: (g.kind != CONTRACTION, -g.last))

    def _fit(self, node: Node, group: Group, shape: tuple[Size, ...]) -> Axes | None:
        """The node's axes in the group, or None where it cannot join."""
        if group.kind == CONTRACTION and not isinstance(node.op, Elementwise):
            return None
        axes = self._unify_inputs(node, group, shape)
        if axes is None:
            return None
        axes = self._inner_matches(group, axes, shape)
        if axes is None or not self._keeps_rows(node, group, axes):
            return None
        again = _follows(node, group.late) and any(v is not None for v in axes)
        if again and not self.rows(group) and not self._is_short(group):
            return None  # see `_passes_twice`
        others = (g for g in self._input_groups(node) if g is not group)
        return None if any(self.depends(g, group) for g in others) else axes

    def _is_short(self, group: Group) -> bool:
        return is_small(self.sizes[v] for v in sorted(self.inner(group)))

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
        whole = bool(self.rows(group)) or is_small(self.sizes[w] for w in inner)
        for a, (v, size) in enumerate(zip(axes, shape)):
            if v is not None or size == 1:
                continue
            if not whole:
                return None  # reduced to a number over all threads: a second pass is a kernel
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
        results = (n for n in group.nodes if isinstance(n.op, Reduce))
        if any(reduced & set(self.result_axes(n)) for n in results):
            return False
        return bool(rows - reduced) or not inner

    # -- merging ----------------------------------------------------------------------

    def _merge_others(self, node: Node, group: Group) -> None:
        for other in self._input_groups(node):
            if other is group or other.kind != ROWS:
                continue
            if group.kind == CONTRACTION and not self._is_for(other, node):
                continue
            if self._may_merge(node, group, other):
                self._merge(group, other)

    def _is_for(self, group: Group, reader: Node) -> bool:
        """Whether a group is a few cheap elementwise nodes that one node alone reads."""
        for n in group.nodes:
            if not isinstance(n.op, Elementwise) or n.op.cost > CHEAP or not n.op.pure:
                return False
            if n in self._roots or any(
                r is not reader and self.group_of.get(r) is not group for r in self.readers[n]
            ):
                return False
        return True

    def _may_merge(self, node: Node, group: Group, other: Group) -> bool:
        """Unify the variables through the node's axes, when every condition holds."""
        pairs = self._pairs(node, other)
        if pairs is None or (not pairs and group.inner and other.inner):
            return False  # two sums over everything have nothing in common
        pairs |= self._inner_pairs(group, other, pairs)
        if not self._rows_remain(group, other, pairs) or self._passes_twice(group, other, pairs):
            return False
        if self._path_outside(group, other) or self._path_outside(other, group):
            return False
        if not self._edges_agree(group, other, pairs):
            return False
        for v, w in pairs.items():
            self._same[v] = w
        return True

    def _pairs(self, node: Node, other: Group) -> dict[int, int] | None:
        """The variables of `other` that the node sees, and those on the same axes of the node."""
        mine = self.axes(node)
        pairs: dict[int, int] = {}
        for i in node.inputs:
            base = base_of(i)
            if self.group_of.get(base) is not other:
                continue
            axes = through_views(i, self.result_axes(base))
            if axes is None:
                return None
            for v, w in zip(axes, mine):
                if v is not None and (w is None or pairs.setdefault(v, w) != w):
                    return None
        return pairs if len(set(pairs.values())) == len(pairs) else None

    def _inner_pairs(self, group: Group, other: Group, seen: dict[int, int]) -> dict[int, int]:
        """Other inner variables of equal size run together, each of `group` taken once."""
        free = sorted(self.inner(group) - set(seen.values()))
        pairs: dict[int, int] = {}
        for v in sorted(self.inner(other) - set(seen)):
            same = [w for w in free if self.sizes[w] == self.sizes[v]]
            if same:
                pairs[v] = same[0]
                free.remove(same[0])
        return pairs

    def _rows_remain(self, group: Group, other: Group, pairs: dict[int, int]) -> bool:
        """Whether what stays a row after the merge is an axis of every node and result."""
        inner = self.inner(group) | {pairs.get(v, v) for v in self.inner(other)}
        rows = set(self.rows(group)) | {pairs.get(v, v) for v in self.rows(other)}
        kept = rows - inner
        if rows and not kept:
            return False
        for node in group.nodes + other.nodes:
            axes = {pairs.get(v, v) for v in self.axes(node) if v is not None}
            if not kept <= axes:
                return False
            if isinstance(node.op, Reduce):
                result = {pairs.get(v, v) for v in self.result_axes(node) if v is not None}
                if result & inner:
                    return False
        return True

    def _passes_twice(self, group: Group, other: Group, pairs: dict[int, int]) -> bool:
        """Whether something runs over everything after a reduction of everything to a number.

        Threads share the elements, so each must wait for the number: that is another kernel.
        """
        inner = self.inner(group) | {pairs.get(v, v) for v in self.inner(other)}
        rows = {pairs.get(v, v) for v in (*self.rows(group), *self.rows(other))} - inner
        if rows or is_small(self.sizes[v] for v in sorted(inner)):
            return False
        late: set[Node] = set()
        for node in sorted(group.nodes + other.nodes, key=self.position.__getitem__):
            if _is_late(node, late, self.axes(node)):
                late.add(node)
                if _follows(node, late) and any(v is not None for v in self.axes(node)):
                    return True
        return False

    def _edges_agree(self, group: Group, other: Group, pairs: dict[int, int]) -> bool:
        """Values that pass between the two groups are read at the index they are made at."""

        def renamed(axes: Axes) -> Axes:
            return tuple(pairs.get(v, v) if v is not None else None for v in axes)

        for reader in group.nodes + other.nodes:
            mine = renamed(self.axes(reader))
            for k, i in enumerate(reader.inputs):
                made_in = self.group_of.get(base_of(i))
                if made_in not in (group, other) or made_in is self.group_of[reader]:
                    continue
                axes = through_views(i, self.result_axes(base_of(i)))
                if axes is None or (isinstance(reader.op, Gather) and k == 0):
                    return False
                if any(v is not None and v != w for v, w in zip(renamed(axes), mine)):
                    return False
        return True

    def _merge(self, group: Group, other: Group) -> None:
        group.nodes = sorted(group.nodes + other.nodes, key=self.position.__getitem__)
        group.axes |= other.axes
        group.inner |= other.inner
        group.late = set()
        for node in group.nodes:
            if _is_late(node, group.late, group.axes[node]):
                group.late.add(node)
        group.first = min(group.first, other.first)
        for node in other.nodes:
            self.group_of[node] = group
        for g in other.before:
            g.after.discard(other)
            g.after.add(group)
        for g in other.after:
            g.before.discard(other)
            g.before.add(group)
        group.before = (group.before | other.before) - {group, other}
        group.after = (group.after | other.after) - {group, other}
        group.last = max(group.last, other.last)

    # -- cycles -----------------------------------------------------------------------

    def depends(self, group: Group, on: Group) -> bool:
        """Whether `group` needs `on`, directly or through others."""
        return group is on or self._path(list(group.before), on, skip=None)

    def needing(self, group: Group) -> set[Group]:
        """The groups that need a group, directly or through others."""
        found: set[Group] = set()
        stack = [group]
        while stack:
            fresh = stack.pop().after - found
            found |= fresh
            stack.extend(fresh)
        return found

    def put_before(self, first: Group, second: Group) -> None:
        """Let one group wait for another although it reads nothing of it."""
        if first is not second:
            second.before.add(first)
            first.after.add(second)
            self._reordered = True

    def _path_outside(self, group: Group, on: Group) -> bool:
        """Whether `group` needs `on` through a third group."""
        return self._path([g for g in group.before if g is not on], on, skip=group)

    def _path(self, stack: list[Group], on: Group, skip: Group | None) -> bool:
        seen: set[Group] = set()
        while stack:
            g = stack.pop()
            if g is on:
                return True
            # a group whose nodes all come before the first node of `on` cannot need it
            if g in seen or g is skip or (not self._reordered and g.last < on.first):
                continue
            seen.add(g)
            stack.extend(g.before)
        return False


def _follows(node: Node, late: set[Node]) -> bool:
    return any(base_of(i) in late for i in node.inputs)


def _is_late(node: Node, late: set[Node], axes: Axes) -> bool:
    """Whether a node, whose iteration has these axes, is a reduction or follows one."""
    reduces = isinstance(node.op, Reduce) and any(v is not None for v in axes)
    return reduces or _follows(node, late)


def find_uniform(graph: Graph, roots: set[Node]) -> set[Node]:
    """Numbers made of leaves by a few operations: every kernel computes them again.

    So 1 / batch, which the gradient of a mean needs, does not wait for the mean.
    """
    cost: dict[Node, int] = {}
    for node in graph.nodes:
        if node.type.ndim or node in roots or not isinstance(node.op, Elementwise):
            continue
        total = node.op.cost if node.op.pure else UNIFORM_COST + 1
        for base in map(base_of, node.inputs):
            known = isinstance(base.op, Leaf) and not base.type.ndim
            total += 0 if known else cost.get(base, UNIFORM_COST + 1)
        if total <= UNIFORM_COST:
            cost[node] = total
    return set(cost)


def readers(graph: Graph) -> dict[Node, list[Node]]:
    """For every computed node or leaf, the computed nodes that read it, directly or as a view."""
    result: dict[Node, list[Node]] = {n: [] for n in graph.nodes}
    for node in graph.nodes:
        if is_computed(node):
            for base in dict.fromkeys(base_of(i) for i in node.inputs):
                result[base].append(node)
    return result


def is_small(sizes: Iterable[Size]) -> bool:
    """True for a row short enough to stay in the nearest cache."""
    total = product(sizes)
    return isinstance(total, int) and total <= 4096


def is_computed(node: Node) -> bool:
    """True for nodes that a kernel computes: no views, and no leaves but random bits."""
    if isinstance(node.op, RandomBits):
        return True
    return not isinstance(node.op, (Leaf, View))


def iteration_shape(node: Node) -> tuple[Size, ...]:
    """The sizes a node iterates over: its shape; a reduce's input shape."""
    return node.inputs[0].type.shape if isinstance(node.op, Reduce) else node.type.shape
