"""Several Python threads and compiled functions: who waits for whom."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.native_lock import NativeLock, hold_all
from tests.backends.llvm.runtime_parts import expected, mirror, mirror_variant, stay_function


def numbers(n: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random(n, np.float32)


def test_busy_function_waits_its_turn() -> None:
    function, cells = stay_function()
    function.activate()
    threads = [threading.Thread(target=function.entry) for _ in range(3)]
    for thread in threads:
        thread.start()
    while cells["seen"][0] == 0:
        time.sleep(0.001)
    time.sleep(0.02)
    assert cells["seen"][0] == 1  # the others are outside
    cells["gate"][0] = 1
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert cells["seen"][0] == 3


def test_shared_guard_excludes_other_functions() -> None:
    guard = NativeLock()
    first, cells = stay_function()
    held = NativeFunction("stay", guards=(NativeLock(), guard))
    held.bind(first.variants[0])
    weights = np.zeros(3, np.float32)
    other = NativeFunction("mirror", guards=(guard,))
    other.bind(mirror_variant(3, weights))
    other.activate()
    holder = threading.Thread(target=held.entry)
    holder.start()
    while cells["seen"][0] == 0:
        time.sleep(0.001)
    user = threading.Thread(target=other.entry, args=(numbers(3),))
    user.start()
    time.sleep(0.02)
    assert not weights.any()
    cells["gate"][0] = 1
    for thread in (holder, user):
        thread.join(10)
        assert not thread.is_alive()
    assert weights.any()
    with guard.hold():
        pass


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seconds", [1e-6, 1e-3])
def test_many_python_threads(threads: int, seconds: float) -> None:
    """The same function from four threads, and one of its own for each of two more."""
    shared, weights = mirror(33, threads, seconds=seconds)
    own = [mirror(33, threads, seconds=seconds) for _ in range(2)]
    x = numbers(33)
    want, want_sum = expected(x)
    wrong: list[Any] = []
    rounds = 400

    def work(function: NativeFunction) -> None:
        for _ in range(rounds):
            y, s = function.entry(x)
            if not np.array_equal(y, want) or s != want_sum:
                wrong.append((y, s))

    workers = [threading.Thread(target=work, args=(shared,)) for _ in range(4)]
    workers += [threading.Thread(target=work, args=(f,)) for f, _ in own]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not wrong

    def summed(count: int) -> np.ndarray[Any, Any]:
        total = np.zeros(33, np.float32)
        for _ in range(count):
            total += want
        return total

    assert np.array_equal(weights, summed(4 * rounds))
    assert all(np.array_equal(w, summed(rounds)) for _, w in own)


def test_rebinding_while_others_call() -> None:
    """Growing the workspace moves it; calls on other threads never see the old one."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        rebind_while_others_call()
    finally:
        sys.setswitchinterval(usual)


def rebind_while_others_call() -> None:
    function, _ = mirror(3)
    stop = threading.Event()
    wrong: list[Any] = []
    x = numbers(3)

    def work() -> None:
        while not stop.is_set():
            if not np.array_equal(function.entry(x)[0], expected(x)[0]):
                wrong.append(x)

    users = [threading.Thread(target=work) for _ in range(2)]
    for user in users:
        user.start()
    first = function.variants[0]
    for n in range(4, 60):
        function.rebind([mirror_variant(n * 50, np.zeros(n * 50, np.float32)), first])
        y = numbers(n * 50)
        assert np.array_equal(function.entry(y)[0], expected(y)[0])
    stop.set()
    for user in users:
        user.join(20)
        assert not user.is_alive()
    assert not wrong


def test_guards_are_taken_in_one_order() -> None:
    first, second = NativeLock(), NativeLock()
    one, _ = mirror(3)
    functions = [NativeFunction("f", guards=g) for g in ((first, second), (second, first, second))]
    assert all(f.guards == (first, second) for f in functions)

    def work(function: NativeFunction) -> None:
        for _ in range(300):
            with hold_all(function.guards):
                pass

    users = [threading.Thread(target=work, args=(f,)) for f in functions * 2]
    for user in users:
        user.start()
    for user in users:
        user.join(20)
        assert not user.is_alive()
    assert one.guards != functions[0].guards


def test_a_waiter_that_gives_up_leaves_the_guard_usable() -> None:
    """An exception while waiting, as Ctrl-C raises it."""
    guard = NativeLock()

    class StrikeError(Exception):
        pass

    class Bell:
        def acquire(self) -> None:
            raise StrikeError

    function, cells = stay_function()
    held = NativeFunction("stay", guards=(guard,))
    held.bind(function.variants[0])
    holder = threading.Thread(target=held.entry)
    holder.start()
    while cells["seen"][0] == 0:
        time.sleep(0.001)
    usual, guard._bell = guard._bell, Bell()  # type: ignore[assignment]
    with pytest.raises(StrikeError), guard.hold():
        pass
    with pytest.raises(StrikeError):
        held.run_in_python()
    guard._bell = usual
    assert cells["seen"][0] == 1
    cells["gate"][0] = 1
    holder.join(10)
    assert not holder.is_alive()
    held.entry()
    with guard.hold():
        pass
    assert cells["seen"][0] == 2
