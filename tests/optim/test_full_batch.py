"""L-BFGS, BFGS and Newton: SciPy's minima, few steps, and refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.testing import assert_close
from tests.tolerances import MINIMUM, SCIPY_END

START = np.array([-1.2, 1.0, -0.5, 0.8])
METHODS: dict[str, Callable[..., Any]] = {
    "lbfgs": gx.optim.LBFGS, "bfgs": gx.optim.BFGS, "newton": gx.optim.Newton,
}  # fmt: skip


def rosenbrock(p: Any) -> Any:
    """scipy.optimize.rosen as a graph."""
    a, b = p[:-1], p[1:]
    return (100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2).sum()


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize(("name", "steps"), [("lbfgs", 55), ("bfgs", 50)])
def test_a_narrow_valley_takes_about_as_many_steps_as_scipy(
    name: str, steps: int, target: str
) -> None:
    method = {"lbfgs": "L-BFGS-B", "bfgs": "BFGS"}[name]
    theirs = optimize.minimize(optimize.rosen, START, jac=optimize.rosen_der, method=method)
    assert theirs.nit <= steps <= 2 * theirs.nit
    p = gx.parameter("p", value=START)
    loss = rosenbrock(p)
    step = gx.compile([], loss, METHODS[name]().minimize(loss), target=target)
    values = [float(step()) for _ in range(steps)]
    assert all(b <= a for a, b in itertools.pairwise(values))
    np.testing.assert_allclose(p.value, theirs.x, **MINIMUM)
    assert optimize.rosen(p.value) <= 1e-12


def test_newton_solves_a_quadratic_in_one_step_and_leaves_saddles() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 8)), rng.normal(size=8)
    p = gx.parameter("p", value=np.zeros(8))
    loss = (p * ((a.T @ a) @ p)).sum() * 0.5 - (p * b).sum()
    gx.compile([], loss, gx.optim.Newton().minimize(loss))()
    assert_close(p.value, np.linalg.solve(a.T @ a, b), each=True)
    q = gx.parameter("q", value=np.array([1e-3, 0.5]))
    saddle = q[0] ** 4 - q[0] ** 2 + q[1] ** 2  # minima at (+-sqrt(1/2), 0)
    step = gx.compile([], saddle, gx.optim.Newton().minimize(saddle))
    for _ in range(20):
        step()
    np.testing.assert_allclose(np.abs(q.value), [np.sqrt(0.5), 0.0], **MINIMUM)


@pytest.mark.parametrize("name", METHODS)
def test_a_regression_of_several_parameters_reaches_scipys_minimum(name: str) -> None:
    rng = np.random.default_rng(1)
    xs, labels = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    x, y = gx.input("x", (40, 3), "float64"), gx.input("y", (40,), "float64")
    w, b = gx.parameter("w", value=np.zeros(3)), gx.parameter("b", value=np.zeros(()))
    loss = gx.nn.sigmoid_cross_entropy(x @ w + b, y).mean() + 0.01 * (w * w).sum()

    def function(v: Any) -> float:
        z = xs @ v[:3] + v[3]
        return float(np.mean(np.logaddexp(0, z) - z * labels) + 0.01 * v[:3] @ v[:3])

    step = gx.compile([x, y], loss, METHODS[name]().minimize(loss))
    for _ in range(25):
        step(xs, labels.astype(float))
    best = optimize.minimize(function, np.zeros(4), tol=SCIPY_END)
    assert function(np.append(w.value, b.value)) <= best.fun + 1e-12


@pytest.mark.parametrize("name", METHODS)
def test_at_the_minimum_nothing_moves_and_nothing_is_nan(name: str) -> None:
    p = gx.parameter("p", value=np.zeros(3, "float32"))
    loss = (p * p).sum()
    step = gx.compile([], loss, METHODS[name]().minimize(loss), target="interpret")
    for _ in range(4):
        step()
    np.testing.assert_array_equal(p.value, 0.0)


@pytest.mark.parametrize("name", METHODS)
def test_where_the_loss_is_not_finite_the_search_stays_inside(name: str) -> None:
    p = gx.parameter("p", value=np.array([1.0]))
    loss = (p - 3.0 * gx.log(2.0 - p)).sum()  # falls towards -infinity nowhere; NaN beyond 2
    step = gx.compile([], loss, METHODS[name]().minimize(loss))
    for _ in range(20):
        step()
    assert np.isfinite(p.value).all()
    assert float(step()) < 1.0


def test_refusals() -> None:
    p = gx.parameter("p", value=np.ones(3))
    noisy = (p * gx.random.normal((3,), dtype="float64", name="noise")).sum()
    with pytest.raises(ArgumentError, match=r"draws random numbers .noise"):
        gx.optim.LBFGS().minimize(noisy)
    x = gx.input("x", ("batch", 3))
    kept = gx.square(gx.nn.BatchNorm(name="norm")(gx.nn.Dense(2)(x))).mean()
    updates = gx.optim.LBFGS().minimize(kept)
    with pytest.raises(UnsupportedError, match="updates its statistics at every") as error:
        gx.compile([x], kept, updates, target="interpret")
    assert "a line search, as of LBFGS" in (error.value.hint or "")
    with pytest.raises(ArgumentError, match="gradients cannot be clipped"):
        gx.optim.BFGS().minimize((p * p).sum(), clip_norm=1.0)
    with pytest.raises(ArgumentError, match="needs the loss, not gradients alone"):
        gx.optim.Newton().apply({p: p})
    with pytest.raises(ArgumentError, match=r"0 < c1 < c2 < 1, got 0.9 and 0.5"):
        gx.optim.LBFGS(c1=0.9, c2=0.5)
    large = gx.parameter("large", value=np.ones(30_000))
    with pytest.raises(ArgumentError, match="30,000 parameters make a matrix"):
        gx.optim.BFGS().minimize((large * large).sum())
