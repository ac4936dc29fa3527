"""Compensated sums against exact ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import AxisError, DTypeError
from graphc.testing import assert_close

TARGETS = ("interpret", "cpu")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_are_exact_up_to_one_rounding(axis: Any, keepdims: bool, target: str) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 5, 6)) * 10.0 ** rng.integers(-20, 20, (4, 5, 6))
    x = gx.input("x", (4, "n", 6), "float64")
    found = gx.compile([x], gx.compensated_sum(x, axis, keepdims), target=target)(a)
    assert found.shape == a.sum(axis, keepdims=keepdims).shape
    axes = range(3) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(i % 3 for i in axes)
    rows = np.moveaxis(a, axes, range(len(axes)))
    rows = rows.reshape(-1, *rows.shape[len(axes) :])
    flat = rows.reshape(len(rows), -1).T
    expected = np.array([math.fsum(row) for row in flat])
    assert_close(np.ravel(found), expected, tolerance="ulps", each=True)


def test_terms_that_cancel_and_what_is_not_finite() -> None:
    x = gx.input("x", ("n",), "float64")
    total = gx.compile([x], gx.compensated_sum(x), target="interpret")
    assert total(np.array([1.0, 1e100, 1.0, -1e100])) == 2.0
    assert total(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(total(np.array([np.inf, -np.inf])))
    assert np.isnan(total(np.array([np.nan, 1.0])))
    assert total(np.array([1e308, 1e308, -1e308])) == np.inf  # the total is beyond the range
    assert total(np.zeros(0)) == 0.0


def test_16_bits_are_added_up_in_32() -> None:
    x = gx.input("x", (3000,), "float16")
    found = gx.compensated_sum(x).eval({x: np.ones(3000, np.float16)})
    assert found.dtype == np.float16
    assert found == 3000.0  # ones alone stop at 2048


def test_its_gradient_is_that_of_a_sum() -> None:
    x = gx.input("x", (2, 3), "float64")
    loss = (gx.compensated_sum(x * x, axis=1) ** 2).sum()
    a = np.random.default_rng(0).normal(size=(2, 3))
    expected = 4 * a * (a * a).sum(1, keepdims=True)
    assert_close(gx.grad(loss, x).eval({x: a}), expected)
    each = gx.vmap(gx.compensated_sum)(x)
    assert_close(each.eval({x: a}), a.sum(1), tolerance="ulps")


def test_refusals() -> None:
    with pytest.raises(DTypeError, match="compensated_sum: needs floats, got int32"):
        gx.compensated_sum(gx.input("i", (3,), "int32"))
    with pytest.raises(AxisError, match="compensated_sum"):
        gx.compensated_sum(gx.input("x", (3,)), axis=1)
