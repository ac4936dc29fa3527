"""Find free gaps between byte ranges that are already placed.

`ListGaps` scans a sorted list, `ArrayGaps` numpy arrays; both give the same answers.
"""

from __future__ import annotations

from bisect import bisect_right, insort

import numpy as np
from numpy.typing import NDArray

MAX_LISTED_RANGES = 300  # with more of them looking at all at once is faster

PlacedRange = tuple[int, int, int, int]  # offset, end, first and last phase


class ListGaps:
    """Placed ranges in a sorted list."""

    def __init__(self, _: int) -> None:
        self.placed: list[PlacedRange] = []

    def add(self, offset: int, size: int, first: int, last: int) -> None:
        """Add a placed range."""
        insort(self.placed, (offset, offset + size, first, last))

    def find(self, size: int, first: int, last: int, tight: bool) -> tuple[int, int]:
        """The lowest gap between two ranges that holds so much (or the tightest), else the end of
        all; and how many ranges were looked at."""
        top, chosen, room = 0, -1, 0
        for steps, (offset, end, begin, until) in enumerate(self.placed, 1):
            if until < first or begin > last:
                continue
            gap = offset - top
            if gap >= size and (chosen < 0 or gap < room):
                chosen, room = top, gap
                if not tight:
                    return chosen, steps
            top = max(top, end)
        return top if chosen < 0 else chosen, len(self.placed)


class ArrayGaps:
    """Placed ranges as arrays of offsets, ends, first and last phases."""

    def __init__(self, most: int) -> None:
        self.placed: list[PlacedRange] = []
        self.columns: NDArray[np.int64] = np.zeros((4, most), np.int64)

    def add(self, offset: int, size: int, first: int, last: int) -> None:
        """Add a placed range."""
        entry = (offset, offset + size, first, last)
        at, count = bisect_right(self.placed, entry), len(self.placed)
        self.columns[:, at + 1 : count + 1] = self.columns[:, at:count].copy()
        self.columns[:, at] = entry
        self.placed.insert(at, entry)

    def find(self, size: int, first: int, last: int, tight: bool) -> tuple[int, int]:
        """See `ListGaps.find`."""
        count = len(self.placed)
        offset, end, begin, until = self.columns[:, :count]
        alive = np.flatnonzero((until >= first) & (begin <= last))
        if not alive.size:
            return 0, count
        tops = np.zeros(alive.size + 1, np.int64)
        np.maximum.accumulate(end[alive], out=tops[1:])
        gaps = offset[alive] - tops[:-1]
        fitting = np.flatnonzero(gaps >= size)
        if not fitting.size:
            return int(tops[-1]), count
        best = fitting[np.argmin(gaps[fitting])] if tight else fitting[0]
        return int(tops[best]), count if tight else int(alive[best]) + 1
