"""Kernels that differ by names alone are one function; any other difference keeps them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc.ir.loops.kernel_equality import first_equal_kernels, kernel_key
from graphc.testing import assert_close


def kernel(
    make: Any, name: str = "x", shape: tuple[int, ...] = (4, 8), dtype: Any = "float32"
) -> Kernel:
    """The one kernel of a function of one input."""
    x = gx.input(name, shape, dtype)
    (found,) = gx.compile([x], make(x), threads=1).program.schedule.kernels
    return found


def test_names_do_not_count() -> None:
    first, second = kernel(lambda x: gx.tanh(x) + x), kernel(lambda x: gx.tanh(x) + x, "other")
    assert first is not second
    assert kernel_key(first) == kernel_key(second)
    assert first_equal_kernels([second, first]) == {second: second, first: second}


CASES: dict[str, Kernel] = {
    "the kernel": kernel(lambda x: x * 2 + x.sum(1, keepdims=True)),
    "function": kernel(lambda x: x * 2 - x.sum(1, keepdims=True)),
    "combine": kernel(lambda x: x * 2 + x.max(1, keepdims=True)),
    "constant": kernel(lambda x: x * 3 + x.sum(1, keepdims=True)),
    "sign of zero": kernel(lambda x: gx.maximum(x, -0.0) + x.sum(1, keepdims=True)),
    "zero": kernel(lambda x: gx.maximum(x, 0.0) + x.sum(1, keepdims=True)),
    "axis": kernel(lambda x: x * 2 + x.sum(0, keepdims=True)),
    "operand": kernel(lambda x: x * x + x.sum(1, keepdims=True)),
    "shape": kernel(lambda x: x * 2 + x.sum(1, keepdims=True), shape=(8, 4)),
    "dim": kernel(lambda x: x * 2 + x.sum(1, keepdims=True), shape=("batch", 8)),  # type: ignore[arg-type]
    "dtype": kernel(lambda x: x * 2 + x.sum(1, keepdims=True), dtype="float64"),
    "view": kernel(lambda x: x.T * 2 + x.T.sum(1, keepdims=True), shape=(8, 4)),
}


@pytest.mark.parametrize("what", CASES)
def test_everything_else_does(what: str) -> None:
    others = [kernel_key(k) for name, k in CASES.items() if name != what]
    assert kernel_key(CASES[what]) not in others


def test_equal_layers_are_one_function_and_right() -> None:
    x = gx.input("x", (4, 8))
    weights = [gx.parameter(f"w{i}", (8, 8)) for i in range(6)]
    y = x
    for w in weights:
        y = gx.nn.relu(y @ w)
    step = gx.compile([x], y, threads=1)
    given = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
    expected = given
    for w in weights:
        expected = np.maximum(expected @ w.value, 0)
    assert_close(step(given), expected)
    assert len(step.program.schedule.kernels) == 6
    assert len(set(first_equal_kernels(step.program.schedule.kernels).values())) == 1
