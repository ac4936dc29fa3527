"""Orthogonal factorisations of stacks of matrices: QR, eigenvalues, singular values.

Each has one result with r columns, in which the factors stand one below the other.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dims import Size, bound, product
from graphc.ir.ops.matrix import Matrix, SolveTriangular
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, float32, float64

RECTANGLES: tuple[tuple[int, ...], ...] = (
    (1, 1), (4, 1), (1, 4), (5, 3), (3, 5), (17, 9), (0, 3), (3, 0), (2, 3, 4), (2, 4, 3),
)  # fmt: skip


class Rectangular(Matrix):
    """A factorisation of m x n matrices; r is the smaller of m and n."""

    square: ClassVar[bool] = False

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Of the order of r m n."""
        return 4 * product(types[0].shape) * out.shape[-1]

    @classmethod
    def samples(cls) -> Samples:
        """Wide and tall."""
        floats = tuple((cls(), (TensorType(float32, s),)) for s in RECTANGLES)
        return (*floats, (cls(), (TensorType(float64, (6, 4)),)))


class Qr(Rectangular):
    """a = Q R: the m rows of Q, then the n rows of R^T.

    The signs are those of Householder's reflections: R has a negative diagonal unless nothing
    is below it to be reflected.
    """

    name = "qr"

    def infer(self, a: TensorType) -> TensorType:
        """m + n rows of r columns."""
        super().infer(a)
        *batch, m, n = a.shape
        return TensorType(a.dtype, (*batch, m + n, shorter(self.name, a)))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V) -> tuple[V]:
        """Through a square R; to the right of it, where a is wide, stands Q^T times the rest."""
        m, n = a.shape[-2:]
        (q, rt), (dq, drt) = split(f, y, m), split(f, dy, m)
        if y.shape[-1] == n:
            return (square_part(f, q, rt.mT, dq, drt.mT),)
        (rt, _), (drt, wide) = split(f, rt, m), split(f, drt, m)
        _, rest = split(f, a.mT, m)
        dq = dq + rest.mT @ wide
        return (f.concat([square_part(f, q, rt.mT, dq, drt.mT), q @ wide.mT], axis=-1),)

    def evaluate(self, a: Array) -> Array:
        """numpy's qr."""
        q, r = np.linalg.qr(a)
        return np.concatenate([q, np.swapaxes(r, -1, -2)], axis=-2)


def square_part(f: ArrayFunctions[V], q: V, r: V, dq: V, dr: V) -> V:
    """The cotangent of a where R is square: (dQ + Q M) R^-T, M the lower half of
    R dR^T - dQ^T Q mirrored (Walter and Lehmann, 2018)."""
    m = r @ dr.mT - dq.mT @ q
    mirrored = f.tril(m) + f.tril(m, -1).mT
    return f.apply(SolveTriangular(False), r, (dq + q @ mirrored).mT).mT


class Eigh(Matrix):
    """The eigenvalues of a symmetric matrix, ascending, in the first row; eigenvectors below.

    a is read in its lower triangle only; the gradient is symmetric. The largest component of
    each vector (the first of equals) is positive.
    """

    name = "eigh"

    def infer(self, a: TensorType) -> TensorType:
        """One more row."""
        super().infer(a)
        *batch, n, _ = a.shape
        return TensorType(a.dtype, (*batch, n + 1, n))

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Several sweeps of rotations."""
        return 40 * product(out.shape) * out.shape[-1]

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V) -> tuple[V]:
        """V (diag(dw) + M / (w_j - w_i)) V^T, M the antisymmetric half of V^T dV.

        Where eigenvalues are equal M is 0 for every function of a that does not depend on which
        vectors span their space: the quotient is the limit for eigenvalues that move apart.
        """
        return (f.eigh_cotangent(y, dy),)

    def evaluate(self, a: Array) -> Array:
        """numpy's eigh; NaN where it refuses."""
        a, known = numbers_only(np.tril(a))
        w, v = np.linalg.eigh(a)
        whole = np.concatenate([w[..., None, :], v * signs(v)], axis=-2)
        return np.where(known, whole, np.nan).astype(a.dtype)


class Svd(Rectangular):
    """a = U diag(s) V^T: s, descending, then the m rows of U, then the n rows of V.

    The largest component of each column of U (the first of equals) is positive.
    """

    name = "svd"

    def infer(self, a: TensorType) -> TensorType:
        """1 + m + n rows of r columns."""
        super().infer(a)
        *batch, m, n = a.shape
        return TensorType(a.dtype, (*batch, 1 + m + n, shorter(self.name, a)))

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V) -> tuple[V]:
        """The cotangents of s, of U and of V, each with what it moves outside of its columns
        (Townsend, 2016); limits where singular values are equal or 0, as for eigenvalues."""
        return (f.svd_cotangent(y, dy, a.shape[-2]),)

    def evaluate(self, a: Array) -> Array:
        """numpy's svd; NaN where it refuses."""
        a, known = numbers_only(a)
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        sign = signs(u)
        v = np.swapaxes(vt, -1, -2) * sign
        whole = np.concatenate([s[..., None, :], u * sign, v], axis=-2)
        return np.where(known, whole, np.nan).astype(a.dtype)


def numbers_only(a: Array) -> tuple[Array, Array]:
    """The matrices, others in place of those with infinities or NaN; and which have none."""
    known = np.asarray(np.isfinite(a).all(axis=(-2, -1), keepdims=True))
    return np.where(known, a, np.eye(*a.shape[-2:], dtype=a.dtype)), known


def shorter(name: str, a: TensorType) -> Size:
    """The smaller of the numbers of rows and columns; raises where their dims do not tell."""
    m, n = a.shape[-2:]
    for smaller, larger in ((m, n), (n, m)):
        least = bound(larger - smaller)
        if least is not None and least >= 0:
            return smaller
    raise ShapeError(f"{name}: which of {m} and {n} is smaller must be known, got {a} (input 0)")


def split(f: ArrayFunctions[V], x: V, rows: Size) -> tuple[V, V]:
    """The first rows and the others."""
    axis = x.ndim - 2
    return f.narrow(x, axis, 0, rows), f.narrow(x, axis, rows, x.shape[axis] - rows)


def signs(v: Array) -> Array:
    """The signs that make the largest component of each column positive."""
    if not v.size:
        return np.ones((), v.dtype)
    best = np.argmax(np.abs(v), axis=-2, keepdims=True)
    return np.where(np.take_along_axis(v, best, axis=-2) < 0, -1, 1).astype(v.dtype)
