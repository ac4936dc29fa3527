"""Gradients of linear algebra by finite differences, first and second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.tolerances import BEND_OF_MATRICES, SLOPE, SLOPE_OF_MATRICES

Array = np.ndarray[Any, Any]
Function = Callable[[Any], Any]

la = gx.linalg


def symmetric(x: Any) -> Any:
    return x + x.mT


def positive(x: Any) -> Any:
    return x @ x.mT + 0.5 * gx.eye(x.shape[-1], dtype="float64")


# name: shape, function
CASES: dict[str, tuple[tuple[int, ...], Function]] = {
    "cholesky": ((2, 4, 4), lambda x: la.cholesky(positive(x))),
    "cholesky upper": ((3, 3), lambda x: la.cholesky(positive(x), upper=True)),
    "solve": ((2, 3, 3), lambda x: la.solve(x, x[..., :2] ** 2)),
    "solve vector": ((3, 3), lambda x: la.solve(x, x[0])),
    "solve triangular": ((3, 3), lambda x: la.solve_triangular(x, x, lower=True, transpose=True)),
    "inv": ((2, 3, 3), la.inv),
    "det": ((2, 3, 3), la.det),
    "slogdet": ((3, 3), lambda x: la.slogdet(x).logabsdet),
    "eigh values": ((4, 4), lambda x: la.eigvalsh(symmetric(x))),
    "eigh vectors": ((2, 3, 3), lambda x: la.eigh(symmetric(x)).eigenvectors),
    "svd u": ((4, 3), lambda x: la.svd(x, False).U),
    "svd s": ((2, 3, 4), la.svdvals),
    "svd v": ((3, 4), lambda x: la.svd(x, False).Vh),
    "svd full": ((4, 2), lambda x: (p := la.svd(x).U[..., 2:]) @ p.mT),
    "qr tall": ((4, 3), lambda x: gx.concat(list(la.qr(x)))),
    "qr wide": ((2, 2, 4), lambda x: gx.concat([*la.qr(x)], axis=-1)),
    "qr complete": ((4, 2), lambda x: (p := la.qr(x, "complete").Q[:, 2:]) @ p.mT),
    "pinv tall": ((4, 3), la.pinv),
    "pinv wide": ((2, 2, 4), la.pinv),
    "pinv deficient": ((4, 2), lambda x: la.pinv(x @ x.mT, rtol=1e-6)),
    "lstsq": ((5, 3), lambda x: la.lstsq(x[:, :2], x[:, 2])),
    "power": ((3, 3), lambda x: la.matrix_power(x, 5)),
    "negative power": ((3, 3), lambda x: la.matrix_power(x, -2)),
    "cross": ((2, 3), lambda x: la.cross(x, x[::-1] ** 2)),
    "diagonal": ((3, 5), lambda x: la.diagonal(x, 1)),
    "multi dot": ((3, 5), lambda x: la.multi_dot([x, x.mT, x[:, 0]])),
    "norm 2": ((3, 4), lambda x: la.vector_norm(x, axis=1)),
    "norm 3": ((3, 4), lambda x: la.vector_norm(x, axis=0, ord=3)),
    "norm inf": ((3, 4), lambda x: la.vector_norm(x, ord=np.inf)),
    "nuclear": ((3, 4), lambda x: la.matrix_norm(x, ord="nuc")),
    "spectral": ((3, 4), lambda x: la.matrix_norm(x, ord=2)),
    "norm 1": ((3, 4), lambda x: la.matrix_norm(x, ord=1)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    """First and second derivatives along a direction, in compiled code."""
    shape, function = CASES[name]
    rng = np.random.default_rng(1)
    x, u, v = gx.input("x", shape, dtype="float64"), rng.normal(size=shape), rng.normal(size=shape)
    y = function(x)
    weights = rng.normal(size=y.shape)
    (slope,) = gx.grad(gx.sum(y * weights), [x])
    (bend,) = gx.grad(gx.sum(slope * v), [x], unreachable="zero")
    f = gx.compile(
        [x], [gx.sum(y * weights), gx.sum(slope * u), gx.sum(slope * v), gx.sum(bend * u)]
    )
    at = rng.normal(size=shape)
    step = 1e-5
    up, down, here = f(at + step * u), f(at - step * u), f(at)
    assert here[1] == pytest.approx((up[0] - down[0]) / (2 * step), **SLOPE_OF_MATRICES)
    assert here[3] == pytest.approx((up[2] - down[2]) / (2 * step), **BEND_OF_MATRICES)


@pytest.mark.parametrize("function", [la.cholesky, la.eigvalsh], ids=["cholesky", "eigh"])
def test_gradients_of_symmetric_matrices_are_symmetric(function: Function) -> None:
    x = gx.input("x", (4, 4), dtype="float64")
    (slope,) = gx.grad(gx.sum(function(x) ** 3), [x])
    a = np.random.default_rng(0).normal(size=(4, 4))
    a = a @ a.T + np.eye(4)
    found = slope.eval({x: a})
    np.testing.assert_array_equal(found, found.T)
    # along a symmetric direction it is the slope
    d = np.random.default_rng(1).normal(size=(4, 4))
    d, step = d + d.T, 1e-6
    value = gx.sum(function(x) ** 3)
    wanted = (value.eval({x: a + step * d}) - value.eval({x: a - step * d})) / (2 * step)
    assert np.vdot(found, d) == pytest.approx(wanted, **SLOPE)


def test_norms_have_gradient_zero_at_zero() -> None:
    x = gx.input("x", (3,), dtype="float64")
    for order in (1, 2, 3, np.inf):
        (slope,) = gx.grad(la.vector_norm(x, ord=order), [x])
        np.testing.assert_array_equal(slope.eval({x: np.zeros(3)}), np.zeros(3))


def test_repeated_values_do_not_mix() -> None:
    x = gx.input("x", (3, 3), dtype="float64")
    (slope,) = gx.grad(gx.sum(la.eigh(x).eigenvalues ** 2), [x])
    np.testing.assert_allclose(slope.eval({x: np.eye(3)}), 2 * np.eye(3))
    (slope,) = gx.grad(gx.sum(la.svdvals(x)), [x])
    np.testing.assert_allclose(slope.eval({x: np.eye(3)}), np.eye(3))
