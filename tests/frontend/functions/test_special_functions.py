"""Inverse functions and functions of statistics, as the user calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError
from graphc.testing import assert_close
from tests.tolerances import LAST_PLACE, MANY_TURNS

Array = np.ndarray[Any, Any]


def test_gamma_has_its_signs_and_poles() -> None:
    points = np.array([-3.5, -2.5, -1.0, -0.5, 0.0, -0.0, 0.5, 1.0, 4.0, 5.5, 171.0, 200.0, np.nan])
    x = gx.input("x", points.shape, dtype="float64")
    found = gx.compile([x], gx.gamma(x))(points)
    wanted = scipy.special.gamma(points)
    assert_close(found, wanted, each=True)
    gx.check_gradients(gx.sum(gx.gamma(x[:8] * 0.7 + 0.01)), [x], {x: np.linspace(0.3, 4, 13)})


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_gamma_of_tiny_and_huge_numbers(target: str) -> None:
    points = np.array([-2e-303, 2e-303, -0.0, -1e-17, 1e-100, -1e-162, 1e100,
                       1e305, 1e308, -170.5, -200.25, -1e-8])  # fmt: skip
    x = gx.input("x", points.shape, dtype="float64")
    outputs = [gx.gamma(x), gx.lgamma(x), gx.digamma(x)]
    found = gx.compile([x], outputs, target=target)(points)
    assert_close(found[0][0], -5e302, tolerance=LAST_PLACE, each=True)
    wanted = (scipy.special.gamma, scipy.special.gammaln, scipy.special.digamma)
    for values, function in zip(found, wanted):
        assert_close(values, function(points), each=True)


def test_broadcasting_and_python_numbers() -> None:
    x = gx.input("x", (3, 1), dtype="float64")
    a = np.array([[3.0], [-4.0], [0.5]])
    found = gx.compile(
        [x], [gx.hypot(x, 4), gx.atan2(1, x), gx.copysign(x, np.array([1.0, -1.0]))]
    )(a)
    for f, w in zip(found, (np.hypot(a, 4), np.arctan2(1, a), np.copysign(a, [1.0, -1.0]))):
        assert_close(f, w, tolerance=LAST_PLACE, each=True)
    assert gx.nextafter(gx.input("y", (2,)), 0).dtype == gx.float32


def test_lengths_have_gradient_zero_at_zero() -> None:
    x, y = (gx.input(n, (2,), dtype="float64") for n in "xy")
    slopes = gx.grad(gx.sum(gx.hypot(x, y)), [x, y])
    found = gx.compile([x, y], slopes)(np.array([0.0, 3.0]), np.array([0.0, -4.0]))
    np.testing.assert_allclose(found, [[0.0, 0.6], [0.0, -0.8]])


def test_modified_bessel_functions() -> None:
    points = np.array([-750.0, -30.0, -2.5, 0.0, 1e-9, 0.7, 7.99, 8.0, 8.01, 50.0, 709.0, 1e6])
    x = gx.input("x", points.shape, dtype="float64")
    names = ("i0", "i0e", "i1", "i1e")
    functions = [getattr(gx, name)(x) for name in names]
    slopes = [gx.grad(gx.sum(y), x) for y in functions]
    found = gx.compile([x], [*functions, *slopes])(points)
    wanted = [getattr(scipy.special, name)(points) for name in names]
    for f, w in zip(found, wanted):
        assert_close(f, w, tolerance="ulps", each=True)
    near = np.abs(points) < 60
    i0, i1 = scipy.special.i0(points[near]), scipy.special.i1(points[near])
    assert_close(found[4][near], i1, tolerance="ulps", each=True)
    assert_close(found[6][near], scipy.special.ivp(1, points[near]), each=True)
    scale, sign = np.exp(-np.abs(points[near])), np.sign(points[near])
    assert_close(found[5][near], scale * (i1 - sign * i0), each=True)
    for slope in found[4:]:
        assert np.isfinite(slope[near]).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("count", [1, 5, 16, 37])
def test_angles_of_many_turns(count: int, dtype: str) -> None:
    """One far angle in any lane, also the last of a partial vector; gradients and reductions."""
    x = gx.input("x", ("n",), dtype)
    outputs = [gx.sin(x), gx.cos(x), gx.tan(x), gx.grad(gx.sin(x).sum(), x)]
    functions = [gx.compile([x], outputs, target=target) for target in ("cpu", "interpret")]
    largest = 1e30 if dtype != "float64" else 1e300
    for place, far in [(0, 1e9), (count - 1, -1e15), (count // 2, largest), (0, np.inf)]:
        a = np.linspace(-3, 3, count).astype(x.dtype.numpy)
        a[place] = far
        with np.errstate(invalid="ignore"):
            wide = a.astype(np.longdouble)
            wanted = [np.sin(wide), np.cos(wide), np.tan(wide), np.cos(wide)]
        for function in functions:
            for found, exact in zip(function(a), wanted):
                bound = MANY_TURNS[dtype]
                np.testing.assert_allclose(found.astype(float), exact.astype(float), rtol=bound)


def test_large_arguments_of_hyperbolic_functions() -> None:
    x = np.array([88.9, -89.3, 89.5], np.float32)
    wanted = np.sinh(x.astype(float)), np.cosh(x.astype(float))
    t = gx.input("x", (3,))
    for found, w in zip(gx.compile([t], (gx.sinh(t), gx.cosh(t)))(x), wanted):
        with np.errstate(over="ignore"):
            assert_close(found, w.astype(np.float32), tolerance="ulps", each=True)


X = gx.input("x", (3,))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: gx.asin(X.astype("int32")), DTypeError, "asin: needs floats, got int32"),
        (lambda: gx.atan2(X.astype("int32"), 1), DTypeError, "atan2: needs floats"),
        (lambda: gx.polygamma(-1, X), ArgumentError, "polygamma: the order is an int from 0"),
        (lambda: gx.polygamma(1.5, X), ArgumentError, "from 0 to 20, got 1.5"),
    ],
)
def test_messages(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
