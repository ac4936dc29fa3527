"""Decide whether two groups can be merged, and merge them.

What is looked at are the few ways in which nodes run over variables, and the edges between the
two groups as the smaller one has them: a group that grows node by node costs no more than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from graphc.compiler.fusion.group import Form, Group, are_compatible, merged_forms, result_of
from graphc.compiler.fusion.groups import Groups
from graphc.ir.graph import Node
from graphc.ir.ops.axes import Axes, base_of, through_views
from graphc.ir.ops.base import Gather

Pairs = dict[int, int]  # variables of `other`, and those of `group` that they become


class Merging:
    """A candidate merge: a group and a producer of one of its inputs."""

    def __init__(self, grouping: Groups, group: Group, other: Group) -> None:
        self.grouping, self.group, self.other = grouping, group, other
        self.few, self.many = sorted((group, other), key=lambda g: len(g.nodes))

    def pairs(self, node: Node) -> Pairs | None:
        """The variables to unify, seen from a node of the group; None where they cannot be."""
        pairs = self._seen(node)
        if pairs is None or (not pairs and self.group.inner and self.other.inner):
            return None  # two sums over everything have nothing in common
        pairs |= self._inner_pairs(pairs)
        if not self._rows_remain(pairs) or not self._orders_agree(pairs):
            return None
        return None if self._passes_twice(pairs) else pairs

    def _orders_agree(self, pairs: Pairs) -> bool:
        """Whether one kernel can keep the summation order of every reduction."""
        sum_orders = (*self.group.sum_orders, *self.other.sum_orders)
        return are_compatible({self.grouping.renamed(sum_order, pairs) for sum_order in sum_orders})

    def _seen(self, node: Node) -> Pairs | None:
        """The variables of `other` that the node sees, and those on the same axes of the node."""
        mine = self.grouping.axes(node)
        pairs: Pairs = {}
        for i in node.inputs:
            base = base_of(i)
            if self.grouping.group_of.get(base) is not self.other:
                continue
            axes = through_views(i, self.grouping.result_axes(base))
            if axes is None:
                return None
            for v, w in zip(axes, mine):
                if v is not None and (w is None or pairs.setdefault(v, w) != w):
                    return None
        return pairs if len(set(pairs.values())) == len(pairs) else None

    def _inner_pairs(self, seen: Pairs) -> Pairs:
        """Other inner variables of equal size run together, each of `group` taken once."""
        sizes = self.grouping.sizes
        free = sorted(self.grouping.inner(self.group) - set(seen.values()))
        pairs: Pairs = {}
        for v in sorted(self.grouping.inner(self.other) - set(seen)):
            same = [w for w in free if sizes[w] == sizes[v]]
            if same:
                pairs[v] = same[0]
                free.remove(same[0])
        return pairs

    def _rows_remain(self, pairs: Pairs) -> bool:
        """Whether what stays a row after the merge is an axis of every node and result."""
        inner, rows = self._inner(pairs), self._rows(pairs)
        kept = rows - inner
        if rows and not kept:
            return False
        for form in (*self.group.forms, *self.other.forms):
            if not kept <= set(self._renamed(form[0], pairs)):
                return False
            if form[1] is not None and not inner.isdisjoint(self._renamed(result_of(form), pairs)):
                return False
        return True

    def _passes_twice(self, pairs: Pairs) -> bool:
        """Whether something runs over everything after a reduction of everything to few results.

        Threads share the elements, so each must wait for the results: that is another kernel.
        """
        inner = self._inner(pairs)
        forms = [(self._renamed(a, pairs), r) for a, r in (*self.group.forms, *self.other.forms)]
        if not self.grouping.divided(forms):
            return False
        passes_twice = self.group.passes_twice or self.other.passes_twice
        return passes_twice or self._follows_inside(inner, pairs)

    def edges_agree(self, pairs: Pairs) -> bool:
        """Whether values that pass between the groups are read at the index they are made at."""
        for reader, k in self._edges():
            i = reader.inputs[k]
            axes = through_views(i, self.grouping.result_axes(base_of(i)))
            if axes is None or (isinstance(reader.op, Gather) and k == 0):
                return False
            mine = self._renamed(self.grouping.axes(reader), pairs)
            if any(v is not None and v != w for v, w in zip(self._renamed(axes, pairs), mine)):
                return False
        return True

    def merge(self) -> None:
        """Merge the two groups, whose variables have been unified, into the larger one."""
        few, many, grouping = self.few, self.many, self.grouping
        inner = grouping.inner(few) | grouping.inner(many)
        passes_twice, (_, late) = self._follows_inside(inner, {}), self._late
        for node in few.nodes:
            grouping.group_of[node] = many
        forms: dict[Form, int] = {}
        for (axes, reduced), position in merged_forms((few, many)).items():
            forms.setdefault((grouping.found(axes), reduced), position)
        grouping.precedence.merge(many, few)
        many.absorb(few, self.group.kind, forms)
        many.inner = grouping.inner(many)
        many.late |= late
        many.passes_twice |= passes_twice

    # -- variables ------------------------------------------------------------------

    def _renamed(self, axes: Axes, pairs: Pairs) -> Axes:
        return tuple([v if v is None else pairs.get(v, v) for v in self.grouping.found(axes)])

    def _inner(self, pairs: Pairs) -> set[int]:
        inner = self.grouping.inner
        return inner(self.group) | {pairs.get(v, v) for v in inner(self.other)}

    def _rows(self, pairs: Pairs) -> set[int]:
        rows = self.grouping.rows
        return {*rows(self.group), *(pairs.get(v, v) for v in rows(self.other))}

    # -- edges ----------------------------------------------------------------------

    def _edges(self) -> Iterator[tuple[Node, int]]:
        """Readers in one of the groups, with the number of an input made in the other one."""
        group_of = self.grouping.group_of
        for node in self.few.nodes:
            for k, i in enumerate(node.inputs):
                if group_of.get(base_of(i)) is self.many:
                    yield node, k
            for reader in self.grouping.readers[node]:
                if group_of.get(reader) is self.many:
                    for k, i in enumerate(reader.inputs):
                        if base_of(i) is node:
                            yield reader, k

    @cached_property
    def _late(self) -> tuple[set[Node], set[Node]]:
        """Nodes that only now follow a reduction of either group, and those late only now."""
        known = (self.few.late, self.many.late)
        following: set[Node] = set()
        for reader, k in self._edges():
            made = base_of(reader.inputs[k])
            if any(made in late for late in known):
                following.add(reader)
        added: set[Node] = set()
        waiting = list(following)
        while waiting:
            node = waiting.pop()
            if node in added or any(node in late for late in known):
                continue
            added.add(node)
            reading = [r for r in self.grouping.readers[node] if self._is_inside(r)]
            following.update(reading)
            waiting += reading
        return following, added

    def _follows_inside(self, inner: set[int], pairs: Pairs) -> bool:
        following, _ = self._late
        axes = (self._renamed(self.grouping.axes(n), pairs) for n in following)
        return any(not inner.isdisjoint(own) for own in axes)

    def _is_inside(self, node: Node) -> bool:
        return self.grouping.group_of.get(node) in (self.few, self.many)
