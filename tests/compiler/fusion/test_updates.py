"""Updates of parameters: every new value is made of old values, whatever is done in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

SHAPE = (3, 5)


def parameters(count: int) -> list[Any]:
    rng = np.random.default_rng(1)
    return [
        gx.parameter(f"p{i}", value=rng.normal(size=SHAPE).astype(np.float32)) for i in range(count)
    ]


def swap(p: Any, q: Any, x: Any) -> Any:
    return {p: q, q: p}


def rotate_through_functions(p: Any, q: Any, x: Any) -> Any:
    return {p: q * 2.0 + x, q: p - x}


def both_from_both(p: Any, q: Any, x: Any) -> Any:
    return {p: p + q, q: p - q}


def through_a_sum(p: Any, q: Any, x: Any) -> Any:
    return {p: p - q.sum(), q: q * p.mean()}


def through_a_product(p: Any, q: Any, x: Any) -> Any:
    return {p: p - 0.1 * (p @ q.T) @ x, q: q - 0.1 * (q @ p.T) @ x}


def old_and_new(p: Any, q: Any, x: Any) -> Any:
    new = p * 0.5 + x
    return {p: new, q: q + new.sum(axis=0) + p}


def transposed_copy(p: Any, q: Any, x: Any) -> Any:
    return {p: gx.flip(q, axis=0), q: gx.flip(p, axis=1)}


def copy_of_an_updated_one(p: Any, q: Any, x: Any) -> Any:
    return {p: p + x, q: p}


CASES = (
    swap, rotate_through_functions, both_from_both, through_a_sum, through_a_product, old_and_new,
    transposed_copy, copy_of_an_updated_one,
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_new_values_are_made_of_old_ones(case: Any) -> None:
    found = {}
    for target in ("cpu", "interpret"):
        p, q = parameters(2)
        x = gx.input("x", SHAPE)
        step = gx.compile([x], (p * 1.0, q + x), case(p, q, x), target=target)
        rng = np.random.default_rng(2)
        outputs = [step(rng.normal(size=SHAPE).astype(np.float32)) for _ in range(3)]
        found[target] = [*np.ravel(outputs), *p.value.ravel(), *q.value.ravel()]
    assert_close(found["cpu"], found["interpret"], each=True)


def test_a_cheap_function_of_a_new_value_is_read_in_another_kernel() -> None:
    x = gx.input("x", ("batch",), "float32")
    v, p = gx.parameter("v", value=np.float32(1)), gx.parameter("p", value=np.ones(2, np.float32))
    total = gx.sum(x)
    new = 0.5 * v + total * total
    last, _ = gx.scan(lambda c, _: (gx.tanh(c + total), None), gx.zeros(2), length=3)
    step = gx.compile([x], [], {v: new, p: p - last / gx.sqrt(new)})
    array = np.array([0.5, 1.0, -0.25], np.float32)
    step(array)
    carry = np.zeros(2)
    for _ in range(3):
        carry = np.tanh(carry + 1.25)
    assert_close(v.value, 0.5 + 1.25**2, tolerance="ulps")
    assert_close(p.value, 1 - carry / np.sqrt(0.5 + 1.25**2))


def test_updates_wait_for_what_reads_through_several_values() -> None:
    """A value that another kernel computes again is made of values that have no bytes either."""
    shapes = ((3, 2, 0), (0,), (0, 0))
    w = [gx.parameter(f"w{i}", value=np.zeros(s)) for i, s in enumerate(shapes)]
    loss = gx.sum(gx.einsum("adc,b,bb->", *w) ** 2)
    for optimizer in (gx.optim.SGD(0.1), gx.optim.Adam(0.1)):
        assert gx.compile([], loss, optimizer.minimize(loss))() == 0.0
