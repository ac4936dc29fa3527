"""Pack byte ranges with lifetimes: offsets with a low peak.

Several greedy orders are tried, ranges at the top are then placed earlier, and small instances
are solved exactly. Work is limited by counting steps, never by a clock: the same blocks always
get the same offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphc.compiler.memory.gaps import MAX_LISTED_RANGES, ArrayGaps, ListGaps

MAX_EXACT_BLOCKS = 24  # up to which the exact search is tried
EXACT_PLACEMENTS = 3_000  # that the exact search tries
GREEDY_STEPS = 400_000  # about how many blocks the greedy searches look at
MAX_MOVES = 200  # how often blocks at the top are moved forward


class LiveBlock(NamedTuple):
    """Bytes needed from the first to the last phase, both included."""

    size: int
    first: int
    last: int


def pack(blocks: Sequence[LiveBlock], bound: int) -> list[int]:
    """An offset for every block; those that live in the same phase do not overlap.

    `bound` is the most bytes alive in one phase; the search ends when that is reached.
    """
    places = pack_greedily(blocks, bound)
    if height(blocks, places) > bound and len(blocks) <= MAX_EXACT_BLOCKS:
        return pack_exactly(blocks, bound, places)
    return places


def height(blocks: Sequence[LiveBlock], places: Sequence[int]) -> int:
    """The end of the highest block."""
    return max((at + b.size for at, b in zip(places, blocks)), default=0)


# ------------------------------------------------------------------------ greedy


def pack_greedily(blocks: Sequence[LiveBlock], bound: int) -> list[int]:
    """The best of several orders and fits, the best order then improved at its top."""
    best, low, steps = [0] * len(blocks), -1, 0
    start, fit = list(range(len(blocks))), False
    for tight in (False, True):
        for order in _orders(blocks):
            places, cost = place(blocks, order, tight)
            steps += cost
            top = height(blocks, places)
            if low < 0 or top < low:
                best, low, start, fit = places, top, order, tight
            if low <= bound or steps > GREEDY_STEPS:
                return best
    for _ in range(MAX_MOVES):
        # blocks that stick out go to the front; worse orders on the way are not taken back
        wrong = {i for i, b in enumerate(blocks) if places[i] + b.size == top} if steps else set()
        if not wrong or low <= bound or steps > GREEDY_STEPS:
            break
        start = [i for i in start if i in wrong] + [i for i in start if i not in wrong]
        places, cost = place(blocks, start, fit)
        steps, top = steps + cost, height(blocks, places)
        if top < low:
            best, low = places, top
    return best


def _orders(blocks: Sequence[LiveBlock]) -> list[list[int]]:
    """Orders in which blocks may be placed."""
    keys = [
        [(-b.size, b.first - b.last) for b in blocks],
        [(b.first - b.last, -b.size) for b in blocks],
        [(-b.size * (b.last - b.first + 1), b.first) for b in blocks],
        [(-crowd, -b.size) for crowd, b in zip(_pressures(blocks), blocks)],
        [(b.first, -b.size) for b in blocks],
        [(-b.last, -b.size) for b in blocks],
    ]
    return [sorted(range(len(blocks)), key=lambda i: (key[i], i)) for key in keys]


def _pressures(blocks: Sequence[LiveBlock]) -> list[int]:
    """For every block, the peak of live bytes over its lifetime."""
    start = min((b.first for b in blocks), default=0)
    change = np.zeros(max((b.last for b in blocks), default=0) - start + 2, np.int64)
    for b in blocks:
        change[b.first - start] += b.size
        change[b.last + 1 - start] -= b.size
    live = np.cumsum(change)
    return [int(live[b.first - start : b.last - start + 1].max()) for b in blocks]


def place(blocks: Sequence[LiveBlock], order: Sequence[int], tight: bool) -> tuple[list[int], int]:
    """Put each block into the lowest gap that holds it (or the tightest); also the work done."""
    places = [0] * len(blocks)
    placed = (ArrayGaps if len(blocks) > MAX_LISTED_RANGES else ListGaps)(len(blocks))
    steps = 0
    for i in order:
        size, first, last = blocks[i]
        if size:
            places[i], looked = placed.find(size, first, last, tight)
            placed.add(places[i], size, first, last)
            steps += looked
    return places, steps


# ------------------------------------------------------------------------ exact


def pack_exactly(blocks: Sequence[LiveBlock], bound: int, known: list[int]) -> list[int]:
    """The best placement, or the best found in `EXACT_PLACEMENTS` tries, starting from a known one.

    Blocks are placed in ascending order of offset, each as low as those below it allow: some
    optimal placement has this form. What is not placed yet must fit above what is, in every
    phase; that is the bound that ends most branches.
    """
    search = _BranchAndBound(blocks, bound, known)
    search.extend([None] * len(blocks), 0)
    return search.best


class _BranchAndBound:
    """Depth-first search over the order of offsets."""

    def __init__(self, blocks: Sequence[LiveBlock], bound: int, known: list[int]) -> None:
        start = min((b.first for b in blocks), default=0)
        self.blocks = [b._replace(first=b.first - start, last=b.last - start) for b in blocks]
        self.bound, self.best, self.low, self.nodes = bound, known, height(blocks, known), 0
        stop = max((b.last + 1 for b in self.blocks), default=0)
        self.tops = [0] * stop
        self.rest = [0] * stop
        for b in self.blocks:
            for phase in range(b.first, b.last + 1):
                self.rest[phase] += b.size

    def extend(self, places: list[int | None], floor: int) -> None:
        """Place one more block at or above `floor`, in every way that may still be better."""
        options = sorted(
            (max(self.tops[b.first : b.last + 1]), -b.size, b.first, i)
            for i, b in enumerate(self.blocks) if places[i] is None
        )  # fmt: skip
        if not options:
            self.best = [p for p in places if p is not None]
            self.low = height(self.blocks, self.best)
        for top, _, _, i in options:
            if self.nodes >= EXACT_PLACEMENTS or self.low <= self.bound:
                return
            if top >= floor:
                self.nodes += 1
                self._try(places, i, top)

    def _try(self, places: list[int | None], i: int, at: int) -> None:
        block = self.blocks[i]
        life = range(block.first, block.last + 1)
        old = [self.tops[phase] for phase in life]
        for phase in life:
            self.tops[phase] = at + block.size
            self.rest[phase] -= block.size
        # later blocks start at `at` or higher
        if all(max(t, at if r else 0) + r < self.low for t, r in zip(self.tops, self.rest)):
            places[i] = at
            self.extend(places, at)
            places[i] = None
        for phase, top in zip(life, old):
            self.tops[phase] = top
            self.rest[phase] += block.size
