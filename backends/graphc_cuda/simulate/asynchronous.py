"""copy_async: elements that arrive in shared memory when the thread waits for them.

Until then the place holds poison, and reading it is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.errors import refuse
from graphc_cuda.simulate.lanes import Lanes, poison
from graphc_cuda.simulate.memory import VectorArray
from graphc_cuda.simulate.source import KernelSource

_BYTES = (4, 8, 16)


@dataclass(frozen=True, eq=False)
class _Copy:
    """A copy on its way: for each lane the number of its group, the places and the values."""

    target: VectorArray
    lanes: Lanes
    group: Array
    index: Array
    values: tuple[Array, ...]
    line: int


class Copies:
    """The copies of a chunk of blocks."""

    def __init__(self, source: KernelSource) -> None:
        self.source = source
        self._committed: Array | None = None  # groups of each thread of the chunk
        self._open: list[_Copy] = []

    def begin(
        self, target: VectorArray, index: Any, source: VectorArray, place: Any, count: int,
        lanes: Lanes, line: int,
    ) -> None:  # fmt: skip
        """Read the elements; poison where they will be."""
        size = count * target.data.dtype.itemsize
        if size not in _BYTES or target.data.dtype != source.data.dtype:
            message = f"copy_async of {count} {target.data.dtype} ({size} bytes)"
            refuse("copy", f"{message}: it copies 4, 8 or 16 bytes", self.source, line)
        target.check_alignment(index, count, lanes, line)
        values = source.load_vector(place, count, lanes, line)
        wide = tuple(np.broadcast_to(v, lanes.size) for v in values)
        index = np.broadcast_to(np.asarray(index, np.int64), lanes.size)
        self._put(target, index, (poison(target.data.dtype),) * count, lanes, line)
        self._mark(target, index, count, lanes, line)
        group = self._groups(lanes).take(lanes.ids)
        target.waiting_count += 1
        self._open.append(_Copy(target, lanes, group, index, wide, line))

    def commit(self, lanes: Lanes) -> None:
        """Close the group of these lanes."""
        self._groups(lanes)[lanes.ids] += 1

    def wait(self, groups: int, lanes: Lanes, line: int) -> None:
        """Let all groups of these lanes arrive but the last ones."""
        committed = self._groups(lanes)
        still = []
        for copy in self._open:
            here = lanes.positions.take(copy.lanes.ids) >= 0
            due = here & (copy.group < committed.take(copy.lanes.ids) - groups)
            if due.any():
                self._arrive(copy, np.flatnonzero(due), line)
            rest = np.flatnonzero(~due)
            if len(rest):
                still.append(_part(copy, rest))
            else:
                copy.target.waiting_count -= 1
        self._open = still

    def _arrive(self, copy: _Copy, index: Array, line: int) -> None:
        part = _part(copy, index)
        self._mark(part.target, part.index, len(part.values), part.lanes, 0)
        self._put(part.target, part.index, part.values, part.lanes, line)

    def _put(
        self, target: VectorArray, index: Array, values: tuple[Any, ...], lanes: Lanes, line: int
    ) -> None:
        for j, value in enumerate(values):
            target.store(index + j, value, lanes, line)

    def _mark(self, target: VectorArray, index: Array, count: int, lanes: Lanes, line: int) -> None:
        """Note the line of the copy that is on its way to the elements; 0 when it is there."""
        if target.waiting is None:
            target.waiting = np.zeros(len(target.data), np.int32)
        place = target.element(index, lanes, line)
        for j in range(count):
            target.waiting[place + j] = line

    def _groups(self, lanes: Lanes) -> Array:
        if self._committed is None:
            self._committed = np.zeros(lanes.threads * len(lanes.blocks), np.int64)
        return self._committed


def _part(copy: _Copy, index: Array) -> _Copy:
    if len(index) == copy.lanes.size:
        return copy
    values = tuple(v.take(index) for v in copy.values)
    lanes, group, place = copy.lanes.pick(index), copy.group.take(index), copy.index.take(index)
    return _Copy(copy.target, lanes, group, place, values, copy.line)
