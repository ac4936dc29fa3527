"""An incremental topological order of groups.

Whether one group needs another one is asked for nearly every node. A group can only need groups
of lower rank, so a search looks at those between the two alone. It goes from both ends, a group
here and a group there, and stops with the end that has less: what it found is what must move when
the two become neighbours, and moving it keeps the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.compiler.fusion.group import Group
from graphc.errors import VerifyError
from graphc.ir.graph import Node
from graphc.ir.ops.axes import base_of

RANK_GAP_BITS = 256  # between the ranks of neighbours: insertions at one place before all make room


@dataclass(frozen=True)
class RankMove:
    """The groups to move so that two groups become neighbours: before the lower or after the
    higher.

    `moving` are the groups between them that the higher one needs (`below`), or those that need
    the lower one.
    """

    moving: tuple[Group, ...]
    below: bool


class Precedence:
    """Groups in a list, with ranks that ascend along it."""

    def __init__(self) -> None:
        self._rank: dict[Group, int] = {}
        self._last: Group | None = None
        self._previous: dict[Group, Group | None] = {}
        self._next: dict[Group, Group | None] = {}

    def append(self, group: Group) -> None:
        """A new group, which no other one needs."""
        before = 0 if self._last is None else self._rank[self._last]
        self._rank[group] = before + (1 << RANK_GAP_BITS)
        self._link(self._last, group, None)

    def needs(self, group: Group, other: Group) -> bool:
        """Whether `group` is `other` or a transitive successor of it."""
        if group is other or other in group.before:
            return True
        return self._rank[other] < self._rank[group] and self._gap(other, group) is None

    def can_merge(self, group: Group, other: Group) -> bool:
        """Whether neither of two groups needs the other one through a third one."""
        return self._gap(*self._ascending(group, other)) is not None

    def put_before(self, first: Group, second: Group) -> None:
        """Add an ordering edge between two groups."""
        if self._rank[first] > self._rank[second]:
            gap = None if second in first.before else self._gap(second, first)
            if gap is None:
                raise VerifyError(f"two kernels wait for each other: {names((first, second))}")
            if gap.below:
                self._move((*gap.moving, first), before=second)
            else:
                self._move((second, *gap.moving), after=first)
        second.before.add(first)
        first.after.add(second)

    def merge(self, kept: Group, gone: Group) -> None:
        """Replace two groups, which can merge, by one; its edges are not looked at."""
        low, high = self._ascending(kept, gone)
        gap = self._gap(low, high)
        if gap is None:
            raise VerifyError(f"a kernel between two that became one: {names((kept, gone))}")
        if gap.below:
            self._move(gap.moving, before=low)
        else:
            self._move(gap.moving, after=high)
        stays = low if gap.below else high
        if stays is gone:
            self._unlink(kept)
            self._rank[kept] = self._rank[gone]
            self._link(gone, kept, self._next[gone])
        self._unlink(gone)
        del self._rank[gone]

    # -- searching ------------------------------------------------------------------

    def _ascending(self, a: Group, b: Group) -> tuple[Group, Group]:
        return (a, b) if self._rank[a] < self._rank[b] else (b, a)

    def _gap(self, low: Group, high: Group) -> RankMove | None:
        """None where `high` needs `low` through a third group."""
        rank = self._rank
        least, most = rank[low], rank[high]
        below: dict[Group, None] = {}
        above: dict[Group, None] = {}
        needed = [g for g in high.before if g is not low]
        needing = [g for g in low.after if g is not high]
        while needed and needing:
            g = needed.pop()
            if g is low:
                return None
            if g not in below and rank[g] > least:
                below[g] = None
                needed.extend(g.before)
            g = needing.pop()
            if g is high:
                return None
            if g not in above and rank[g] < most:
                above[g] = None
                needing.extend(g.after)
        moving = above if needed else below
        return RankMove(tuple(sorted(moving, key=rank.__getitem__)), not needed)

    # -- moving ---------------------------------------------------------------------

    def _move(
        self, groups: Iterable[Group], before: Group | None = None, after: Group | None = None
    ) -> None:
        """Move groups, in their order, next to one that stays."""
        for group in groups:
            self._unlink(group)
            if before is not None:
                left, right = self._previous[before], before
            else:
                assert after is not None
                left, right = after, self._next[after]  # type: ignore[assignment]
                after = group
            self._rank[group] = self._between(left, right)
            self._link(left, group, right)

    def _between(self, left: Group | None, right: Group | None) -> int:
        if right is None:
            assert left is not None
            return self._rank[left] + (1 << RANK_GAP_BITS)
        low, high = 0 if left is None else self._rank[left], self._rank[right]
        if high - low < 2:
            for g in self._rank:
                self._rank[g] <<= RANK_GAP_BITS
            low, high = low << RANK_GAP_BITS, high << RANK_GAP_BITS
        return (low + high) // 2

    def _link(self, left: Group | None, group: Group, right: Group | None) -> None:
        self._previous[group], self._next[group] = left, right
        if left is not None:
            self._next[left] = group
        if right is None:
            self._last = group
        else:
            self._previous[right] = group

    def _unlink(self, group: Group) -> None:
        left, right = self._previous.pop(group), self._next.pop(group)
        if left is not None:
            self._next[left] = right
        if right is None:
            self._last = left
        else:
            self._previous[right] = left


# ------------------------------------------------------------------------------ the check


def verify_acyclic(group_of: dict[Node, Group]) -> None:
    """Raise VerifyError where groups form a cycle, by what their nodes read."""
    before = predecessors(group_of)
    after: dict[Group, list[Group]] = {g: [] for g in before}
    for group, mine in before.items():
        for other in mine:
            after[other].append(group)
    waiting = {g: len(mine) for g, mine in before.items()}
    ready = [g for g, count in waiting.items() if not count]
    while ready:
        for group in after[ready.pop()]:
            waiting[group] -= 1
            if not waiting[group]:
                ready.append(group)
    left = {g for g, count in waiting.items() if count}
    if left:
        circle = find_cycle({g: before[g] for g in before if g in left})
        raise VerifyError(f"kernels wait for each other: {names(circle)}")


def predecessors(group_of: dict[Node, Group]) -> dict[Group, dict[Group, None]]:
    """For every group, those that come before it."""
    before = {g: dict.fromkeys(g.predecessors) for g in dict.fromkeys(group_of.values())}
    for node, group in group_of.items():
        for i in node.inputs:
            made = group_of.get(base_of(i))
            if made is not None and made is not group:
                before[group][made] = None
    return before


def find_cycle(before: dict[Group, dict[Group, None]]) -> list[Group]:
    """A cycle of groups, the first one repeated at the end."""
    path = [next(iter(before))]
    while True:
        following = next(g for g in before[path[-1]] if g in before)
        path.append(following)
        if following in path[:-1]:
            return path[path.index(following) :]


def names(groups: Iterable[Group]) -> str:
    """The ops of groups, and where the first of each was written."""
    return " <- ".join(_name(g) for g in groups)


def _name(group: Group) -> str:
    ops = list(dict.fromkeys(n.op.name for n in group.nodes))
    more = f" and {len(ops) - 6} other ops" if len(ops) > 6 else ""
    return f"{', '.join(ops[:6])}{more} ({group.nodes[0].origin})"
