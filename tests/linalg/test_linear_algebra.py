"""Norms, products, ranks and least squares against numpy; messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.structure import flatten
from graphc.testing import assert_close

Array = np.ndarray[Any, Any]
la = gx.linalg

A = np.random.default_rng(0).normal(size=(2, 5, 3))
B = np.random.default_rng(1).normal(size=(2, 5, 3))
S = np.random.default_rng(2).normal(size=(2, 4, 4))
POOR = A[:, :, :1] @ B[:, :1, :]
ORDERS = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)

# what graphc computes, and what numpy computes
PAIRS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    *(
        (lambda x, o=o: la.matrix_norm(x, ord=o), lambda x, o=o: np.linalg.norm(x, o, axis=(1, 2)))
        for o in ORDERS
    ),
    *(
        (lambda x, o=o: la.vector_norm(x, axis=1, ord=o), lambda x, o=o: np.linalg.norm(x, o, 1))
        for o in (0, 1, 2, 3, -1.5, np.inf, -np.inf)
    ),
    (la.norm, lambda x: np.linalg.norm(x.ravel())),
    (
        lambda x: la.norm(x, 1, axis=(2, 0), keepdims=True),
        lambda x: np.linalg.norm(x, 1, axis=(2, 0), keepdims=True),
    ),
    (
        lambda x: la.norm(x, axis=0, keepdims=True),
        lambda x: np.linalg.norm(x, axis=0, keepdims=True),
    ),
    (lambda x: la.vector_norm(x, (0, 2)), lambda x: np.sqrt((x * x).sum((0, 2)))),
    (lambda x: la.matrix_norm(x, True, 2), lambda x: np.linalg.norm(x, 2, (1, 2), True)),
    *(
        (lambda x, k=k: la.diagonal(x, k), lambda x, k=k: np.diagonal(x, k, 1, 2))
        for k in (0, 1, 2, 3, 7, -1, -4, -5, -9)
    ),
    (lambda x: la.cross(x, x[:, ::-1]), lambda x: np.cross(x, x[:, ::-1])),
    (lambda x: la.cross(x.mT, x.mT[:, :, :1], 1), lambda x: np.cross(x.mT, x.mT[:, :, :1], axis=1)),
    (la.pinv, np.linalg.pinv),
    (lambda x: la.pinv(x, rtol=0.5), lambda x: np.linalg.pinv(x, 0.5)),
    (la.matrix_rank, np.linalg.matrix_rank),
    (la.svdvals, lambda x: np.linalg.svd(x, compute_uv=False)),
    (lambda x: la.multi_dot([x[0], x[1].mT, x[0]]), lambda x: x[0] @ x[1].T @ x[0]),
    (lambda x: la.multi_dot([x[0, :, 0], x[1]]), lambda x: x[0, :, 0] @ x[1]),
    (
        lambda x: la.multi_dot([x[0, 0], x[0].mT, x[1], x[1, 1]]),
        lambda x: np.linalg.multi_dot([x[0, 0], x[0].T, x[1], x[1, 1]]),
    ),
    (lambda x: la.trace(x), lambda x: np.trace(x, 0, 1, 2)),
]


def test_functions_of_oblong_matrices() -> None:
    x = gx.input("x", A.shape, dtype="float64")
    step = gx.compile([x], [ours(x) for ours, _ in PAIRS])
    for i, (found, (_, theirs)) in enumerate(zip(step(A), PAIRS)):
        wanted = theirs(A)
        assert found.shape == wanted.shape, i
        assert_close(found, wanted, each=True, message=str(i))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, -1, -5])
def test_matrix_power(n: int) -> None:
    x = gx.input("x", S.shape, dtype="float64")
    wanted = np.linalg.matrix_power(S, n)
    found = gx.compile([x], la.matrix_power(x, n))(S)
    assert_close(found, wanted)


def test_rank_and_inverse_of_deficient_matrices() -> None:
    x = gx.input("x", POOR.shape, dtype="float64")
    rank, inverse = gx.compile([x], (la.matrix_rank(x), la.pinv(x)))(POOR)
    assert rank.tolist() == [1, 1]
    assert rank.dtype == np.int64
    assert_close(inverse, np.linalg.pinv(POOR))


def test_least_squares() -> None:
    x, y = (gx.input(n, v.shape, dtype="float64") for n, v in (("x", A[0]), ("y", B[0])))
    tall, wide, vector = gx.compile(
        [x, y], (la.lstsq(x, y), la.lstsq(x.mT, y[:3]), la.lstsq(x, y[:, 0]))
    )(A[0], B[0])
    assert_close(tall, np.linalg.lstsq(A[0], B[0])[0])
    assert_close(wide, np.linalg.lstsq(A[0].T, B[0, :3])[0], each=True)
    assert_close(vector, tall[:, 0])


def test_sizes_that_are_not_known() -> None:
    n = gx.dim("n")
    x = gx.input("x", (n, n), dtype="float64")
    step = gx.compile([x], [la.inv(x), la.det(x), la.svdvals(x), la.diagonal(x), la.matrix_norm(x)])
    for size in (2, 3, 5, 4):
        a = np.random.default_rng(size).normal(size=(size, size))
        wanted = (np.linalg.inv(a), np.linalg.det(a), np.linalg.svd(a)[1], np.diag(a),
                  np.linalg.norm(a))  # fmt: skip
        for found, value in zip(step(a), wanted):
            assert_close(found, value, each=True)
    tall = gx.input("tall", ("m", 2), dtype="float64")
    with pytest.raises(ShapeError, match=r"qr: which of m and 2 is smaller must be known"):
        la.qr(tall)


X = gx.input("x", (3, 4))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: la.cholesky(X), ShapeError, r"cholesky: needs square.* 3 \(axis 0\) vs 4"),
        (lambda: la.inv(X[0]), ShapeError, "inv: needs matrices, got f32"),
        (lambda: la.svd(X[0]), ShapeError, "svd: needs matrices"),
        (lambda: la.qr(X, "raw"), ArgumentError, 'qr: the mode is "reduced" or "complete"'),
        (lambda: la.solve(X, X), ShapeError, "solve: f32.3,4. .input 1. does not fit"),
        (lambda: la.svd(X.astype("float16")), DTypeError, "svd: needs float32 or float64"),
        (lambda: la.eigh(X.astype("int32")), DTypeError, "eigh: needs floats, got int32"),
        (lambda: la.cross(X, X), ShapeError, "cross: needs 3 elements, got 4"),
        (lambda: la.matrix_norm(X, ord=3), ArgumentError, "matrix_norm: no norm is called 3"),
        (lambda: la.vector_norm(X, ord="fro"), ArgumentError, "vector_norm: ord is a number"),
        (lambda: la.norm(gx.stack([X, X]), 2), ShapeError, "norm: needs one axis or two, got 3"),
        (lambda: la.matrix_power(X, 2), ShapeError, "matrix_power: needs square"),
        (lambda: la.matrix_power(X @ X.mT, 0.5), ArgumentError, "the power is an int, got 0.5"),
        (lambda: la.multi_dot([X]), ArgumentError, "multi_dot: needs two matrices or more"),
        (lambda: la.multi_dot([X, gx.stack([X, X])]), ShapeError, "multi_dot: needs matrices"),
        (lambda: la.lstsq(X, X[:2]), ShapeError, "lstsq: .* does not fit"),
        (lambda: la.diagonal(X[0]), ShapeError, "diagonal: needs 2 axes or more"),
    ],
)  # fmt: skip
def test_messages(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("name", ["eigh", "svdvals", "qr"])
def test_a_matrix_of_a_stack_that_holds_no_numbers(name: str) -> None:
    """The others are factored all the same, on every target."""
    x = gx.input("x", (3, 2, 2), dtype="float64")
    array = np.array([[[2.0, 1.0], [1.0, 3.0]]] * 3)
    array[1, 0, 0] = np.nan
    found = flatten(getattr(gx.linalg, name)(x))[0]
    for y in found:
        for target in ("cpu", "interpret"):
            value = gx.compile([x], y, target=target)(array)
            np.testing.assert_array_equal(value[0], value[2])
            assert np.isfinite(value[0]).all()
            assert not np.isfinite(value[1]).all()
