"""Carried accumulators: state that a sequential loop hands on, in the interpreter and natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.loops.combine import carry
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Kernel,
    Load,
    Loop,
    Ref,
    Store,
)  # fmt: skip
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.types import int64
from tests.backends.llvm.native import Native

E = ExprEmitter()


def fibonacci(rows: int, count: int, lanes: bool) -> Kernel:
    """Two numbers handed on; every row starts at 0 and its own number."""
    start = Buffer("start", int64, (rows,))
    steps = Buffer("steps", int64, (count, rows))
    last = Buffer("last", int64, (rows,))
    row, i = Axis("row"), Axis("i")
    at, k = E.index(row), E.index(i)
    a, b = Ref(int64, "a"), Ref(int64, "b")
    first, second = Accumulator(carry(0), (a,)), Accumulator(carry(1), (b,))
    one = E.make(
        "select", int64, (E.apply("eq", k, E.const(0, int64)), Load(int64, start, (at,)), b)
    )
    body = (
        Accumulate(second, (E.add(a, one),)),
        Accumulate(first, (one,)),
        Store(steps, (k, at), a),
    )
    inner = Loop(i, E.extent(count), SEQUENTIAL, body, (first, second))
    outer = Loop(row, E.extent(rows), PARALLEL, (inner, Store(last, (at,), b)), lanes=lanes)
    return Kernel("fibonacci", (start,), (steps, last), (outer,))


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_handed_on(count: int, lanes: bool) -> None:
    kernel = fibonacci(19, count, lanes)
    start = np.arange(19)
    expected = np.zeros((count, 19), np.int64)
    compiled = Native(kernel, {})

    def native(arrays: dict[str, Any]) -> None:
        compiled([arrays[b.name] for b in kernel.arguments], {})

    pair = [np.zeros(19, np.int64), start]
    for k in range(count):
        expected[k] = pair[0]
        pair = [pair[1], pair[0] + pair[1]]
    for run in (lambda arrays: run_kernel(kernel, arrays, {}), native):
        arrays: dict[str, Any] = {
            "start": start, "steps": np.full((count, 19), -1), "last": np.full(19, -1),
        }  # fmt: skip
        run(arrays)
        np.testing.assert_array_equal(arrays["steps"], expected)
        np.testing.assert_array_equal(arrays["last"], pair[1] if count else np.ones(19))


def test_text() -> None:
    text = kernel_text(fibonacci(3, 2, False))
    assert "a: carry; b: carry(1)" in text
    assert "a carry= " in text
