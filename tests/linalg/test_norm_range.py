"""Norms whose powers are out of the range of the type that holds the norm itself."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from tests.tolerances import NORM_SLOPES, NORMS

SIZES = [
    ("float32", [1.0, 1e23, 1e37, 1e-30, 1e-36]),
    ("float64", [1.0, 1e200, 1e306, 1e-200, 1e-305]),
    ("bfloat16", [1.0, 1e25, 1e-30]),
    ("float16", [1.0, 300.0, 2e3, 1e-3]),
]


@pytest.mark.parametrize("order", [2, 3, 10, 0.5, -2])
@pytest.mark.parametrize(("dtype", "sizes"), SIZES)
def test_norms_and_their_gradients(dtype: str, sizes: list[float], order: float) -> None:
    x = gx.input("x", (2, 3), dtype)
    y = gx.linalg.vector_norm(x, axis=1, ord=order)
    dx = gx.grad(gx.sum(gx.astype(y, "float64")), x)
    step = gx.compile([x], (gx.astype(y, "float64"), gx.astype(dx, "float64")))
    values = np.array([[3.0, 4.0, 1.0], [3.0, -4.0, 0.5]])
    for size in sizes:
        given = gx.astype(gx.constant(values * size), dtype).eval({})
        exact = gx.astype(gx.constant(given), "float64").eval({}) / size
        norms = (np.abs(exact) ** order).sum(1) ** (1 / order)
        slopes = np.sign(exact) * np.abs(exact / norms[:, None]) ** (order - 1)
        found, gradient = step(given)
        np.testing.assert_allclose(found / size, norms, rtol=NORMS[dtype])
        np.testing.assert_allclose(gradient, slopes, rtol=8 * NORMS[dtype], atol=NORM_SLOPES)


@pytest.mark.parametrize("order", [2, 3, 0.5])
def test_norms_of_zeros_of_nothing_and_of_inf(order: float) -> None:
    x = gx.input("x", (2, "n"), "float64")
    y = gx.linalg.vector_norm(x, axis=1, ord=order)
    for target in ("interpret", "cpu"):
        step = gx.compile([x], y, target=target)
        assert step(np.zeros((2, 0))).tolist() == [0, 0]
        assert step(np.zeros((2, 3))).tolist() == [0, 0]
        found = step(np.array([[np.inf, 1.0, 0.0], [np.nan, 1.0, 1e300]]))
        assert found[0] == np.inf
        assert np.isnan(found[1])


def test_ordinary_norms_are_the_root_of_the_sum_to_the_last_bit() -> None:
    x = gx.input("x", (50, 9))
    step = gx.compile([x], (gx.linalg.vector_norm(x, 1), gx.sqrt(gx.sum(x * x, axis=1))))
    found, plain = step(np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32))
    np.testing.assert_array_equal(found, plain)
