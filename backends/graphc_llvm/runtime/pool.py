"""Threads that wait inside native code for something to run.

A worker is a Python thread in one long native call. Idle, it spins, then yields the processor, and
after `PATIENCE_SECONDS` goes to sleep on a Python lock; a caller that needs it opens the lock.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from ctypes import c_int64, c_void_p
from functools import cache
from typing import Any

from graphc_llvm.runtime import layout
from graphc_llvm.runtime.forked import forget_after_fork
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.support import Support, support

MAXIMUM_THREADS = 512
PATIENCE_SECONDS = 0.005
_SPINS = 100  # as in barrier.py: looks before yielding starts


def default_threads() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(MAXIMUM_THREADS, len(os.sched_getaffinity(0))))
    return max(1, min(MAXIMUM_THREADS, os.cpu_count() or 1))


class ThreadPool:
    """Workers for one caller at a time; other callers run alone meanwhile.

    Survives fork: the child starts workers of its own when it first needs them.
    """

    def __init__(self, code: Support | None) -> None:
        self._native = code
        slot_bytes = ctypes.sizeof(layout.Slot) * MAXIMUM_THREADS
        self._table_bytes = aligned_bytes(ctypes.sizeof(layout.Pool), zero=True)
        self._slot_bytes = aligned_bytes(slot_bytes, zero=True)
        self._table = layout.Pool.from_buffer(self._table_bytes.data)
        self._slots = (layout.Slot * MAXIMUM_THREADS).from_buffer(self._slot_bytes.data)
        self._table.slots = layout.address(self._slots)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._locks: list[Any] = []
        self._rousers: list[Any] = []  # bound methods that the slots point at
        forget_after_fork(self)
        atexit.register(self.stop)

    @property
    def address(self) -> int:
        """Where the native table lies."""
        return layout.address(self._table)

    @property
    def workers(self) -> int:
        """Living workers."""
        return int(self._table.workers)

    def ensure(self, threads: int) -> None:
        """Start workers until they and the caller are `threads`, or the system refuses."""
        wanted = min(threads, MAXIMUM_THREADS) - 1
        if self._native is None or wanted <= self._table.wanted:
            return
        with self._lock:
            if not self._table.patience:
                self._table.patience = _measure_patience(self._native)
            while len(self._threads) < wanted and not self._table.stop:
                if not self._start(len(self._threads) + 1):
                    break
            # Also when some did not start: entries must not ask again at every call.
            self._table.wanted = max(self._table.wanted, threads - 1)

    def run(self, part: int, ctx: int, threads: int, flags: int = 3) -> None:
        """Call ``part(ctx, thread, threads)`` on this thread and on workers; return when all have.

        Runs on fewer threads when there are fewer, and alone when the pool is busy.
        """
        if self._native is None:
            PART(part)(ctx, 0, 1)
            return
        self.ensure(threads)
        self._native.run(self.address, part, ctx, threads, flags)

    def stop(self) -> None:
        """End the workers for good; later calls run alone."""
        if self._native is None:
            return
        while self._native.swap(self.address, 1):  # a caller may be using them
            time.sleep(0.001)
        self._table.workers = 0
        self._table.stop = 1
        self._native.swap(self.address, 0)
        for lock in self._locks:
            with contextlib.suppress(RuntimeError):
                lock.release()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _start(self, index: int) -> bool:
        assert self._native is not None
        lock = threading.Lock()
        lock.acquire()  # closed: the worker sleeps on it
        rouse = lock.release
        slot = self._slots[index]
        slot.word, slot.rouse = 2, id(rouse)
        arguments = (self._native.worker, self.address, index, lock)
        thread = threading.Thread(target=_work, args=arguments, name=f"graphc-{index}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads.append(thread)
        self._locks.append(lock)
        self._rousers.append(rouse)
        self._table.workers = len(self._threads)
        return True

    def forget(self) -> None:
        """In a forked child: the workers are not there."""
        self._lock = threading.Lock()
        self._threads, self._locks, self._rousers = [], [], []
        self._table.busy = self._table.stop = 0
        self._table.workers = self._table.wanted = 0


PART = ctypes.CFUNCTYPE(None, c_void_p, c_int64, c_int64)


def _work(worker: Callable[[int, int], int], pool: int, index: int, lock: Any) -> None:
    while worker(pool, index) == 0:
        lock.acquire()


def _measure_patience(code: Support) -> int:
    """How many looks at an idle slot take PATIENCE_SECONDS on this machine."""
    looks = 1000
    begin = time.perf_counter()
    code.idle_for(_SPINS + looks)
    seconds = max(time.perf_counter() - begin, 1e-6)
    return _SPINS + int(PATIENCE_SECONDS / seconds * looks)


@cache
def thread_pool() -> ThreadPool:
    """The process's pool; it has no workers before they are needed."""
    return ThreadPool(support())
