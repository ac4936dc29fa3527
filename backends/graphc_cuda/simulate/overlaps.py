"""Arguments that share memory: where each of them lies among its neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.types import Array


@dataclass(frozen=True)
class Stretch:
    """Memory of arguments that overlap: their positions, and `size` units of so many bytes."""

    members: tuple[int, ...]
    start: int
    unit: int
    size: int

    def first(self, array: Array) -> int:
        """The unit at which an array begins."""
        return (_start(array) - self.start) // self.unit


def find_stretches(arrays: Sequence[Array]) -> Iterator[Stretch]:
    """Every array with elements in one of them; units divide all elements."""
    order = sorted((i for i, a in enumerate(arrays) if a.size), key=lambda i: _start(arrays[i]))
    group: list[int] = []
    end = 0
    for i in order:
        if group and _start(arrays[i]) >= end:
            yield _stretch(group, arrays, end)
            group = []
        group.append(i)
        end = max(end, _start(arrays[i]) + arrays[i].nbytes)
    if group:
        yield _stretch(group, arrays, end)


def _stretch(group: list[int], arrays: Sequence[Array], end: int) -> Stretch:
    start = _start(arrays[group[0]])
    found = [arrays[i] for i in group]
    unit = gcd(*(a.itemsize for a in found), *(_start(a) - start for a in found))
    return Stretch(tuple(group), start, unit, (end - start) // unit)


def _start(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
