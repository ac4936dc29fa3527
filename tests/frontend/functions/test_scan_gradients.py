"""Gradients of loops with results of many kinds, of every order, and taken inside a body."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.ir.ops.loop import Scan, loop_key
from graphc.ir.types import Array
from graphc.runtime.specialize import specialize
from graphc.testing import assert_close

TARGETS = ("interpret", "cpu")
X = np.array([1.0, 2.0, 3.0])


def scalar(name: str = "p") -> Tensor:
    return gx.input(name, (), dtype="float64")


def values(inputs: list[Any], outputs: Any, *arrays: Array) -> list[Array]:
    """What all targets and `.eval` agree on."""
    runs = [gx.compile(inputs, outputs, target=t)(*arrays) for t in TARGETS]
    leaves = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    runs.append([t.eval(dict(zip(inputs, arrays))) for t in leaves])
    lists = [r if isinstance(r, (list, tuple)) else [r] for r in runs]
    for other in lists[1:]:
        for a, b in zip(lists[0], other, strict=True):
            assert_close(a, b, each=True)
    return list(lists[0])


@pytest.mark.parametrize("first", [0, 1])
def test_a_result_without_a_gradient_may_come_first(first: int) -> None:
    x, p = gx.input("x", (3,), dtype="float64"), scalar()

    def body(c: Any, r: Tensor) -> Any:
        v, flag = (c[0], c[1]) if first else (c[1], c[0])
        v, flag = v * p + r, flag | (v > 100)
        return ((v, flag) if first else (flag, v)), None

    start = (p, gx.constant(False)) if first else (gx.constant(False), p)
    last, _ = gx.scan(body, start, x)
    v, flag = (last[0], last[1]) if first else (last[1], last[0])
    orders = [gx.where(flag, 0.0, v) + p, gx.where(~flag, v, 0.0) + p]
    found = values([x, p], [gx.grad(y, p) for y in orders], X, np.array(2.0))
    assert found == [39.0, 39.0]


def test_counters_and_flags_among_the_rows() -> None:
    p = scalar()

    def body(c: Any, _: None) -> Any:
        count, v = c
        v = gx.sin(v * p)
        return (count + 1, v), (count % 2 == 0, count, v)

    (count, v), (even, counts, vs) = gx.scan(body, (gx.constant(0), p), None, length=4)
    y = gx.where(even, gx.astype(counts, "float64"), vs).sum() + v / gx.astype(count, "float64")

    def unrolled(v: Tensor) -> Tensor:
        total = gx.constant(0.0, dtype="float64")
        for k in range(4):
            v = gx.sin(v * p)
            total = total + (k if k % 2 == 0 else v)
        return total + v / 4.0

    orders = [gx.grad(y, p), gx.grad(unrolled(p), p)]
    a, b = values([p], orders, np.array(0.7))
    assert_close(a, b)


def test_the_flag_of_a_choice_comes_first() -> None:
    p = scalar()
    flag, v = gx.cond(p > 0, lambda: (p > 1, p**3), lambda: (p < 1, p**2))
    y = gx.where(flag, v, 2.0 * v)
    assert values([p], gx.grad(y, p), np.array(2.0)) == [12.0]
    assert values([p], gx.grad(y, p), np.array(-2.0)) == [-4.0]


def derivatives(y: Tensor, x: Tensor, order: int) -> list[Tensor]:
    found = [y]
    for _ in range(order):
        found.append(gx.grad(found[-1], x))
    return found[1:]


def test_derivatives_of_every_order() -> None:
    x = scalar("x")
    y = gx.scan(lambda c, _: (c**2, None), x, None, length=4)[0]
    found = values([x], derivatives(y, x, 5), np.array(0.95))
    expected, factor = [], 1.0
    for k in range(1, 6):
        factor *= 17 - k
        expected.append(factor * 0.95 ** (16 - k))
    assert_close(found, expected, each=True)


@pytest.mark.parametrize("kind", ["while", "cond", "nested", "rows", "checkpoint"])
def test_third_derivatives_of_other_loops(kind: str) -> None:
    x = scalar("x")
    if kind == "while":
        y = gx.while_loop(lambda c: c > 0.3, lambda c: gx.sin(c * c), x, 9)
    elif kind == "cond":
        y = gx.cond(x > 0, lambda: gx.sin(gx.sin(x * x) ** 2), lambda: x)
    elif kind == "rows":
        rows = gx.scan(lambda c, _: (gx.sin(c * c), c * c), x, None, length=3)[1]
        y = rows[2] * rows[1]
    elif kind == "checkpoint":
        y = gx.scan(lambda c, _: (gx.sin(c * c), None), x, None, length=3, checkpoint=2)[0]
    else:

        def inner(c: Tensor) -> Tensor:
            return gx.scan(lambda d, _: (gx.sin(c * d), None), c, None, length=2)[0]

        y = gx.scan(lambda c, _: (inner(c), None), x, None, length=2)[0]
    plain = {
        "while": lambda: gx.sin(gx.sin(x * x) ** 2),
        "cond": lambda: gx.sin(gx.sin(x * x) ** 2),
        "rows": lambda: gx.sin(gx.sin(x * x) ** 2) ** 2 * gx.sin(x * x) ** 2,
        "checkpoint": lambda: gx.sin(gx.sin(gx.sin(x * x) ** 2) ** 2),
        "nested": lambda: _nested(x),
    }[kind]()
    found = values([x], [*derivatives(y, x, 3), *derivatives(plain, x, 3)], np.array(0.7))
    assert_close(found[:3], found[3:], each=True)


def _nested(x: Tensor) -> Tensor:
    for _ in range(2):
        c, d = x, x
        for _ in range(2):
            d = gx.sin(c * d)
        x = d
    return x


def test_a_gradient_taken_inside_a_body() -> None:
    x = scalar("x")

    def inner(c: Tensor) -> Tensor:
        return gx.scan(lambda d, _: (gx.sin(d * d), None), c, None, length=2)[0]

    def newton(c: Tensor) -> Tensor:
        y = inner(c)
        return c - 0.1 * y * gx.grad(y, c)

    y = gx.scan(lambda c, _: (newton(c), None), x, None, length=2)[0]
    plain = x
    for _ in range(2):
        z = gx.sin(gx.sin(plain * plain) ** 2)
        plain = plain - 0.1 * z * gx.grad(z, plain)
    found = values([x], [*derivatives(y, x, 2), *derivatives(plain, x, 2)], np.array(0.7))
    assert_close(found[:2], found[2:])


def test_third_derivatives_of_many_examples() -> None:
    x = gx.input("x", (4,), dtype="float64")

    def third(x: Tensor) -> Tensor:
        y = gx.scan(lambda c, _: (c**2, None), x, None, length=3)[0]
        return derivatives(y, x, 3)[-1]

    given = np.array([0.5, 0.9, 1.1, -0.7])
    (found,) = values([x], gx.vmap(third)(x), given)
    assert_close(found, 8 * 7 * 6 * given**5, each=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_truncation_leaves_the_first_carry_its_gradient(reverse: bool) -> None:
    p, x = scalar(), gx.input("x", (3,), dtype="float64")
    for k, expected in ((1, 0.0), (2, 0.0), (3, 6.0)):
        last, rows = gx.scan(lambda c, r: (c * r, c * r), p, x, reverse=reverse, truncate=k)
        first = rows[2 if reverse else 0]
        found = values([p, x], [gx.grad(last, p), gx.grad(first, p)], np.array(5.0), X)
        assert found == [expected, 3.0 if reverse else 1.0]


def test_layers_with_modes_in_a_body_leave_one_loop() -> None:
    x, w = gx.input("x", (5, 3, 4)), gx.parameter("w", value=np.eye(4, dtype=np.float32))

    def body(c: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        c = gx.nn.dropout(gx.tanh(c @ w + r), 0.5)
        return c, c

    _, ys = gx.scan(body, gx.zeros((3, 4)), x)
    step = gx.compile([x], (ys, gx.grad(gx.sum(ys**2), w)), mode="train")
    loops = [k for k in step.kernels if "scan" in k.name]
    assert len(loops) == 2  # forward and back


def test_a_specialised_loop_stays_one_loop() -> None:
    x, w = gx.input("x", ("rows", 3), dtype="float64"), gx.input("w", (3,), dtype="float64")
    last, ys = gx.scan(lambda c, r: (gx.sin(c * w + r), gx.cos(c)), gx.ones_like(w), x)
    step = gx.compile([x, w], gx.grad(gx.sum(ys * ys) + gx.sum(last), [x, w]))
    graph = specialize(step.graph, {"rows": 4})
    for some in (step.graph, graph):
        loops = {loop_key(n) for n in some.nodes if isinstance(n.op, Scan)}
        assert len(loops) == 2  # forward and back
    given = np.ones((4, 3)), np.array([0.5, 1.0, -0.3])
    general = step(*given)
    step.specialize(rows=4)
    for a, b in zip(general, step(*given)):
        assert_close(a, b, each=True)
