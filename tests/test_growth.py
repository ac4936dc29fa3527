"""Compiling takes work in proportion to the graph: calls of Python functions are counted."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc_llvm.emit_program import emit_program
from graphc_llvm.target import host_target

LESS, MORE = 40, 160
ALLOWED = 1.2  # of what proportion would give; the fixed part makes it less than 1


def fusable(x: Any, ws: list[Any]) -> Any:
    for i, w in enumerate(ws):
        x = (x + w, x * w, gx.nn.relu(x) * w)[i % 3]
    return x


def reductions(x: Any, ws: list[Any]) -> Any:
    for i, w in enumerate(ws[::2]):
        x = gx.nn.relu(x * w) - x.mean(i % 2, keepdims=True)
    return x


def products(x: Any, ws: list[Any]) -> Any:
    for w in ws[::2]:
        x = gx.nn.relu(x @ w)
    return x


def sums(x: Any, ws: list[Any]) -> Any:
    for w in ws[::2]:
        x = x + (w * w).sum()
    return x


def branches(x: Any, ws: list[Any]) -> Any:
    values = [gx.tanh(x * w) for w in ws[::2]]
    while len(values) > 1:
        values = [a + b for a, b in zip(values[::2], values[1::2])] + values[len(values) // 2 * 2 :]
    return values[0]


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called, those of C included."""
    count = 0

    def note(_frame: Any, event: str, _: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def compiled(chain: Callable[..., Any], depth: int) -> Any:
    """A training step up to the text that LLVM is given."""
    x = gx.input("x", (8, 8))
    ws = [gx.parameter(f"w{i}", value=np.ones((8, 8), np.float32)) for i in range(depth)]
    loss = (chain(x, ws) ** 2).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1, momentum=0.9).minimize(loss), threads=1)
    step.program.plan({})
    return emit_program(step.program, host_target(), {})


@pytest.mark.parametrize("chain", [fusable, reductions, products, sums, branches])
def test_work_is_proportional_to_depth(chain: Callable[..., Any]) -> None:
    compiled(chain, LESS)  # what is imported and cached once
    few = calls(lambda: compiled(chain, LESS))
    many = calls(lambda: compiled(chain, MORE))
    assert many < ALLOWED * few * MORE / LESS, f"{many / few:.2f} times the calls"


def test_the_length_of_a_loop_costs_nothing() -> None:
    def looped(length: int) -> Any:
        xs = gx.input("xs", (length, 4, 8))
        w = gx.parameter("w", value=np.eye(8, dtype=np.float32))
        h, _ = gx.scan(lambda h, x: (gx.tanh(h @ w + x), h), gx.zeros((4, 8)), xs)
        loss = (h * h).mean()
        step = gx.compile([xs], loss, gx.optim.SGD(0.1).minimize(loss), threads=1)
        return emit_program(step.program, host_target(), {})

    short, long = looped(100), looped(10_000)
    assert len(long.text) < 1.1 * len(short.text)
    few, many = calls(lambda: looped(100)), calls(lambda: looped(10_000))
    assert many < 1.1 * few
