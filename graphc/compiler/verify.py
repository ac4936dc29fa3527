"""Verify schedules: every storage is written once, before it is read."""

from __future__ import annotations

from graphc.errors import VerifyError
from graphc.ir.schedule import OUTPUT, PREPARED, TEMPORARY, Schedule, Storage


def verify_schedule(schedule: Schedule) -> None:
    """Raise VerifyError unless calls read only what is there, and every output is written."""
    written: set[Storage] = set()
    for call in (*schedule.prepare, *schedule.calls):
        own = set(call.writes)
        for storage in call.reads:
            made = storage in written or storage in own
            if storage.role in (TEMPORARY, PREPARED, OUTPUT) and not made:
                raise VerifyError(f"{call.kernel.name} reads {storage.name} before it is written")
        written |= own
    for storage in schedule.outputs:
        if storage not in written:
            raise VerifyError(f"output {storage.name} is never written")
