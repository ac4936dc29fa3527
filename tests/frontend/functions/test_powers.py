"""Powers by whole and constant exponents, and their derivatives to third order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

X = np.array([-2.0, -1.0, 0.0, 0.5, 3.0])
EXPONENTS: list[Any] = [
    0, 1, 2, 3, 4, 5, 7, -1, -2, -3, 0.0, 1.0, -1.0, 5.0,
    [0.0, 1.0, 2.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0, 0.0],
]  # fmt: skip


@pytest.mark.parametrize("exponent", EXPONENTS, ids=str)
def test_derivatives_of_powers(exponent: Any) -> None:
    x = gx.input("x", (5,), "float64")
    given = np.array(exponent) if isinstance(exponent, list) else exponent
    orders = [gx.pow(x, given)]
    orders.append(gx.grad(orders[0].sum(), x))  # no error, whatever the exponent
    for _ in range(2):
        orders.append(gx.grad(orders[-1].sum(), x, unreachable="zero"))
    factor, power = np.ones(5), np.zeros(5) + given
    expected = []
    for _ in orders:
        with np.errstate(all="ignore"):
            expected.append(np.where(factor == 0.0, 0.0, factor * X**power))
        factor, power = factor * power, power - 1
    for target in ("interpret", "cpu"):
        for found, wanted in zip(gx.compile([x], orders, target=target)(X), expected):
            assert_close(found, wanted, each=True)


def test_the_gradient_of_the_zeroth_power_is_zero() -> None:
    x = gx.input("x", (5,))
    loss = (x**0).sum()
    assert gx.grad(loss, x).eval({x: X}).tolist() == [0.0] * 5
    assert gx.hessian(loss, x).eval({x: X}).tolist() == np.zeros((5, 5)).tolist()


def test_a_number_in_the_exponent_has_a_gradient() -> None:
    e = gx.constant(2.0, dtype="float64")
    x = gx.input("x", (2,), "float64")
    slope = gx.grad((x**e).sum(), e)
    assert_close(slope.eval({x: [2.0, 3.0]}), 4 * np.log(2) + 9 * np.log(3))
