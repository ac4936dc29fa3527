"""A lock that native code takes without waiting, and Python with waiting."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

from graphc.forked import forget_after_fork
from graphc_llvm.runtime import layout
from graphc_llvm.runtime.support import support


class Guard:
    """Excludes two calls that use the same memory; not re-entrant.

    Functions that share a written parameter share a guard.
    """

    def __init__(self) -> None:
        self.number = next(_numbers())  # the order in which several are taken
        self._table = layout.Guard()
        self._native = support()
        self.forget()
        forget_after_fork(self)

    def forget(self) -> None:
        """Be free, whoever had this."""
        self._turn = threading.Lock()  # of Python threads, one at a time waits for native code
        self._bell = threading.Lock()  # opened when native code gives back what is waited for
        self._bell.acquire()
        self._rouse = self._bell.release
        self._table.word = self._table.held = 0
        self._table.rouse = id(self._rouse)

    @property
    def address(self) -> int:
        """Where the native table lies."""
        return layout.address(self._table)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep all others out."""
        with self._turn:
            if self._native is None:
                yield
                return
            try:
                while not self._native.take(self.address):
                    self._bell.acquire()
                yield
            finally:
                self._native.leave(self.address)

    def wait(self) -> None:
        """Return when the guard has been free for a moment."""
        with self._turn:
            while self._native is not None and self._native.wait_for(self.address):
                self._bell.acquire()


@cache
def _numbers() -> Iterator[int]:
    return itertools.count()


@contextmanager
def hold_all(guards: Sequence[Guard]) -> Iterator[None]:
    """Hold several guards, taken in their order."""
    with ExitStack() as stack:
        for guard in guards:
            stack.enter_context(guard.hold())
        yield
