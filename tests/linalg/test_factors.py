"""Factorisations and equations against numpy, and what defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.testing import assert_close

Array = np.ndarray[Any, Any]
SIZES = (0, 1, 2, 7, 33)
OBLONG = ((1, 1), (1, 5), (4, 3), (5, 17), (33, 20), (0, 3), (3, 0))
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
dtypes = pytest.mark.parametrize("dtype", EPS)


def drawn(*shape: int, dtype: str = "float64", seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def call(function: Any, *arrays: Array) -> Any:
    """What compiled code makes of arrays."""
    inputs = [gx.input(f"x{i}", a.shape, dtype=a.dtype.name) for i, a in enumerate(arrays)]
    return gx.compile(inputs, function(*inputs))(*arrays)


def distance(found: Array, wanted: Array) -> float:
    """The largest difference in relation to the largest number."""
    assert found.shape == wanted.shape
    if not wanted.size:
        return 0.0
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max()))


def transposed(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def check_orthonormal(q: Array, bound: float) -> None:
    """Q^T Q is the identity."""
    products = transposed(q) @ q
    assert distance(products, np.broadcast_to(np.eye(q.shape[-1]), products.shape)) <= bound


@dtypes
@pytest.mark.parametrize("n", SIZES)
def test_cholesky(n: int, dtype: str) -> None:
    a = drawn(3, n, n, dtype=dtype)
    a = a @ transposed(a) + np.eye(n, dtype=dtype)
    noise = np.triu(drawn(3, n, n, dtype=dtype, seed=1), 1)
    factor = call(gx.linalg.cholesky, a + noise)
    assert factor.dtype == dtype
    assert distance(factor @ transposed(factor), a) <= 4 * n * EPS[dtype]
    assert distance(factor, np.linalg.cholesky(a)) <= 40 * (n + 1) * EPS[dtype]
    assert (factor == np.tril(factor)).all()
    upper = call(lambda x: gx.linalg.cholesky(x, upper=True), a + noise)
    assert upper.tobytes() == np.ascontiguousarray(transposed(factor)).tobytes()


def test_unchecked_cholesky_of_an_indefinite_matrix_is_nan_from_there_on() -> None:
    a = np.diag([4.0, -1.0, 9.0])
    found = call(lambda x: gx.linalg.cholesky(x, check=False), np.stack([a, np.abs(a)]))
    assert found[0, 0, 0] == 2.0
    assert np.isnan(found[0, 1, 1])
    np.testing.assert_array_equal(found[1], np.diag([2.0, 1.0, 3.0]))


INDEFINITE = np.array([[4.0, 2, 0], [2, 1, 0], [0, 0, 1]])  # the minor of order 2 is 0
LOSSES: dict[str, Any] = {
    "value": gx.linalg.cholesky,
    "upper": lambda x: gx.linalg.cholesky(x, upper=True),
    "gradient": lambda x: gx.grad(gx.sum(gx.linalg.cholesky(x)), x),
    "vmap": gx.vmap(gx.linalg.cholesky),
}


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("name", LOSSES)
def test_cholesky_of_an_indefinite_matrix_is_an_error(name: str, target: str) -> None:
    x = gx.input("x", ("n", 3, 3), dtype="float64")
    updated = gx.parameter("updated", value=np.float64(1))
    step = gx.compile([x], LOSSES[name](x), {updated: updated + 1.0}, target=target)
    with pytest.raises(RuntimeCheckError) as caught:
        step(np.stack([np.eye(3), INDEFINITE, -np.eye(3)]))
    wanted = "matrix [1] is not positive definite: its leading minor of order 2 is not positive"
    assert wanted in caught.value.message
    assert "test_factors.py" in str(caught.value.origin)
    assert updated.value == 1.0
    step(np.stack([np.eye(3), 2 * np.eye(3)]))


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_cholesky_of_nan_is_nan_and_other_branches_are_not_checked(target: str) -> None:
    x = gx.input("x", ("n", 3, 3), dtype="float64")
    a = np.stack([np.eye(3), np.eye(3)])
    a[1, 2, 1] = np.nan
    found = gx.compile([x], gx.linalg.cholesky(x), target=target)(a)
    np.testing.assert_array_equal(found[0], np.eye(3))
    assert np.isnan(found[1, 2, 2])

    def chosen(m: Any) -> Any:
        return gx.cond(m[0, 0] > 0, lambda: gx.linalg.cholesky(m), lambda: m)

    a = np.stack([np.eye(3), -np.eye(3)])
    np.testing.assert_array_equal(gx.compile([x], gx.vmap(chosen)(x), target=target)(a), a)


@dtypes
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("columns", [1, 5])
def test_solve(n: int, columns: int, dtype: str) -> None:
    a, b = drawn(2, n, n, dtype=dtype), drawn(2, n, columns, dtype=dtype, seed=1)
    x = call(gx.linalg.solve, a, b)
    wanted = np.linalg.solve(a.astype(float), b.astype(float))
    condition = np.linalg.cond(a.astype(float)).max() if n else 1.0
    assert distance(x, wanted) <= 4 * condition * EPS[dtype]


def test_solve_needs_pivots() -> None:
    a = np.array([[0.0, 1.0, 0.0], [1e-20, 1.0, 1.0], [2.0, 0.0, 0.0]])
    b = np.arange(3.0)
    np.testing.assert_allclose(call(gx.linalg.solve, a, b), np.linalg.solve(a, b))


def test_solve_broadcasts_and_takes_vectors() -> None:
    a, b = drawn(4, 1, 3, 3), drawn(2, 3, 2, seed=1)
    assert_close(call(gx.linalg.solve, a, b), np.linalg.solve(a, b), each=True)
    v = drawn(3, seed=2)
    wanted = np.linalg.solve(a, np.broadcast_to(v[:, None], (4, 1, 3, 1)))[..., 0]
    assert_close(call(gx.linalg.solve, a, v), wanted, each=True)


def test_singular_matrices_have_no_finite_solution() -> None:
    a, b = np.ones((2, 2)), np.array([1.0, 2.0])
    assert not np.isfinite(call(gx.linalg.solve, a, b)).any()
    assert call(gx.linalg.det, a) == 0.0
    sign, logarithm = call(gx.linalg.slogdet, a)
    assert (sign, logarithm) == (0.0, -np.inf)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("n", [1, 5, 33])
def test_solve_triangular(lower: bool, transpose: bool, unit: bool, n: int) -> None:
    a, b = drawn(n, n) / n + np.eye(n), drawn(n, 3, seed=1)
    found = call(
        lambda x, y: gx.linalg.solve_triangular(
            x, y, lower=lower, transpose=transpose, unit_diagonal=unit
        ),
        a,
        b,
    )
    kept = np.tril(a) if lower else np.triu(a)
    if unit:
        np.fill_diagonal(kept, 1.0)
    assert_close((kept.T if transpose else kept) @ found, b)


@pytest.mark.parametrize("n", SIZES)
def test_determinant_and_inverse(n: int) -> None:
    a = drawn(3, n, n)
    assert_close(call(gx.linalg.det, a), np.linalg.det(a))
    sign, logarithm = call(gx.linalg.slogdet, a)
    wanted = np.linalg.slogdet(a)
    np.testing.assert_array_equal(sign, wanted[0])
    assert_close(logarithm, wanted[1])
    inverse = call(gx.linalg.inv, a)
    assert_close(inverse @ a, np.broadcast_to(np.eye(n), a.shape))


@dtypes
@pytest.mark.parametrize(("m", "n"), OBLONG)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(m: int, n: int, mode: str, dtype: str) -> None:
    a = drawn(2, m, n, dtype=dtype)
    q, r = call(lambda x: gx.linalg.qr(x, mode), a)
    wanted = np.linalg.qr(a, mode)
    assert (q.shape, r.shape) == (wanted[0].shape, wanted[1].shape)
    bound = 8 * (max(m, n) + 1) * EPS[dtype]
    assert distance(q @ r, a) <= bound
    check_orthonormal(q, bound)
    assert (r == np.triu(r)).all()
    assert distance(r, wanted[1]) <= 10 * bound


@dtypes
@pytest.mark.parametrize("n", SIZES)
def test_eigh(n: int, dtype: str) -> None:
    a = drawn(2, n, n, dtype=dtype)
    a = a + transposed(a)
    w, v = call(gx.linalg.eigh, np.tril(a) + np.triu(np.full_like(a, np.nan), 1))
    bound = 8 * (n + 1) * EPS[dtype]
    assert distance(w, np.linalg.eigvalsh(a.astype(float))) <= bound
    assert distance(v * w[:, None, :] @ transposed(v), a) <= bound
    check_orthonormal(v, bound)
    if n:
        assert (np.take_along_axis(v, np.abs(v).argmax(1)[:, None], 1) > 0).all()


@dtypes
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("m", "n"), OBLONG)
def test_svd(m: int, n: int, full: bool, dtype: str) -> None:
    a = drawn(2, m, n, dtype=dtype)
    u, s, vh = call(lambda x: gx.linalg.svd(x, full_matrices=full), a)
    check_svd(a, u, s, vh, full)


def check_svd(a: Array, u: Array, s: Array, vh: Array, full: bool) -> None:
    """Orthonormal factors, descending values, and the matrix."""
    m, n = a.shape[-2:]
    wanted = np.linalg.svd(a, full_matrices=full)
    assert [x.shape for x in (u, s, vh)] == [x.shape for x in wanted]
    bound = 16 * (max(m, n) + 1) * EPS[a.dtype.name]
    assert distance(s, wanted[1]) <= bound
    assert (np.diff(s) <= 0).all()
    r = min(m, n)
    assert distance(u[..., :r] * s[..., None, :] @ vh[..., :r, :], a) <= bound
    for q in (u, transposed(vh)):
        check_orthonormal(q, bound)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("tall", [False, True])
def test_svd_of_deficient_matrices(tall: bool, full: bool) -> None:
    a = np.zeros((5, 6, 4))
    a[1] = 1.0
    a[2] = drawn(6, 2) @ drawn(2, 4, seed=1)
    a[3, 2, 3] = -7.0
    a[4, :4] = np.eye(4)
    a = a if tall else np.ascontiguousarray(transposed(a))
    check_svd(a, *call(lambda x: gx.linalg.svd(x, full_matrices=full), a), full)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_spectra_of_any_magnitude(scale: float) -> None:
    a = drawn(5, 4)
    s = call(gx.linalg.svdvals, a * scale)
    assert_close(s / scale, np.linalg.svd(a)[1], each=True)
    b = a.T @ a
    w = call(gx.linalg.eigvalsh, b * scale)
    assert_close(w / scale, np.linalg.eigvalsh(b), each=True)


def test_nan_makes_everything_nan() -> None:
    a = drawn(2, 4, 4)
    a[0, 2, 1] = np.nan
    for function in (gx.linalg.svd, gx.linalg.eigh):
        for part in call(function, a):
            assert np.isnan(part[0]).all()
            assert np.isfinite(part[1]).all()


def test_repeated_eigenvalues() -> None:
    q = np.linalg.qr(drawn(6, 6))[0]
    a = q @ np.diag([2.0, 2.0, 2.0, -1.0, 0.0, 0.0]) @ q.T
    w, v = call(gx.linalg.eigh, a)
    assert_close(w, [-1, 0, 0, 2, 2, 2], tolerance="ulps", each=True, floor=1.0)
    assert_close(v @ np.diag(w) @ v.T, a)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_sizes_change_no_bit(threads: int) -> None:
    n = gx.dim("n")
    x = gx.input("x", ("batch", n, n), dtype="float64")
    outputs = [gx.linalg.inv(x), *gx.linalg.svd(x, False), *gx.linalg.qr(x), *gx.linalg.eigh(x)]
    generic = gx.compile([x], outputs, threads=threads)
    a = drawn(70, 6, 6)
    generic(drawn(1, 3, 3))
    generic(drawn(2, 4, 4))
    found = generic(a)
    assert generic.variants[-1].dims is None
    special = gx.compile([x], outputs, threads=1)
    for one, other in zip(found, special(a)):
        assert one.tobytes() == other.tobytes()
