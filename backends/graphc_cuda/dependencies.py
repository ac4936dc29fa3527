"""Which launches must wait for which: by the bytes that they touch, not by what flows.

Memory of the arena is used again as soon as nobody needs it, so an edge is due wherever two nodes
touch a byte that one of them writes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from graphc_cuda.launch import Node, Place, Region


def find_edges(nodes: Sequence[Node]) -> tuple[tuple[int, int], ...]:
    """Pairs (earlier, later) of positions, without those that follow from others."""
    memory = _Memory(nodes)
    reach: list[int] = []  # for each node a bit for every node before it
    edges: list[tuple[int, int]] = []
    for number, node in enumerate(nodes):
        before = memory.touch(number, node.reads, node.writes)
        covered = 0
        direct = []
        for other in sorted(before, reverse=True):
            if not covered >> other & 1:
                direct.append(other)
                covered |= reach[other] | 1 << other
        reach.append(covered)
        edges += [(other, number) for other in sorted(direct)]
    return tuple(edges)


class _Memory:
    """For every stretch of bytes the node that wrote it last, and those that have read it since."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        cuts: dict[Region, set[int]] = {}
        for node in nodes:
            for place in (*node.reads, *node.writes):
                ends = place.offset, place.offset + place.size
                cuts.setdefault(place.region, set()).update(ends)
        self.cuts = {region: sorted(found) for region, found in cuts.items()}
        self.writer: dict[tuple[Region, int], int] = {}
        self.readers: dict[tuple[Region, int], set[int]] = {}

    def touch(self, number: int, reads: Iterable[Place], writes: Iterable[Place]) -> set[int]:
        """The nodes that must be done first."""
        before: set[int] = set()
        for place in reads:
            for stretch in self._stretches(place):
                before |= {self.writer[stretch]} if stretch in self.writer else set()
                self.readers.setdefault(stretch, set()).add(number)
        for place in writes:
            for stretch in self._stretches(place):
                before |= self.readers.get(stretch, set())
                before |= {self.writer[stretch]} if stretch in self.writer else set()
                self.writer[stretch], self.readers[stretch] = number, set()
        before.discard(number)
        return before

    def _stretches(self, place: Place) -> list[tuple[Region, int]]:
        cuts = self.cuts[place.region]
        first = bisect_left(cuts, place.offset)
        last = bisect_left(cuts, place.offset + place.size)
        return [(place.region, i) for i in range(first, last)]
