"""Locks and thread state that are reset in a forked child."""

from __future__ import annotations

import os
import threading
import weakref
from functools import cache
from typing import Protocol


class Forked(Protocol):
    """An object whose locks and threads belong to one process."""

    def forget(self) -> None:
        """Reset to the state before any other thread used this."""


class ProcessLock:
    """A re-entrant lock that other threads' holding does not outlive a fork.

    A child has the forking thread alone: what any other held then would never be given back.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        forget_after_fork(self)

    def acquire(self) -> None:
        """Wait until this thread has it."""
        self._lock.acquire()

    def release(self) -> None:
        """Release it once for each acquire."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def forget(self) -> None:
        """Release the lock unless the forking thread holds it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()


def forget_after_fork(what: Forked) -> None:
    """Call ``what.forget()`` in every child forked from now on, while it lives."""
    _known().add(what)


@cache
def _known() -> weakref.WeakSet[Forked]:
    known: weakref.WeakSet[Forked] = weakref.WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_all)
    return known


def _forget_all() -> None:
    for what in list(_known()):
        what.forget()
