"""A lock that native code try-acquires and Python acquires."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

from graphc.errors import UnsupportedError
from graphc.forked import forget_after_fork
from graphc.ir.storage import WriteGuard
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.support import Support, support


class NativeLock:
    """A non-reentrant lock of calls that use the same memory.

    Functions that use a parameter which one of them writes share a guard. The handler of a signal
    that runs within a step's loop is let through: it has interrupted whoever holds the guard, and
    nothing has been written yet.
    """

    def __init__(self) -> None:
        self.number = next(_numbers())  # the order in which several are taken
        self._table = structs.GuardStruct()
        self._native = support()
        self.forget()
        forget_after_fork(self)

    def forget(self) -> None:
        """Release the lock, whoever holds it."""
        self._turn = threading.Lock()  # of Python threads, one at a time waits for native code
        self._bell = threading.Lock()  # opened when native code gives back what is waited for
        self._bell.acquire()
        self._rouse = self._bell.release
        self._table.word = self._table.held = 0
        self._table.rouse = id(self._rouse)

    @property
    def address(self) -> int:
        """Where the native table lies."""
        return structs.address(self._table)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock for the block."""
        if self._native is None or is_handler(self._native):
            with contextlib.nullcontext() if self._native else self._turn:
                yield
            return
        with self._turn:
            try:
                while not self._native.take(self.address):
                    self._bell.acquire()
                yield
            finally:
                self._native.leave(self.address)


def is_handler(native: Support) -> bool:
    """Whether this is the handler of a signal that came within a step."""
    if not ctypes.c_int32.from_address(native.handling).value:
        return False
    return threading.current_thread() is threading.main_thread()


def refuse_handler(native: Support) -> None:
    """Raise where a signal's handler calls a step that the signal has interrupted."""
    if is_handler(native):
        raise UnsupportedError("a signal's handler calls a step that the signal interrupted")


@cache
def _numbers() -> Iterator[int]:
    return itertools.count()


@contextmanager
def hold_all(guards: Sequence[WriteGuard]) -> Iterator[None]:
    """Hold several guards, taken in their order."""
    with ExitStack() as stack:
        for guard in guards:
            stack.enter_context(guard.hold())
        yield
