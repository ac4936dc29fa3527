"""Batches made ahead in a thread: what they raise, and when the thread ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.train.prefetch import Prefetch
from tests.train.streaming import SIZE, Loader, cut, prefetching, regression, value


def test_what_an_iterator_raises_comes_after_the_steps_before() -> None:
    step, _, arrays = regression()

    def broken() -> Iterator[Any]:
        yield from list(cut(arrays))[:3]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        gx.fit(step, broken(), verbose=False)
    other, _, _ = regression()
    gx.fit(other, [a[: 3 * SIZE] for a in arrays], 1, SIZE, shuffle=False, verbose=False)
    np.testing.assert_array_equal(value(step), value(other))


def test_the_lines_of_the_generator_are_in_the_traceback() -> None:
    step, check, arrays = regression()

    def unlucky() -> Iterator[Any]:
        yield from list(cut(arrays))[:1]
        raise KeyError("no such picture")

    runs: list[Any] = [
        lambda: gx.fit(step, unlucky, verbose=False),
        lambda: gx.fit(step, arrays, validation=(check, unlucky), verbose=False),
        lambda: gx.evaluate(check, unlucky),
        lambda: gx.predict(check, unlucky),
    ]
    for run in runs[:3]:
        with pytest.raises(KeyError) as error:
            run()
        assert "unlucky" in [entry.name for entry in error.traceback]
    with pytest.raises(ArgumentError, match="loss has no batch axis"):
        runs[3]()
    assert not prefetching()


class Stop(gx.callbacks.Callback):
    def __init__(self, error: type[BaseException] | None = None) -> None:
        self.error = error

    def slice_end(self, run: Any, logs: dict[str, float]) -> None:
        if self.error is not None:
            raise self.error
        run.stop("enough")


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_ends_early_closes_what_it_opened(error: type[BaseException] | None) -> None:
    step, _, arrays = regression()
    made, closed = [], []

    def endless() -> Iterator[Any]:
        try:
            while True:
                made.append(1)
                yield next(cut(arrays))
        finally:
            closed.append(threading.current_thread().name)

    own = endless()  # it is not the run that opened this one
    for data in (endless, own):
        with suppress(ZeroDivisionError):
            gx.fit(step, data, callbacks=[Stop(error)], verbose=False)
        assert len(made) <= 4  # one step, two batches ahead, one that was being made
        assert not prefetching()
        made.clear()
    assert closed == ["graphc prefetch"]
    assert len(next(own)) == 2


def test_ctrl_c_ends_the_wait_for_a_batch() -> None:
    step, _, arrays = regression()
    gate = threading.Event()

    def slow() -> Iterator[Any]:
        yield next(cut(arrays))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        gate.wait(0.2)
        yield next(cut(arrays))

    history = gx.fit(step, slow, 3, verbose=False)
    assert (history.interrupted, history.epochs) == (True, 0)
    assert not prefetching()


def test_batches_are_made_two_ahead_while_steps_run() -> None:
    items = Prefetch(iter(range(10)), 2)
    assert [items.take() for _ in range(10) if items.wait()] == list(range(10))
    assert not items.wait()
    made: list[int] = []
    second = Prefetch((made.append(i) or i for i in range(10)), 2)  # type: ignore[func-returns-value]
    for taken in range(1, 4):
        assert second.wait()
        second.take()
        deadline = time.monotonic() + 5
        while len(made) < taken + 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) == taken + 2
    second.close()
    assert not prefetching()


def test_batches_may_be_made_when_their_turn_comes() -> None:
    step, check, arrays = regression()
    seen: list[Any] = []

    def own() -> Iterator[Any]:
        try:
            for batch in cut(arrays):
                seen.append((threading.current_thread(), value(step).tobytes()))
                yield batch
            raise EOFError
        finally:
            seen.append(None)

    with pytest.raises(EOFError):
        gx.fit(step, own, prefetch=0, verbose=False)
    assert {thread for thread, _ in seen[:-1]} == {threading.main_thread()}
    assert len({found for _, found in seen[:-1]}) == 6  # each after the step before
    assert seen[-1] is None
    other, _, _ = regression()
    gx.fit(other, arrays, 1, SIZE, shuffle=False, verbose=False)
    np.testing.assert_array_equal(value(step), value(other))
    seen.clear()
    gx.fit(step, own, prefetch=0, callbacks=[Stop()], verbose=False)
    assert (len(seen), seen[-1]) == (2, None)
    found = gx.evaluate(check, Loader(arrays), prefetch=0)["loss"]
    assert found == gx.evaluate(check, Loader(arrays))["loss"]
    with pytest.raises(ArgumentError, match="prefetch must be 0 or more, got -1"):
        gx.fit(step, arrays, prefetch=-1, verbose=False)
