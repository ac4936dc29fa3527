"""Row-wise composites that the compiler has never seen become one kernel that reads memory once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import Load, exprs_in
from tests.tolerances import OTHER_ORDER

ROWS, COLUMNS = 37, 53


def cosine_gate(x: Any, y: Any) -> Any:
    """Cosine of two rows gates their difference."""
    dot = (x * y).sum(axis=-1, keepdims=True)
    norms = gx.sqrt((x * x).sum(axis=-1, keepdims=True) * (y * y).sum(axis=-1, keepdims=True))
    return (x - y) * gx.tanh(dot / (norms + 1e-3))


def power_normalised(x: Any, y: Any) -> Any:
    """Root-mean-square normalisation, a swish, and a residual."""
    scale = gx.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5)
    z = x / scale
    return z / (1.0 + gx.exp(-z)) + y


def sharpened(x: Any, y: Any) -> Any:
    """A softmax of one row mixes the other, centred; three dependent reductions."""
    e = gx.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return (p * y) - (p * y).mean(axis=-1, keepdims=True)


def margin(x: Any, y: Any) -> Any:
    """The largest margin over a row's spread: one number a row."""
    spread = x.max(axis=-1) - x.min(axis=-1)
    return gx.abs(x - y).max(axis=-1) / (spread + 1.0) + y.sum(axis=-1)


def standardised_twice(x: Any, y: Any) -> Any:
    """Standardise, bend, standardise again: four reductions, one after the other."""
    z = gx.tanh(standardise(x) + 0.5 * y)
    return standardise(z)


def standardise(x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / gx.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-3)


COMPOSITES = (cosine_gate, power_normalised, sharpened, margin, standardised_twice)


def compiled(composite: Callable[..., Any], target: str) -> Any:
    rows = gx.dim("rows")
    x, y = gx.input("x", (rows, COLUMNS)), gx.input("y", (rows, COLUMNS))
    return gx.compile([x, y], composite(x, y), target=target)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_is_one_kernel(composite: Callable[..., Any]) -> None:
    calls = compiled(composite, "cpu").program.schedule.calls
    assert len(calls) == 1
    (call,) = calls
    sizes = {"rows": ROWS}
    arguments = sum(evaluate(s.type.nbytes, sizes) for s in call.arguments)
    assert evaluate(call.bytes, sizes) == arguments  # each argument moves once
    assert {s.role for s in call.arguments} == {"input", "output"}


@pytest.mark.parametrize("composite", COMPOSITES)
def test_reads_a_row_in_one_visit(composite: Callable[..., Any]) -> None:
    """Every load of an input is of the row that the outermost loop is at."""
    (call,) = compiled(composite, "cpu").program.schedule.calls
    (loop,) = call.kernel.body
    loads = [e for e in exprs_in(call.kernel.body) if isinstance(e, Load)]
    loads = [e for e in loads if e.buffer in call.kernel.arguments]
    assert loads
    assert all(e.index[0].axis is loop.axis for e in loads)


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("rows", [1, 2, ROWS])
def test_agrees_with_the_interpreter(composite: Callable[..., Any], rows: int) -> None:
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(rows, COLUMNS)).astype(np.float32) for _ in range(2))
    native, oracle = compiled(composite, "cpu")(x, y), compiled(composite, "interpret")(x, y)
    np.testing.assert_allclose(native, oracle, **OTHER_ORDER)


def test_a_gradient_of_a_composite_is_one_kernel_too() -> None:
    rows = gx.dim("rows")
    x, y = gx.input("x", (rows, COLUMNS)), gx.input("y", (rows, COLUMNS))
    loss = (sharpened(x, y) * y).sum()
    step = gx.compile([x, y], gx.grad(loss, x))
    assert len(step.program.schedule.calls) == 1
