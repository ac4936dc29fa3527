"""The thread pool: workers that wait inside native code.

A worker is a Python thread in one long native call. Idle, it spins, then yields the processor, and
after `SPIN_SECONDS` goes to sleep on a Python lock; a caller that needs it opens the lock.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import threading
import time
from collections.abc import Callable
from ctypes import c_int64, c_void_p
from functools import cache

from graphc.forked import forget_after_fork
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.support import Support, support

MAXIMUM_THREADS = 512
SPIN_SECONDS = 0.005
_SPINS = 100  # as in barrier.py: looks before yielding starts


class ThreadPool:
    """A pool that serves one caller at a time; other callers run on their own thread.

    Survives fork: the child starts workers of its own when it first needs them.
    """

    def __init__(self, code: Support | None) -> None:
        self._native = code
        slot_bytes = ctypes.sizeof(structs.SlotStruct) * MAXIMUM_THREADS
        self._table_bytes = aligned_bytes(ctypes.sizeof(structs.PoolStruct), zero=True)
        self._slot_bytes = aligned_bytes(slot_bytes, zero=True)
        self._table = structs.PoolStruct.from_buffer(self._table_bytes.data)
        self._slots = (structs.SlotStruct * MAXIMUM_THREADS).from_buffer(self._slot_bytes.data)
        self._table.slots = structs.address(self._slots)
        self._lock, self._joining = threading.Lock(), threading.Lock()
        self._threads: list[threading.Thread] = []
        self._rousers: list[Callable[[], None]] = []  # bound methods that the slots point at
        forget_after_fork(self)
        atexit.register(self.stop)

    @property
    def address(self) -> int:
        """Where the native table lies."""
        return structs.address(self._table)

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
                self._table.patience = _measure_spins(self._native)
            while self.workers < wanted and not self._table.stop and self._start():
                pass
            # Also when some did not start: entries must not ask again at every call.
            self._table.wanted = max(self._table.wanted, threads - 1)

    def run(self, body: int, ctx: int, threads: int, flags: int = 3) -> None:
        """Call ``body(ctx, thread, threads)`` on this thread and on workers; return when all have.

        Runs on fewer threads when there are fewer, and alone when the pool is busy.
        """
        if self._native is None:
            THREAD_BODY(body)(ctx, 0, 1)
            return
        self.ensure(threads)
        self._native.run(self.address, body, ctx, threads, flags)

    def stop(self) -> None:
        """Stop the workers; later calls run on the caller alone."""
        if self._native is None:
            return
        while self._native.swap(self.address, 1):  # a caller may be using them
            time.sleep(0.001)
        self._table.workers = 0
        self._table.stop = 1
        self._native.swap(self.address, 0)
        for rouse in self._rousers:
            with contextlib.suppress(RuntimeError):
                rouse()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _start(self) -> bool:
        arrived = threading.Event()
        thread = threading.Thread(target=self._work, args=(arrived,), name="graphc", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        return arrived.wait(timeout=10.0)

    def _work(self, arrived: threading.Event) -> None:
        """The worker loop."""
        assert self._native is not None
        # The worker takes its slot itself: Ctrl-C may strike whoever started it at any moment.
        lock = threading.Lock()
        lock.acquire()  # closed: the worker sleeps on it
        rouse = lock.release
        with self._joining:
            index = self.workers + 1
            if index >= MAXIMUM_THREADS:
                return
            slot = self._slots[index]
            slot.word, slot.rouse = 2, id(rouse)
            self._threads.append(threading.current_thread())
            self._rousers.append(rouse)
            self._table.workers = index
        arrived.set()
        while self._native.worker(self.address, index) == 0:
            lock.acquire()

    def forget(self) -> None:
        """Forget the workers in a forked child."""
        self._lock, self._joining = threading.Lock(), threading.Lock()
        self._threads, self._rousers = [], []
        self._table.busy = self._table.stop = 0
        self._table.workers = self._table.wanted = 0


THREAD_BODY = ctypes.CFUNCTYPE(None, c_void_p, c_int64, c_int64)


def _measure_spins(code: Support) -> int:
    """How many looks at an idle slot take PATIENCE_SECONDS when nobody else wants the processor."""
    looks, begin, best = 25, time.perf_counter(), 1.0
    for _ in range(8):
        before = time.perf_counter()
        code.idle_for(_SPINS + looks)
        after = time.perf_counter()
        best = min(best, after - before)
        if after - begin > 1e-3:
            break
    return _SPINS + min(100_000, max(2_000, int(SPIN_SECONDS / best * looks)))


@cache
def thread_pool() -> ThreadPool:
    """The process's pool; it has no workers before they are needed."""
    return ThreadPool(support())
