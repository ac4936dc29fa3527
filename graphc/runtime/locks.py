"""The locks that calls of compiled functions hold."""

from __future__ import annotations

from graphc.forked import ProcessLock
from graphc.frontend.parameter import Parameter


class Locks:
    """Several locks taken together, always in one order."""

    def __init__(self, locks: list[ProcessLock]) -> None:
        self._locks = sorted(locks, key=id)

    def __enter__(self) -> None:
        for lock in self._locks:
            lock.acquire()

    def __exit__(self, *_: object) -> None:
        for lock in reversed(self._locks):
            lock.release()


def shared_locks(written: list[Parameter]) -> Locks:
    """A function's lock: the one of what it writes, shared with others that write the same."""
    found = {id(p.lock): p.lock for p in written if p.lock is not None}
    locks = list(found.values()) or [ProcessLock()]
    for parameter in written:
        if parameter.lock is None:
            parameter.lock = locks[0]
    return Locks(locks)
