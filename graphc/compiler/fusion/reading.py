"""The readers of values, and whether a kernel may update a parameter in place."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.compiler.fusion.chunks import nodes_inside
from graphc.compiler.fusion.group import SPECIAL, Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.groups import is_computed
from graphc.compiler.fusion.rows import stage_levels
from graphc.ir.graph import Node
from graphc.ir.ops.axes import base_of, through_views
from graphc.ir.ops.base import Elementwise, Reduce
from graphc.ir.ops.loop import Scan
from graphc.ir.ops.matrix import Cholesky


class ReaderIndex:
    """The readers of every leaf and stored node, through inlined nodes."""

    def __init__(self, grouping: Grouping, inlined: set[Node], stored: set[Node]) -> None:
        self.grouping, self.inlined, self.stored = grouping, inlined, stored
        self.again = inlined | grouping.uniform  # what every reader computes
        self._last: dict[Group, set[Node]] = {}
        self._readers: dict[Node, dict[Group, list[Node]]] = {}
        for node, group in grouping.group_of.items():
            for i in node.inputs:
                for leaf in self._leaves_of(base_of(i)):
                    self._readers.setdefault(leaf, {}).setdefault(group, []).append(node)

    def groups(self, leaf: Node) -> Iterable[Group]:
        """The groups that read it."""
        return self._readers.get(leaf, {})

    def may_update_in_place(self, parameter: Node, value: Node) -> bool:
        """Whether the kernel that makes a value reads a parameter at the index where the value is
        stored, and nowhere else, checks nothing, and stores the value in its last stage."""
        group = self.grouping.group_of[value]
        if value not in self._last_stage(group):
            return False
        own = self.grouping.result_axes(value)
        seen: set[Node] = set()
        return all(
            self._reads_at(node, parameter, own, self.grouping.axes(node), seen)
            for node in self._readers.get(parameter, {}).get(group, ())
        )

    def _last_stage(self, group: Group) -> set[Node]:
        """The nodes of a group's last stage; none where the group must not overwrite anything."""
        if group not in self._last:
            self._last[group] = set()
            if group.kind != SPECIAL and not any(may_fail(n) for n in group.nodes):
                self._last[group] = self._stage_at_the_end(group)
        return self._last[group]

    def _stage_at_the_end(self, group: Group) -> set[Node]:
        if self.grouping.is_chunked(group):
            return set(group.nodes) - set(nodes_inside(group, self.grouping))
        levels = stage_levels(group, self.grouping)
        top = max(levels.values())  # a later stage may read the parameter again
        return {n for n, level in levels.items() if level == top}

    def _reads_at(
        self,
        node: Node,
        parameter: Node,
        own: tuple[int | None, ...],
        axes: tuple[int | None, ...],
        seen: set[Node],
    ) -> bool:
        """Whether a node (and what is inlined into it) reads the parameter at index `own` only."""
        for i in node.inputs:
            base = base_of(i)
            if base is parameter:
                shown = through_views(i, own)
                if not isinstance(node.op, (Elementwise, Reduce)) or shown is None:
                    return False
                if any(v is not None and v != w for v, w in zip(shown, axes)):
                    return False
                if any(v is not None and v not in shown for v in own):
                    return False
            elif base in self.inlined and base not in seen:
                seen.add(base)
                if parameter in self._leaves_of(base):
                    return False
        return True

    def _leaves_of(self, node: Node) -> set[Node]:
        """The stored nodes that reading a node reads, going through what is computed again: what
        is inlined, with all that it is made of and that has no bytes."""
        found: set[Node] = set()
        stack = [node]
        while stack:
            n = stack.pop()
            passed = n is not node and n in self.grouping.group_of and n not in self.stored
            if n in self.again or passed:
                stack.extend(base_of(i) for i in n.inputs)
            else:
                found.add(n)
        return found


def may_fail(node: Node) -> bool:
    """Whether the kernel of a node checks data."""
    if isinstance(node.op, Scan):
        return any(map(may_fail, node.op.body.nodes))
    if node.op.indices is not None or (isinstance(node.op, Cholesky) and node.op.check):
        return True
    return not node.op.pure and is_computed(node)
