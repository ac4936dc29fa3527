"""Linear algebra at its edges: equal values, singular matrices, huge and tiny ones, nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from tests.tolerances import COFACTOR_ZEROS, COFACTORS, SLOPE_OF_SPECTRA

Array = np.ndarray[Any, Any]
la = gx.linalg
RNG = np.random.default_rng(0)
U, V = (np.linalg.qr(RNG.normal(size=(5, 5)))[0] for _ in range(2))
TARGETS = ("cpu", "interpret")


def of_eigenvalues(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        w, v = la.eigh(x)
        return (v * gx.expand_dims(f(w), axis=-2)) @ v.mT

    return function


def of_singular_values(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        u, s, vh = la.svd(x, full_matrices=False)
        return (u * gx.expand_dims(f(s), axis=-2)) @ vh

    return function


def slopes_agree(function: Callable[[Any], Any], a: Array, symmetric: bool, target: str) -> None:
    """The gradient along a direction is the central difference."""
    rng = np.random.default_rng(a.size)
    x = gx.input("x", a.shape, dtype="float64")
    y = function(x)
    loss = gx.sum(y * rng.normal(size=y.shape))
    d = rng.normal(size=a.shape)
    d = d + np.swapaxes(d, -1, -2) if symmetric else d
    f = gx.compile([x], (loss, gx.grad(loss, x)), target=target)
    up, down, slope = f(a + 1e-5 * d)[0], f(a - 1e-5 * d)[0], f(a)[1]
    assert np.vdot(slope, d) == pytest.approx((up - down) / 2e-5, **SLOPE_OF_SPECTRA)


EQUAL = {
    "diagonal": np.diag([1.0, 1.0, 2.0]),
    "identity": np.eye(3),
    "zero": np.zeros((3, 3)),
    "one": np.full((1, 1), 3.0),
    "turned": U @ np.diag([1.0, 1.0, 2.0, 2.0, 2.0]) @ U.T,
    "stack": np.stack([np.eye(5), U @ np.diag([1.0, 3.0, 2.0, 3.0, 5.0]) @ U.T]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("name", EQUAL)
def test_functions_of_equal_eigenvalues(name: str, power: int, target: str) -> None:
    slopes_agree(of_eigenvalues(lambda w: w**power), EQUAL[name], True, target)


def test_what_a_function_of_equal_eigenvalues_is() -> None:
    x = gx.input("x", (3, 3), dtype="float64")
    picked = np.zeros((3, 3))
    picked[0, 1] = picked[1, 0] = 1.0
    loss = gx.sum(of_eigenvalues(lambda w: w)(x) * picked)
    assert_close(gx.grad(loss, x).eval({x: EQUAL["diagonal"]}), picked)


SINGULAR = {
    "equal": U[:, :3] @ np.diag([2.0, 1.0, 1.0]) @ V[:3, :3],
    "identity": np.eye(3),
    "one 0": U[:, :4] @ np.diag([3.0, 2.0, 1.0, 0.0]) @ V[:4],
    "two 0": np.diag([2.0, 0.0, 0.0]),
    "wide": np.diag([2.0, 0.0, 0.0]) @ np.eye(3, 5),
    "rank 1": np.outer(U[0], V[0, :4]),
    "zero": np.zeros((4, 3)),
    "stack": np.stack([np.eye(3, 4), np.zeros((3, 4)), V[:3, :4]]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("power", [1, 3])  # smooth functions of a matrix are odd
@pytest.mark.parametrize("name", SINGULAR)
def test_functions_of_equal_and_vanishing_singular_values(
    name: str, power: int, target: str
) -> None:
    slopes_agree(of_singular_values(lambda s: s**power), SINGULAR[name], False, target)


def test_what_is_not_differentiable_is_not_a_number() -> None:
    x = gx.input("x", (3, 3), dtype="float64")
    slope = gx.grad(gx.sum(la.eigh(x).eigenvectors[0] * [1.0, 2.0, 3.0]), x)
    assert np.isnan(slope.eval({x: np.eye(3)})).any()
    weights = np.arange(9.0).reshape(3, 3)
    first = gx.grad(gx.sum(of_eigenvalues(gx.exp)(x) * weights), x)
    second = gx.grad(gx.sum(first**2), x)
    assert np.isnan(second.eval({x: np.eye(3)})).any()
    apart = np.diag([1.0, 2.0, 3.0])
    assert np.isfinite(second.eval({x: apart})).all()


def test_limits_with_vmap_and_symbolic_sizes() -> None:
    x = gx.input("x", ("n", 3, 3), dtype="float64")
    weights = RNG.normal(size=(3, 3))

    def slope(a: Any) -> Any:
        return gx.grad(gx.sum(of_eigenvalues(gx.exp)(a) * weights), a)

    stacked = np.stack([np.eye(3), np.diag([1.0, 2.0, 4.0]), np.diag([1.0, 1.0, 2.0])])
    found = gx.compile([x], gx.vmap(slope)(x))(stacked)
    one = gx.input("one", (3, 3), dtype="float64")
    alone = gx.compile([one], slope(one))
    assert_close(found, [alone(a) for a in stacked], each=True)
    m = gx.input("m", ("k", "k"), dtype="float64")
    open_sized = gx.compile([m], gx.grad(gx.sum(of_eigenvalues(gx.exp)(m)), m))
    assert_close(open_sized(np.eye(4)), np.full((4, 4), np.e))


# --------------------------------------------------------------------------- determinants

DETERMINANTS = {
    "a 0": np.diag([1.0, 1.0, 0.0]),
    "two 0": np.diag([2.0, 0.0, 0.0]),
    "zero": np.zeros((2, 2)),
    "one": np.zeros((1, 1)),
    "dependent": np.array([[1.0, 2.0], [2.0, 4.0]]),
    "rank 2 of 4": U[:4, :2] @ V[:2, :4],
    "rank 3 of 4": U[:4, :3] @ V[:3, :4],
    "regular": U[:4, :4] * 2.0,
    "tiny": 1e-30 * np.array([[1.0, 2.0], [2.0, 4.0]]),
    "stack": np.stack([np.eye(3), np.diag([1.0, 0.0, 3.0]), -np.eye(3)]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", DETERMINANTS)
def test_derivatives_of_determinants(name: str, target: str) -> None:
    a = DETERMINANTS[name]
    n = a.shape[-1]
    x = gx.input("x", a.shape, dtype="float64")
    v = RNG.normal(size=a.shape)
    slope = gx.grad(gx.sum(la.det(x)), x)
    bend = gx.grad(gx.sum(slope * v), x, unreachable="zero")
    found, bent = gx.compile([x], (slope, bend), target=target)(a)
    scale = np.max(np.abs(a), initial=1e-30)
    size = max(1.0, scale) ** (n - 1) * (1.0 if name != "tiny" else 1e-30)
    least = COFACTOR_ZEROS * size
    np.testing.assert_allclose(found, cofactors(a), rtol=COFACTORS, atol=least)
    wanted = np.zeros_like(a)  # cofactors are of degree 1 in each row: differences are exact
    for index in np.ndindex(*a.shape):
        step = np.zeros_like(a)
        step[index] = 1.0
        wanted[index] = np.sum((cofactors(a + step) - cofactors(a - step)) / 2.0 * v)
    assert_close(bent, wanted)


def cofactors(a: Array) -> Array:
    """By minors."""
    result = np.zeros_like(a)
    for *b, i, j in np.ndindex(*a.shape):
        minor = np.delete(np.delete(a[tuple(b)], i, 0), j, 1)
        result[(*b, i, j)] = (-1) ** (i + j) * np.linalg.det(minor)
    return result


# --------------------------------------------------------------------- ranges, and nothing


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [-37, -22, 22, 37, -300, -160, 160, 300])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_qr_of_huge_and_tiny_matrices(shape: tuple[int, int], exponent: int, dtype: str) -> None:
    if dtype == "float32" and abs(exponent) > 37:
        pytest.skip("float32 has no such numbers")
    a = (np.random.default_rng(1).normal(size=shape) * 10.0**exponent).astype(dtype)
    a[:, 1] = a[:, 1] / 10.0**exponent  # columns of very different size
    x = gx.input("x", shape, dtype=dtype)
    q, r = gx.compile([x], list(la.qr(x)))(a)
    close = 32 * np.finfo(dtype).eps
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=close)
    for k in range(shape[1]):  # column by column, as Householder's method is stable
        np.testing.assert_allclose(q @ r[:, k], a[:, k], atol=close * np.max(np.abs(a[:, k])))


ORDERS = ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (3, 1)])
def test_matrix_norms_have_gradient_zero_at_zero(shape: tuple[int, ...], order: Any) -> None:
    x = gx.input("x", shape, dtype="float64")
    slope = gx.grad(la.matrix_norm(x, ord=order), x)
    np.testing.assert_array_equal(gx.compile([x], slope)(np.zeros(shape)), np.zeros(shape))


@pytest.mark.parametrize("order", [0.5, 0.9, 1, 1.5, 2, 3, -1, -2, -0.5, 0])
def test_vector_norms_at_elements_of_zero(order: float) -> None:
    x = gx.input("x", (3,), dtype="float64")
    slope = gx.compile([x], gx.grad(la.vector_norm(x, ord=order), x, unreachable="zero"))
    np.testing.assert_array_equal(slope(np.zeros(3)), np.zeros(3))
    found = slope(np.array([0.0, 1.0, 2.0]))
    assert found[0] == 0.0
    if order > 0:
        norm = np.sum(np.array([1.0, 2.0]) ** order) ** (1 / order)
        wanted = np.array([1.0, 2.0]) ** (order - 1) * norm ** (1 - order)
        assert_close(found[1:], wanted)
    else:
        np.testing.assert_array_equal(found[1:], [0.0, 0.0])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing_has_a_pseudo_inverse_and_a_rank(shape: tuple[int, ...]) -> None:
    x = gx.input("x", shape, dtype="float64")
    for target in TARGETS:
        inverse, rank = gx.compile([x], (la.pinv(x), la.matrix_rank(x)), target=target)(
            np.zeros(shape)
        )
        assert inverse.shape == (*shape[:-2], shape[-1], shape[-2])
        np.testing.assert_array_equal(rank, np.zeros(shape[:-2], np.int64))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 1)])
def test_spectra_of_what_is_no_number(bad: float, place: tuple[int, int]) -> None:
    """One matrix of a stack is not finite: all of its spectrum is NaN, the others keep theirs."""
    a = gx.input("a", (2, 3, 3), dtype="float64")
    given = np.random.default_rng(0).normal(size=(2, 3, 3))
    given[1][place] = bad
    outputs = (gx.linalg.svdvals(a), gx.linalg.pinv(a), gx.linalg.eigvalsh(a), gx.linalg.eigh(a)[1])
    results = [gx.compile([a], outputs, target=t)(given) for t in ("interpret", "cpu")]
    for written, found in zip(*results):
        assert_close(found, written)
    assert np.isnan(results[0][0][1]).all()
    assert np.isfinite(results[0][0][0]).all()
