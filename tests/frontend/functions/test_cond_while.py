"""cond and while_loop: values, gradients, laziness, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import SLOPE, SLOPE_OF_LOOPS

TARGETS = ("interpret", "cpu")


@pytest.mark.parametrize("target", TARGETS)
def test_cond_takes_one_branch(target: str) -> None:
    x = gx.input("x", (4,))
    w = gx.parameter("w", value=np.arange(16, dtype=np.float32).reshape(4, 4))
    y = gx.cond(x.sum() > 0, lambda: {"a": gx.exp(x) @ w}, lambda: {"a": x * 3.0})
    loss = (y["a"] ** 2).sum()
    step = gx.compile([x], (y, gx.grad(loss, [x, w])), target=target)
    for given in (np.array([1, 2, -1, 0.5], np.float32), -np.ones(4, np.float32)):
        found, (dx, dw) = step(given)
        if given.sum() > 0:
            expected = np.exp(given) @ w.value
            slope = 2 * (w.value @ expected) * np.exp(given)
            dwe = 2 * np.outer(np.exp(given), expected)
        else:
            expected, slope, dwe = 3 * given, 18 * given, np.zeros((4, 4))
        assert_close(found["a"], expected)
        assert_close(dx, slope)
        assert_close(dw, dwe, each=True)


@pytest.mark.parametrize("target", TARGETS)
def test_cond_computes_only_what_it_takes(target: str) -> None:
    ids = gx.input("ids", (), dtype="int32")
    table = gx.constant(np.arange(5, dtype=np.float32))
    y = gx.cond(ids < 5, lambda i: gx.take(table, i, axis=0), lambda i: gx.constant(-1.0), ids)
    step = gx.compile([ids], y, target=target)
    assert step(np.int32(3)) == 3.0
    assert step(np.int32(99)) == -1.0  # the row that does not exist is never read


@pytest.mark.parametrize("target", TARGETS)
def test_while_loop_stops_where_its_condition_fails(target: str) -> None:
    n = gx.input("n", (), dtype="int64")

    def collatz(carry: Any) -> Any:
        value, steps = carry
        half = gx.where(value % 2 == 0, value // 2, 3 * value + 1)
        return half, steps + 1

    start = (n, gx.constant(np.int64(0)))
    last = gx.while_loop(lambda c: c[0] != 1, collatz, start, max_steps=200)
    step = gx.compile([n], last, target=target)
    for value, steps in ((1, 0), (2, 1), (27, 111), (97, 118)):
        assert [int(v) for v in step(np.int64(value))] == [1, steps]


@pytest.mark.parametrize("target", TARGETS)
def test_while_loop_gradient(target: str) -> None:
    x, a = gx.input("x", (), dtype="float64"), gx.input("a", (3,), dtype="float64")
    last = gx.while_loop(
        lambda c: c["s"] < 10.0,
        lambda c: {"s": c["s"] * x + a.sum(), "v": gx.sin(c["v"]) + a},
        {"s": x * x, "v": a * 2.0},
        max_steps=30,
    )
    loss = last["s"] + (last["v"] ** 2).sum()
    step = gx.compile([x, a], [loss, *gx.grad(loss, [x, a])], target=target)

    def value(u: float, b: Any) -> float:
        s, v = u * u, b * 2.0
        while s < 10.0:
            s, v = s * u + b.sum(), np.sin(v) + b
        return float(s + (v**2).sum())

    for u in (1.3, 2.5, 4.0):  # several iterations, one, none
        b = np.array([0.1, 0.2, -0.05])
        found, dx, da = step(np.float64(u), b)
        assert_close(found, value(u, b))
        h = 1e-6
        assert float(dx) == pytest.approx((value(u + h, b) - value(u - h, b)) / (2 * h), **SLOPE)
        for i in range(3):
            e = np.zeros(3)
            e[i] = h
            slope = (value(u, b + e) - value(u, b - e)) / (2 * h)
            assert float(da[i]) == pytest.approx(slope, **SLOPE_OF_LOOPS)


@pytest.mark.parametrize("target", TARGETS)
def test_while_loop_past_its_maximum_updates_nothing(target: str) -> None:
    x = gx.input("x", ())
    p = gx.parameter("p", value=np.zeros(3, np.float32))
    last = gx.while_loop(lambda c: c < 100.0, lambda c: c * x, x + 0.0, max_steps=5)
    step = gx.compile([x], last, {p: p + last}, target=target)
    assert step(np.float32(10.0)) == 100.0
    before = p.value
    with pytest.raises(RuntimeCheckError, match="max_steps=5"):
        step(np.float32(1.5))
    np.testing.assert_array_equal(p.value, before)


def test_errors() -> None:
    x = gx.input("x", (3,))
    flag = x.sum() > 0
    with pytest.raises(
        ShapeError, match=r"result 0 is f32\[3\] in one branch, f32\[\] in the other"
    ):
        gx.cond(flag, lambda: x, lambda: x.sum())
    with pytest.raises(ArgumentError, match="one branch returns"):
        gx.cond(flag, lambda: x, lambda: (x, x))
    with pytest.raises(ShapeError, match=r"condition must be bool\[\]"):
        gx.cond(x > 0, lambda: x, lambda: x)
    with pytest.raises(ShapeError, match="carry 0 starts as"):
        gx.while_loop(lambda c: c.sum() > 0, lambda c: c.sum(), x, max_steps=3)
