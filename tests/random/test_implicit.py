"""The gradient of gamma variates to their concentration, beside SciPy's quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.random.implicit import gamma_slope
from graphc.testing import assert_close
from tests.tolerances import BEND_OF_QUANTILES, FORMULA, SLOPE_OF_QUANTILES

CONCENTRATIONS = (0.05, 0.3, 0.9, 1.0, 1.4, 3.0, 20.0, 400.0)
RANKS = (1e-6, 0.01, 0.2, 0.45, 0.5, 0.55, 0.8, 0.99, 1 - 1e-6)


def slope(a: Any, x: Any, dtype: str = "float64") -> Any:
    """gamma_slope of arrays, compiled."""
    inputs = [gx.input(name, (len(a),), dtype) for name in "ax"]
    return gx.compile(inputs, gamma_slope(*inputs))(np.array(a, dtype), np.array(x, dtype))


def test_slopes_are_those_of_quantiles() -> None:
    a, rank = (grid.ravel() for grid in np.meshgrid(CONCENTRATIONS, RANKS))
    step = 1e-5 * a
    ends = [special.gammaincinv(a + sign * step, rank) for sign in (1, -1)]
    wanted = (ends[0] - ends[1]) / (2 * step)
    found = slope(a, special.gammaincinv(a, rank))
    np.testing.assert_allclose(found, wanted, **SLOPE_OF_QUANTILES)


def test_slopes_where_there_is_a_closed_form() -> None:
    # far down P(a, x) = x**a / gamma(a + 1); far up log Q = (a - 1) log x - x - log gamma(a)
    a = np.array([0.01, 0.5, 2.0])
    x = np.full(3, 1e-14)
    np.testing.assert_allclose(slope(a, x), x / a * (special.digamma(a + 1) - np.log(x)), **FORMULA)
    far = np.full(3, 1e12)
    assert_close(slope(a, far), np.log(far) - special.digamma(a), tolerance="sums", each=True)
    assert list(slope([0.1, 1.0], [0.0, 0.0])) == [0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradient_of_variates(dtype: str, threads: int) -> None:
    gx.seed(3)
    a = gx.input("a", (7, 1), dtype)
    drawn = gx.random.gamma((7, 300), a, scale=2.0, name="g", dtype=dtype)
    da = gx.grad(gx.sum(drawn * drawn), a)
    step = gx.compile([a], [drawn, da], threads=threads)
    given = np.array(CONCENTRATIONS[:7], dtype)[:, None]
    x, found = step(given)
    x = x.astype(float) / 2
    wide = np.broadcast_to(given.astype(float), x.shape)
    moved = slope(wide.ravel(), x.ravel()).reshape(x.shape)
    wanted = (8 * x * moved).sum(1, keepdims=True)
    assert found.dtype == dtype
    assert_close(found, wanted, each=True)


def test_means_move_as_they_must() -> None:
    # E[x] = a, E[log x] = digamma(a); 5 standard errors
    gx.seed(1)
    a = gx.input("a", (), "float64")
    drawn = gx.random.gamma((40_000,), a, dtype="float64")
    step = gx.compile([a], gx.grad(gx.mean(drawn), a))
    logs = gx.compile([a], gx.grad(gx.mean(gx.log(drawn)), a))
    for value in (0.2, 1.0, 5.0):
        assert abs(step(np.float64(value)) - 1) < 0.05
        wanted = special.polygamma(1, value)
        assert abs(logs(np.float64(value)) - wanted) < 0.05 * wanted


def test_the_gradient_has_a_gradient() -> None:
    a, rank, h = 1.7, 0.3, 1e-3
    gx.seed(5)
    point = gx.input("a", (1,), "float64")
    drawn = gx.random.gamma((1,), point, name="g", dtype="float64")
    first = gx.grad(gx.sum(drawn), point)
    second = gx.grad(gx.sum(first), point)
    x, found = gx.compile([point], [drawn, second])(np.array([a]))
    rank = special.gammainc(a, x)
    below, here, above = (special.gammaincinv(a + k * h, rank) for k in (-1, 0, 1))
    np.testing.assert_allclose(found, (above - 2 * here + below) / h**2, **BEND_OF_QUANTILES)
