"""Conflicting accesses: two threads, one element, at least one writes, nothing orders them.

Accesses get time stamps. A barrier of a block orders what its threads did before against what
they do after; a barrier of a warp does so for the threads of its mask; nothing orders threads of
different blocks within a launch. Each element remembers who wrote it last, and the last two
threads that read it: with their latest times, so that a reader that is not ordered is found.
Who reads is noted when a write follows: most tiles are only read between two barriers.
Threads that write the same bits do not conflict with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.lanes import WARP, Lanes

_SHIFT = 32
_THREAD = (1 << _SHIFT) - 1
_BATCH = 256  # reads that wait at most


class Clock:
    """The time of a launch: which line ran when, and when threads last met."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.lines: list[int] = [0]
        self.met = 0  # when all blocks of the chunk last met, each at a barrier
        self._met = np.zeros(0, np.int64)  # by block of the chunk
        self._warp: Array | None = None  # by thread of the chunk and lane of its warp

    def start(self, lanes: Lanes) -> None:
        """Begin with the next chunk of blocks."""
        self._met = np.full(len(lanes.blocks), self.tick(0))
        self._warp = None
        self.met = int(self._met[0])

    def tick(self, line: int) -> int:
        """Return the time of the next access, and note its line."""
        self.lines.append(line)
        return len(self.lines) - 1

    def meet(self, lanes: Lanes, line: int) -> None:
        """Note that all threads of these blocks have met."""
        now = self.tick(line)
        if lanes.is_whole:
            self._met[:] = now
        else:
            self._met[lanes.slot] = now
        self.met = int(self._met.min())

    def meet_warp(self, lanes: Lanes, mask: Any, line: int) -> None:
        """Note that the threads of each mask have met."""
        if self._warp is None:
            total = len(lanes.blocks) * lanes.threads
            self._warp = np.zeros((total, WARP), np.int32)
        bits = np.asarray(mask, np.int64).reshape(-1, 1) >> np.arange(WARP) & 1
        rows = self._warp[lanes.ids]
        self._warp[lanes.ids] = np.where(bits == 1, self.tick(line), rows)

    def unordered(self, before: Array, lanes: Lanes) -> Array:
        """Where an earlier access, a time stamp and thread, is not ordered before these lanes."""
        other, time = (before & _THREAD) - 1, before >> _SHIFT
        foreign: Array = (before != 0) & (other != lanes.key - 1)
        if not np.count_nonzero(foreign):
            return foreign
        same_block = other // self.threads == lanes.block
        foreign &= ~(same_block & (time < self._met.take(lanes.slot)))
        if self._warp is not None and np.count_nonzero(foreign):
            thread = other % self.threads
            same_warp = same_block & (thread // WARP == lanes.thread // WARP)
            foreign &= ~(same_warp & (time < self._warp[lanes.ids, thread % WARP]))
        return foreign


class ConflictError(Exception):
    """Two accesses that nothing orders; who and when, for the message."""

    def __init__(self, position: int, element: int, before: int, how: str) -> None:
        super().__init__(how)
        self.position, self.element, self.how = position, element, how
        self.thread, self.time = (before & _THREAD) - 1, before >> _SHIFT


class Accesses:
    """Who wrote and read each element of one array."""

    def __init__(self, size: int, clock: Clock, is_shared: bool) -> None:
        self.clock, self.is_shared = clock, is_shared
        self._writer = np.zeros(size, np.int64)
        self._reader: Array | None = None
        self._other: Array | None = None
        # since all blocks last met (of arguments: in this launch), what was written and read
        self._since = 0
        self._written, self._read = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        self._any_written = False
        self._waiting: list[tuple[Array, Lanes, int]] = []  # reads

    def read(self, element: Array, lanes: Lanes, time: int) -> None:
        """Note a read, after comparing it with writes before."""
        if self.is_shared and self._since != self.clock.met:
            self._begin_again()
        if self._any_written and np.count_nonzero(self._written.take(element)):
            self._compare(self._writer, element, lanes, "read after write")
        self._read[element] = True
        self._waiting.append((element, lanes, time))
        if len(self._waiting) > _BATCH:
            self._note_reads()

    def write(self, element: Array, lanes: Lanes, time: int, changes: Callable[[], Array]) -> Array:
        """Note a write, after comparing it with accesses before.

        `changes` says where bits differ from those before. Returns where another thread writes
        the element in the same statement.
        """
        if self.is_shared and self._since != self.clock.met:
            self._begin_again()
        if np.count_nonzero(self._read.take(element)):
            self._note_reads()
            assert self._reader is not None
            assert self._other is not None
            self._compare(self._reader, element, lanes, "write after read")
            self._compare(self._other, element, lanes, "write after read")
        if self._any_written and np.count_nonzero(self._written.take(element)):
            self._compare(self._writer, element, lanes, "write after write", changes)
        key = lanes.key + (time << _SHIFT)
        self._writer[element] = key
        self._written[element] = self._any_written = True
        lost: Array = self._writer.take(element) != key
        return lost

    def _begin_again(self) -> None:
        """All accesses so far are ordered before all that come."""
        self._since = self.clock.met
        self._read[:] = False
        self._waiting.clear()
        if self._any_written:
            self._written[:] = self._any_written = False

    def writer(self, element: int) -> int:
        """Who wrote an element last, and when."""
        return int(self._writer[element])

    def _compare(
        self,
        accesses: Array,
        element: Array,
        lanes: Lanes,
        how: str,
        changes: Callable[[], Array] | None = None,
    ) -> None:
        before = accesses.take(element)
        wrong = self.clock.unordered(before, lanes)
        if changes is not None and np.count_nonzero(wrong):
            wrong &= changes()
        if np.count_nonzero(wrong):
            first = int(np.argmax(wrong))
            raise ConflictError(first, int(element[first]), int(before[first]), how)

    def _note_reads(self) -> None:
        """Note who reads, for all reads that wait."""
        waiting, self._waiting = self._waiting, []
        for element, lanes, time in waiting:
            self._note(element, lanes.key + (time << _SHIFT))

    def _note(self, element: Array, key: Array) -> None:
        if self._reader is None or self._other is None:
            self._reader, self._other = np.zeros_like(self._writer), np.zeros_like(self._writer)
        old = self._reader.take(element)
        differs = (old != 0) & ((old ^ key) & _THREAD != 0)
        if np.count_nonzero(differs):
            self._other[element[differs]] = old[differs]
        self._reader[element] = key
        lost = self._reader.take(element) != key
        if np.count_nonzero(lost):
            self._other[element[lost]] = key[lost]
