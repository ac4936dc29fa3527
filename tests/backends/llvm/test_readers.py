"""Functions that read what others write: they see whole steps, whoever was there first."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gx

N = 50_000


@pytest.mark.parametrize("first", ["reader", "writer"])
@pytest.mark.parametrize("kind", ["plain", "prepared", "value"])
def test_no_half_steps_are_seen(first: str, kind: str) -> None:
    x = gx.input("x", (2,))
    w, v = gx.parameter("w", value=np.zeros(N)), gx.parameter("v", value=np.zeros(N))
    low, high = gx.minimum(gx.min(w), gx.min(v)), gx.maximum(gx.max(w), gx.max(v))
    outputs = (low, high) if kind == "prepared" else (low + gx.sum(x), high + gx.sum(x))
    zeros = np.zeros(2, np.float32)

    def make_reader() -> Any:
        f = gx.compile([x], outputs)
        f(zeros)
        return f

    reader = make_reader() if first == "reader" else None
    step = gx.compile([x], gx.sum(x), {w: w + 1.0, v: v + 1.0})
    step(zeros)
    reader = reader or make_reader()
    ended = threading.Event()

    def trains() -> None:
        while not ended.is_set():
            step(zeros)

    thread = threading.Thread(target=trains)
    thread.start()
    try:
        for _ in range(30):
            if kind == "value":
                assert np.ptp(w.value) == 0
            else:
                lowest, highest = reader(zeros)
                assert lowest == highest
    finally:
        ended.set()
        thread.join()


def test_readers_alone_share_no_lock() -> None:
    x, w = gx.input("x", (2,)), gx.parameter("w", value=np.ones(2, np.float32))
    one, two = gx.compile([x], x * w), gx.compile([x], x + w)
    one(np.zeros(2, np.float32)), two(np.zeros(2, np.float32))
    assert not set(one.native.native.guards) & set(two.native.native.guards)
    step = gx.compile([x], gx.sum(x), {w: w * 2.0})
    step(np.zeros(2, np.float32))
    assert w.guard in one.native.native.guards
    assert w.guard in two.native.native.guards
