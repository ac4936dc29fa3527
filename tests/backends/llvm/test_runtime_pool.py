"""Workers: shares, sleeping and waking, forks, shutdown, signals, barriers."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from graphc.config import usable_processors
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.barrier import barrier_ir
from graphc_llvm.runtime.pool import SPIN_SECONDS, ThreadPool, thread_pool
from graphc_llvm.runtime.session import LoadedCode, PlainTarget, compile_text, host, session
from graphc_llvm.runtime.support import support
from tests.backends.llvm.runtime_parts import expected, mirror, stay_function

ROOT = Path(__file__).parents[3]
LET_GO, WAIT = structs.RELEASE_GIL, structs.WAIT_FOR_SLEEPERS

# Every thread adds 1 to every cell of its own row, `rounds` times, with a barrier after each; after
# the barrier it checks that all rows are as far, and counts disagreement in the last cell.
ROUNDS = """
define void @rounds(ptr %ctx, i64 %thread, i64 %threads) {
entry:
  %team.p = getelementptr ptr, ptr %ctx, i64 3
  %team = load ptr, ptr %team.p
  %rows.p = getelementptr ptr, ptr %ctx, i64 4
  %rows = load ptr, ptr %rows.p
  %mine = getelementptr i64, ptr %rows, i64 %thread
  %wrong = getelementptr i64, ptr %rows, i64 63
  br label %head
head:
  %i = phi i64 [ 1, %entry ], [ %i1, %tail ]
  store i64 %i, ptr %mine
  call void @graphc_barrier(ptr %team, i64 %threads)
  br label %look
look:
  %t = phi i64 [ 0, %head ], [ %t1, %look.next ]
  %go = icmp ult i64 %t, %threads
  br i1 %go, label %compare, label %meet
compare:
  %other.p = getelementptr i64, ptr %rows, i64 %t
  %other = load i64, ptr %other.p
  %same = icmp eq i64 %other, %i
  br i1 %same, label %look.next, label %count
count:
  %old = atomicrmw add ptr %wrong, i64 1 seq_cst
  br label %look.next
look.next:
  %t1 = add i64 %t, 1
  br label %look
meet:
  call void @graphc_barrier(ptr %team, i64 %threads)
  br label %tail
tail:
  %i1 = add i64 %i, 1
  %more = icmp ule i64 %i, 300
  br i1 %more, label %head, label %end
end:
  ret void
}
"""


def rounds_library(freestanding: bool) -> LoadedCode:
    text = barrier_ir(host().triple, freestanding) + ROUNDS
    return session().load_object(compile_text(text, host()), ["rounds"])


class Rounds:
    """A part, its ctx, and what it writes."""

    def __init__(self, freestanding: bool = False) -> None:
        self.loaded = rounds_library(freestanding)
        whole = np.zeros(1024, np.uint8)
        self.team = whole[-whole.ctypes.data % 64 :][:192]
        self.rows = np.zeros(64, np.int64)
        self.ctx = np.zeros(5, np.uintp)
        self.ctx[3], self.ctx[4] = self.team.ctypes.data, self.rows.ctypes.data

    def run(self, pool: ThreadPool, threads: int, flags: int = LET_GO | WAIT) -> int:
        """Run; returns how many threads took part."""
        self.rows[:] = 0
        pool.run(self.loaded["rounds"], self.ctx.ctypes.data, threads, flags)
        assert self.rows[63] == 0
        took = int((self.rows[:63] == 301).sum())
        assert self.rows[took:].sum() == 0
        return took


@pytest.fixture
def pool() -> ThreadPool:
    return thread_pool()


@pytest.mark.parametrize("flags", [0, LET_GO, WAIT, LET_GO | WAIT])
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_shares_and_barriers(pool: ThreadPool, threads: int, flags: int) -> None:
    part = Rounds()
    for _ in range(3):
        took = part.run(pool, threads, flags)
        assert took == threads if flags & WAIT else took in (1, threads)


def test_freestanding_barrier(pool: ThreadPool) -> None:
    text = barrier_ir(host().triple, freestanding=True)
    assert "sched_yield" not in text
    assert Rounds(freestanding=True).run(pool, 2) == 2


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "riscv64-unknown-linux-gnu"])
def test_barrier_for_other_machines(triple: str) -> None:
    for freestanding in (False, True):
        assert compile_text(barrier_ir(triple, freestanding) + ROUNDS, PlainTarget(triple))


def test_sleepers_are_woken(pool: ThreadPool) -> None:
    part = Rounds()
    assert part.run(pool, 2) == 2
    time.sleep(20 * SPIN_SECONDS)
    assert part.run(pool, 2) == 2  # worth waiting for
    time.sleep(20 * SPIN_SECONDS)
    took = part.run(pool, 2, 0)  # not worth it: alone, but the sleeper is called
    assert took in (1, 2)
    deadline = time.perf_counter() + 5
    while part.run(pool, 2, 0) == 1:
        assert time.perf_counter() < deadline
        time.sleep(0.001)


def test_idle_workers_burn_nothing(pool: ThreadPool) -> None:
    Rounds().run(pool, 4)
    time.sleep(20 * SPIN_SECONDS)
    begin = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - begin < 0.1


def test_busy_pool_means_alone(pool: ThreadPool) -> None:
    function, cells = stay_function(threads=2)
    holder = threading.Thread(target=function.entry)
    holder.start()
    while cells["seen"][0] < 2:
        time.sleep(0.001)
    part = Rounds()
    assert part.run(pool, 2) == 1
    cells["gate"][0] = 1
    holder.join(10)
    assert not holder.is_alive()
    assert part.run(pool, 2) == 2


def test_pool_that_was_stopped_runs_alone() -> None:
    own = ThreadPool(support())
    part = Rounds()
    assert part.run(own, 3) == 3
    own.stop()
    own.stop()
    assert own.workers == 0
    assert part.run(own, 3) == 1


def test_pool_without_native_code() -> None:
    own = ThreadPool(None)
    assert Rounds().run(own, 3) == 1


def test_threads_that_do_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ThreadPool(support())

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Rounds().run(own, 3) == 1
    assert Rounds().run(own, 3) == 1
    own.stop()


def test_usable_processors() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(pool: ThreadPool) -> None:
    """A child has workers of its own, also while the parent's pool and function are busy."""
    part = Rounds()
    function, _ = mirror(50, 2)
    x = np.arange(50, dtype=np.float32)
    function.entry(x)
    stay, cells = stay_function(threads=2)
    holder = threading.Thread(target=stay.entry)
    holder.start()
    while cells["seen"][0] < 2:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            fine = np.array_equal(function.entry(x)[0], expected(x)[0])
            took = part.run(pool, 2)
            cells["gate"][0] = 1
            stay.entry()
            code = 0 if fine and took == 2 and pool.workers == 1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    cells["gate"][0] = 1
    holder.join(10)
    assert status == 0
    assert part.run(pool, 2) == 2


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_shutdown_with_workers() -> None:
    done = run_script(
        """
        import numpy as np, time
        from tests.backends.llvm.runtime_parts import mirror
        function, _ = mirror(9, 4)
        function.entry(np.ones(9, np.float32))
        print("ok")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_shutdown_while_a_daemon_thread_runs() -> None:
    done = run_script(
        """
        import numpy as np, threading, time
        from tests.backends.llvm.runtime_parts import mirror
        function, _ = mirror(9, 2, seconds=1e-6)
        x = np.ones(9, np.float32)
        def work():
            while True:
                function.entry(x)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
        print("ok")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_calls_during_exit() -> None:
    done = run_script(
        """
        import atexit
        import numpy as np
        from tests.backends.llvm.runtime_parts import mirror
        function, _ = mirror(3, 2)
        x = np.ones(3, np.float32)
        atexit.register(lambda: print(function.entry(x)[1]))
        function.entry(x)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "6.0\n", "")


def test_native_code_keeps_to_the_c_abi() -> None:
    """The worker loop's return for good, seen through ctypes."""
    native = support()
    assert native is not None
    table = structs.PoolStruct()
    slots = (structs.SlotStruct * 2)()
    table.slots, table.stop = ctypes.addressof(slots), 1
    assert native.worker(ctypes.addressof(table), 1) == 1
    table.stop = 0
    table.patience = 3
    assert native.worker(ctypes.addressof(table), 1) == 0
    assert slots[1].word == 2
