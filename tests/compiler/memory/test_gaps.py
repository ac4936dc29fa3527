"""Looking at all ranges at once finds the gaps that looking at one after the other finds."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler.memory.gaps import ArrayGaps, ListGaps


def overlap(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether two byte ranges have bytes in common."""
    return x[0] < y[1] and y[0] < x[1]


def meet(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether two stretches of phases have one in common."""
    return x[0] <= y[1] and y[0] <= x[1]


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_both_find_the_same(seed: int, tight: bool) -> None:
    rng = np.random.default_rng(seed)
    phases, largest, count = (int(n) for n in rng.integers(1, 40, 3))
    few, many = ListGaps(count * 9), ArrayGaps(count * 9)
    for _ in range(count * 9):
        size = 64 * int(rng.integers(1, 1 + largest))
        first, last = sorted(int(p) for p in rng.integers(0, phases, 2))
        found = few.find(size, first, last, tight)
        assert many.find(size, first, last, tight) == found
        few.add(found[0], size, first, last)
        many.add(found[0], size, first, last)
    for at, end, first, last in few.placed:  # and none meets another one in time and bytes
        same = [
            p for p in few.placed if p[0] < end and at < p[1] and p[2] <= last and first <= p[3]
        ]
        assert same == [(at, end, first, last)]
