"""Choices and loops inside `gx.vmap`: every example has its own number of iterations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.frontend.tensor import evaluate
from graphc.testing import assert_close

RNG = np.random.default_rng(2)
TARGETS = ("interpret", "cpu")


def chosen(x: Any) -> Any:
    return gx.cond(x.sum() > 0, lambda: gx.exp(x), lambda: x * 3.0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_cond_of_each_example(target: str, count: int) -> None:
    x = gx.input("x", ("n", 3))
    step = gx.compile([x], gx.vmap(chosen)(x), target=target)
    a = RNG.normal(size=(count, 3)).astype("f4")
    expected = np.where(a.sum(axis=1, keepdims=True) > 0, np.exp(a), 3 * a)
    assert_close(step(a), expected, each=True)


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_cond_of_each_example(target: str) -> None:
    x = gx.input("x", ("n", 3))
    inside = gx.vmap(lambda a: gx.grad((chosen(a) ** 2).sum(), a))(x)
    through = gx.grad((gx.vmap(chosen)(x) ** 2).sum(), x)
    step = gx.compile([x], (inside, through), target=target)
    a = RNG.normal(size=(6, 3)).astype("f4")
    expected = np.where(a.sum(axis=1, keepdims=True) > 0, 2 * np.exp(2 * a), 18 * a)
    for found in step(a):
        assert_close(found, expected, each=True)


def test_a_condition_shared_by_all_examples() -> None:
    x, flag = gx.input("x", ("n", 3)), gx.input("flag", (), dtype="bool")
    y = gx.vmap(lambda a: gx.cond(flag, lambda: gx.exp(a), lambda: a))(x)
    a = RNG.normal(size=(4, 3)).astype("f4")
    for value, expected in ((True, np.exp(a)), (False, a)):
        (found,) = evaluate([y], {x: a, flag: np.bool_(value)})
        assert_close(found, expected, tolerance="ulps", each=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_branch_not_taken_is_not_checked(target: str) -> None:
    ids = gx.input("ids", ("n",), dtype="int32")
    table = gx.constant(np.arange(5, dtype=np.float32))

    def row(i: Any) -> Any:
        return gx.cond(i < 5, lambda: gx.take(table, i, axis=0), lambda: gx.constant(-1.0))

    step = gx.compile([ids], gx.vmap(row)(ids), target=target)
    np.testing.assert_array_equal(step(np.array([3, 99, -5, 7], "i4")), [3, -1, 0, -1])
    with pytest.raises(RuntimeCheckError):
        step(np.array([3, 99, -6, 7], "i4"))


def halved(x: Any, steps: int = 20) -> Any:
    """Halve until the sum is small; count the halvings."""
    return gx.while_loop(
        lambda c: gx.abs(c[0]).sum() > 1.0,
        lambda c: (gx.tanh(c[0]) * 0.5, c[1] + 1),
        (x, gx.constant(np.int32(0))),
        max_steps=steps,
    )


def halved_in_numpy(x: Any) -> tuple[Any, int]:
    count = 0
    while np.abs(x).sum() > 1:
        x, count = np.tanh(x) * 0.5, count + 1
    return x, count


@pytest.mark.parametrize("target", TARGETS)
def test_while_loops_stop_example_by_example(target: str) -> None:
    x = gx.input("x", ("n", 4), "float64")
    last, count = gx.vmap(halved)(x)
    step = gx.compile([x], (last, count), target=target)
    a = RNG.normal(size=(7, 4)) * np.array([0.1, 0.2, 1, 1, 2, 5, 100])[:, None]
    found, counts = step(a)
    expected = [halved_in_numpy(row) for row in a]
    assert_close(found, np.stack([e[0] for e in expected]), each=True)
    np.testing.assert_array_equal(counts, [e[1] for e in expected])
    assert len(set(counts)) > 1


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_while_loops_of_each_example(target: str) -> None:
    x = gx.input("x", ("n", 4), "float64")
    inside = gx.vmap(lambda a: gx.grad(halved(a)[0].sum(), a))(x)
    through = gx.grad(gx.vmap(lambda a: halved(a)[0])(x).sum(), x)
    one = gx.input("one", (4,), "float64")
    single = gx.grad(halved(one)[0].sum(), one)
    step = gx.compile([x], (inside, through), target=target)
    a = RNG.normal(size=(7, 4)) * np.array([0.1, 0.2, 1, 1, 2, 5, 100])[:, None]
    loop = np.stack([evaluate([single], {one: row})[0] for row in a])
    for found in step(a):  # 1 - tanh(a)**2 is known to a rounding of 1, however small it is
        assert_close(found, loop, each=True, floor=1e-2)


def test_an_example_that_goes_on_too_long_fails() -> None:
    x = gx.input("x", ("n", 4), "float64")
    last, _ = gx.vmap(lambda a: halved(a, steps=1))(x)
    evaluate([last], {x: np.full((2, 4), 0.5)})
    with pytest.raises(RuntimeCheckError, match="max_steps=1"):
        evaluate([last], {x: np.array([[0.1] * 4, [np.nan, 5, 5, 5], [9.0] * 4])})


def test_loops_in_a_branch_check_only_what_is_taken() -> None:
    ids, table = gx.input("ids", ("n",), dtype="int32"), gx.constant(np.arange(5.0))

    def total(i: Any) -> Any:
        def rows() -> Any:
            return gx.scan(
                lambda c, k: (c + gx.take(table, i + k, axis=0), None),
                gx.constant(0.0, dtype="float64"),
                gx.arange(2, dtype="int32"),
            )[0]

        return gx.cond(i < 4, rows, lambda: gx.constant(-1.0, dtype="float64"))

    (found,) = evaluate([gx.vmap(total)(ids)], {ids: np.array([0, 4, 3, 77], "i4")})
    np.testing.assert_array_equal(found, [1, -1, 7, -1])
