"""Memory as one thread at a time sees it: every access checked, one element at a time.

The rules for conflicts are those of `races`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.errors import SimulationError, thread_name
from graphc_cuda.simulate.lanes import WARP
from graphc_cuda.simulate.thread_state import LaunchState


@dataclass(eq=False, slots=True)
class Access:
    """Who touched an element, when, and at which line."""

    block: int
    thread: int
    time: int
    line: int


@dataclass(eq=False, slots=True)
class Record:
    """The last write of an element, and the last reads by two threads."""

    writer: Access | None = None
    reader: Access | None = None
    other: Access | None = None


@dataclass(eq=False)
class Records:
    """Accesses of some memory, by unit; none are kept if `on` is False."""

    on: bool
    found: dict[int, Record] = field(default_factory=dict)

    def of(self, unit: int) -> Record:
        """What is known of a unit."""
        found = self.found.get(unit)
        if found is None:
            found = self.found[unit] = Record()
        return found


class ThreadArray:
    """Elements of an argument, of shared memory (`records` of its own) or of a thread (none)."""

    def __init__(
        self, launch: LaunchState, name: str, data: Array, records: Records | None
    ) -> None:
        self.launch, self.name, self.data = launch, name, data
        self.records = records
        self.first, self.units = 0, 1  # of the records: where this begins, those of an element
        self.waiting: dict[int, int] = {}  # lines of copies that have not arrived

    def __getitem__(self, index: Any) -> Any:
        """Read an element."""
        return self.load(index, self.launch.line())

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write an element."""
        self.store(index, value, self.launch.line())

    def load(self, index: Any, line: int) -> Any:
        """Read an element at a line."""
        place = self.place(index, line)
        if place in self.waiting:
            message = f"{self.name}[{place}] is read before its copy_async has arrived"
            self.fail("copy", f"{message} ({self._me()})", line, self.waiting[place])
        if self.records is not None and self.records.on:
            self._note_read(self.records, place, line)
        return self.data[place]

    def store(self, index: Any, value: Any, line: int) -> None:
        """Write an element at a line."""
        kind = getattr(value, "dtype", self.data.dtype).kind
        if kind != self.data.dtype.kind and "f" in (kind, self.data.dtype.kind):
            self.fail("type", f"{self.name} holds {self.data.dtype}, not {value.dtype}", line)
        place = self.place(index, line)
        before = self.data[place].tobytes()
        self.data[place] = value
        if self.records is not None and self.records.on:
            changes = self.data[place].tobytes() != before
            self._note_write(self.records, place, line, changes)

    def place(self, index: Any, line: int) -> int:
        """The index, which must be inside."""
        try:
            place = operator.index(index)
        except TypeError:
            self.fail("type", f"{self.name} is indexed by {index!r}", line)
        if not 0 <= place < len(self.data):
            message = f"{self.name}[{place}] is outside its {len(self.data)} elements"
            self.fail("bounds", f"{message} ({self._me()})", line)
        return place

    def check_alignment(self, index: Any, count: int, line: int) -> None:
        """Refuse a first index that is not a multiple of the count."""
        if index % count != 0:
            self.fail(
                "alignment",
                f"{count} elements of {self.name} at once begin at {index}, which is not a "
                f"multiple of {count} ({self._me()})",
                line,
            )

    def fail(self, kind: str, message: str, *lines: int) -> NoReturn:
        """Stop with an error at the lines."""
        raise SimulationError(kind, message, self.launch.source, lines)

    def _me(self) -> str:
        return thread_name(self.launch.current.block, self.launch.current.thread)

    # ----------------------------------------------------------- conflicts

    def _access(self, line: int) -> Access:
        now = self.launch.current
        return Access(now.block, now.thread, self.launch.tick(), line)

    def _note_read(self, records: Records, place: int, line: int) -> None:
        now = self._access(line)
        for record in self._records(records, place):
            self._compare(record.writer, now, place, "read after write")
            last = record.reader
            if last is not None and (last.block, last.thread) != (now.block, now.thread):
                record.other = last
            record.reader = now

    def _note_write(self, records: Records, place: int, line: int, changes: bool) -> None:
        now = self._access(line)
        for record in self._records(records, place):
            self._compare(record.reader, now, place, "write after read")
            self._compare(record.other, now, place, "write after read")
            if changes:
                self._compare(record.writer, now, place, "write after write")
            record.writer = now

    def _records(self, records: Records, place: int) -> tuple[Record, ...]:
        if self.units == 1:
            return (records.of(self.first + place),)
        start = self.first + place * self.units
        return tuple(records.of(start + j) for j in range(self.units))

    def _compare(self, before: Access | None, now: Access, place: int, how: str) -> None:
        if before is None or self._is_ordered(before, now):
            return
        first, second = thread_name(before.block, before.thread), self._me()
        message = f"{how} of {self.name}[{place}]: nothing orders {first} before {second}"
        self.fail("race", message, now.line, before.line)

    def _is_ordered(self, before: Access, now: Access) -> bool:
        if before.block != now.block:
            return False
        if before.thread == now.thread or before.time < self.launch.met:
            return True
        same_warp = before.thread // WARP == now.thread // WARP
        return same_warp and before.time < self.launch.current.met[before.thread % WARP]


def poisoned(size: int, dtype: np.dtype[Any]) -> Array:
    """Memory in which nothing has been put yet: NaN, or all bits set."""
    return np.frombuffer(bytearray(b"\xff" * (size * dtype.itemsize)), dtype)
