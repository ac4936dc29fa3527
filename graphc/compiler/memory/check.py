"""Verify a memory plan by simulating the schedule on the arena.

Nothing here looks at lifetimes: every byte remembers which storage was written there last, every
read must find its own bytes, and calls that may overlap in time must not meet in any byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from graphc.compiler.memory.plan import MemoryPlan
from graphc.errors import VerifyError
from graphc.ir.dims import evaluate
from graphc.ir.loops import ir
from graphc.ir.schedule import (
    ALIGNMENT,
    OUTPUT,
    PARAMETER,
    PREPARED,
    RNG,
    TEMPORARY,
    KernelCall,
    Schedule,
    Storage,
)

Phase = list[KernelCall]
NO_WRITER = -1


def verify(plan: MemoryPlan, schedule: Schedule, dims: Mapping[str, int]) -> None:
    """Raise VerifyError unless every read finds what was written for it."""
    verify_order(schedule)
    _check_region(schedule, TEMPORARY, plan.offsets, plan.arena_bytes, dims)
    _check_region(schedule, PREPARED, plan.prepared, plan.prepared_bytes, dims)
    _check_disjoint(plan.prepared, dims)
    arena = _Arena(plan.offsets, dims)
    for phase in _prepare_phases(schedule) + _phases(schedule):
        arena.run(phase)


def verify_order(schedule: Schedule) -> None:
    """Raise VerifyError if calls of a phase depend on each other or the order is wrong."""
    written: set[Storage] = {s for call in schedule.prepare for s in call.writes}
    committed = False
    for phase in _phases(schedule):
        _check_independent(phase)
        for call in phase:
            _check_reads(call, written)
            if (committed or any(c.commits for c in phase)) and _may_fail(call):
                raise VerifyError(f"{call.kernel.name} checks after a parameter was written")
        committed = committed or any(call.commits for call in phase)
        written.update(s for call in phase for s in call.writes)


# ------------------------------------------------------------------------ order


def _phases(schedule: Schedule) -> list[Phase]:
    numbered = zip(schedule.phases(), schedule.calls)
    return [[call for _, call in group] for _, group in groupby(numbered, key=lambda p: p[0])]


def _prepare_phases(schedule: Schedule) -> list[Phase]:
    return [[call] for call in schedule.prepare]


def _may_fail(call: KernelCall) -> bool:
    return any(isinstance(stmt, ir.Check) for stmt in ir.walk(call.kernel.body))


def _check_independent(phase: Phase) -> None:
    """No storage that one call writes may be touched by another one of the phase."""
    writer: dict[Storage, KernelCall] = {}
    for call in phase:
        for storage in call.writes:
            if writer.setdefault(storage, call) is not call:
                raise VerifyError(_conflict(writer[storage], call, storage, storage))
    for call in phase:
        for storage in call.arguments:
            if writer.get(storage, call) is not call:
                raise VerifyError(_conflict(writer[storage], call, storage, storage))


def _check_reads(call: KernelCall, written: set[Storage]) -> None:
    """Temporaries and outputs have been written, persistent values have not."""
    for storage in call.reads:
        if storage in call.writes and storage.role in (PARAMETER, RNG):
            continue
        if storage.role in (TEMPORARY, OUTPUT, PREPARED) and storage not in written:
            raise VerifyError(
                f"{call.kernel.name} reads {storage.name}, which nothing wrote before"
            )
        if storage.role in (PARAMETER, RNG) and storage in written:
            raise VerifyError(f"{call.kernel.name} reads {storage.name} after it was updated")


def _conflict(a: KernelCall, b: KernelCall, x: Storage, y: Storage) -> str:
    return f"{a.kernel.name} ({x.name}) and {b.kernel.name} ({y.name}) overlap in time and bytes"


# ------------------------------------------------------------------------ bytes


def _storages(schedule: Schedule, role: str) -> Iterator[Storage]:
    calls = schedule.prepare + schedule.calls
    yield from dict.fromkeys(s for c in calls for s in c.arguments if s.role == role)


def _check_region(
    schedule: Schedule, role: str, offsets: Mapping[Storage, int], end: int, dims: Mapping[str, int]
) -> None:
    """Every storage of a role has an aligned place inside the region."""
    for storage in _storages(schedule, role):
        if storage not in offsets:
            raise VerifyError(f"{storage.name} has no place")
        at, size = offsets[storage], evaluate(storage.type.nbytes, dims)
        if at % ALIGNMENT:
            raise VerifyError(f"{storage.name} starts at {at}, no multiple of {ALIGNMENT}")
        if at < 0 or at + size > end:
            raise VerifyError(
                f"{storage.name} ends at {at + size}, outside the {end} bytes there are"
            )


def _check_disjoint(offsets: Mapping[Storage, int], dims: Mapping[str, int]) -> None:
    end, last = 0, None
    for storage, at in sorted(offsets.items(), key=lambda entry: entry[1]):
        size = evaluate(storage.type.nbytes, dims)
        if size and at < end and last is not None:
            raise VerifyError(f"prepared {last.name} and {storage.name} overlap")
        if size:
            end, last = at + size, storage


class _Arena:
    """The arena, cut at the ends of all storages; each piece records its last writer."""

    def __init__(self, offsets: Mapping[Storage, int], dims: Mapping[str, int]) -> None:
        self.ranges = {s: (at, at + evaluate(s.type.nbytes, dims)) for s, at in offsets.items()}
        cuts = sorted({edge for pair in self.ranges.values() for edge in pair})
        place = {edge: i for i, edge in enumerate(cuts)}
        self.pieces = {s: slice(place[a], place[b]) for s, (a, b) in self.ranges.items()}
        self.number = {s: i for i, s in enumerate(offsets)}
        self.names = [s.name for s in offsets]
        self.owner: NDArray[np.int64] = np.full(len(cuts), NO_WRITER)

    def run(self, phase: Phase) -> None:
        """Check all calls of a phase, then record their writes."""
        for call in phase:
            for storage in call.reads:
                if storage.role == TEMPORARY:
                    self._check_read(call, storage)
            self._check_call(call)
        self._check_conflicts(phase)
        for call in phase:
            for storage in call.writes:
                if storage.role == TEMPORARY:
                    self.owner[self.pieces[storage]] = self.number[storage]

    def _check_read(self, call: KernelCall, storage: Storage) -> None:
        owners = self.owner[self.pieces[storage]]
        wrong = owners[owners != self.number[storage]]
        if wrong.size:
            name = "nothing" if wrong[0] == NO_WRITER else self.names[wrong[0]]
            raise VerifyError(f"{call.kernel.name} reads {storage.name} but finds {name} there")

    def _check_call(self, call: KernelCall) -> None:
        """A result overlaps another argument only as a whole and where the call allows it."""
        mine = [s for s in dict.fromkeys(call.arguments) if s.role == TEMPORARY]
        for written in dict.fromkeys(call.writes):
            if written.role != TEMPORARY:
                continue
            for other in mine:
                if other is written or not self._overlap(written, other):
                    continue
                same = self.ranges[written] == self.ranges[other]
                if not same or (written, other) not in call.in_place:
                    raise VerifyError(_conflict(call, call, written, other))

    def _check_conflicts(self, phase: Phase) -> None:
        """No call touches a byte that another call of the phase writes."""
        if len(phase) == 1:
            return
        writer = np.full(len(self.owner), NO_WRITER)
        for i, call in enumerate(phase):
            for storage in dict.fromkeys(call.writes):
                if storage.role == TEMPORARY:
                    self._check_free(writer, phase, i, storage)
                    writer[self.pieces[storage]] = i
        for i, call in enumerate(phase):
            for storage in call.reads:
                if storage.role == TEMPORARY:
                    self._check_free(writer, phase, i, storage)

    def _check_free(
        self, writer: NDArray[np.int64], phase: Phase, i: int, storage: Storage
    ) -> None:
        others = writer[self.pieces[storage]]
        wrong = others[(others != NO_WRITER) & (others != i)]
        if wrong.size:
            other = phase[int(wrong[0])]
            met = next(s for s in other.writes if s in self.ranges and self._overlap(s, storage))
            raise VerifyError(_conflict(other, phase[i], met, storage))

    def _overlap(self, a: Storage, b: Storage) -> bool:
        (x, y), (u, v) = self.ranges[a], self.ranges[b]
        return max(x, u) < min(y, v)
