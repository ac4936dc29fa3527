"""QR, eigenvalues, singular values, and what follows from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.functions.factors import parts, split
from graphc.frontend.functions.operands import fail, floating, same_dtype
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.ops.spectral import Eigh, Qr, Svd
from graphc.ir.precision import FULL


class QRResult(NamedTuple):
    """An orthonormal Q and an upper triangular R."""

    Q: Tensor
    R: Tensor


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """U, the singular values in descending order, and V^T."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def qr(x: TensorLike, mode: str = "reduced") -> QRResult:
    """x = Q R; with mode "complete" Q is square.

    The gradient needs independent columns (of a wide matrix the first ones).
    """
    x = floating("qr", x)
    if mode not in ("reduced", "complete"):
        fail(ArgumentError, f'qr: the mode is "reduced" or "complete", got {mode!r}', (x,))
    if x.ndim < 2 or mode == "reduced":
        q, rt = split(lift_op(Qr(), x), x.shape[-2] if x.ndim > 1 else 0)
        return QRResult(q, rt.mT)
    m, n = x.shape[-2:]
    identity = fn.broadcast_to(fn.eye(m, dtype=x.dtype), (*x.shape[:-1], m))
    packed = lift_op(Qr(), fn.concat([x, identity], axis=-1))
    q, rt = split(packed, m)
    return QRResult(q, split(rt, n)[0].mT)


def eigh(x: TensorLike) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices.

    Only the lower triangle is read, and the gradient is symmetric. The largest component of each
    vector is positive. Where eigenvalues are equal (to about half the digits), the gradient is
    right for functions that do not depend on which vectors span their space, and NaN for others;
    second derivatives are NaN there, as far as they depend on the vectors.
    """
    packed = lift_op(Eigh(), floating("eigh", x))
    w, v = split(packed, 1)
    return EighResult(_row(w), v)


def eigvalsh(x: TensorLike) -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(x).eigenvalues


def svd(x: TensorLike, full_matrices: bool = True) -> SVDResult:
    """x = U diag(S) V^T; U and V are square with `full_matrices`, else as narrow as S is long.

    The largest component of each column of U is positive. Gradients where values are equal or 0
    are as those of `eigh`.
    """
    x = floating("svd", x)
    s, u, v = parts(lift_op(Svd(), x), x.shape[-2] if x.ndim > 1 else 0)
    if full_matrices:
        u, v = completed(u), completed(v)
    return SVDResult(u, _row(s), v.mT)


def completed(q: Tensor) -> Tensor:
    """Orthonormal columns, and more of them until the matrix is square."""
    m, r = q.shape[-2:]
    if m == r:
        return q
    whole = qr(q, "complete").Q
    return fn.concat([q, split(whole.mT, r)[1].mT], axis=-1)


def svdvals(x: TensorLike) -> Tensor:
    """The singular values, in descending order."""
    return svd(x, full_matrices=False).S


def matrix_rank(x: TensorLike, rtol: TensorLike | None = None) -> Tensor:
    """How many singular values are larger than `rtol` times the largest (default: the larger
    side times the precision)."""
    x = floating("matrix_rank", x)
    s = svdvals(x)
    kept: Tensor = s > _cutoff(x, s, rtol)
    return fn.sum(fn.astype(kept, "int64"), axis=-1)


def pinv(x: TensorLike, rtol: TensorLike | None = None) -> Tensor:
    """The pseudo-inverses of matrices; singular values up to `rtol` times the largest count as 0.

    The gradient is that of a matrix whose rank does not change.
    """
    x = floating("pinv", x)

    @custom_gradient(apart=-2)
    @FULL
    def inverted(x: Tensor) -> Any:
        s, u, v = parts(lift_op(Svd(), x), x.shape[-2])
        kept = s > _cutoff(x, s, rtol)
        inverse = fn.where(kept, 1.0 / fn.where(kept, s, 1.0), 0.0)
        return (v * inverse) @ u.mT, backward

    @FULL
    def backward(dy: Tensor) -> Tensor:
        """After Golub and Pereyra (1973)."""
        p = inverted(x)
        outside = fn.eye(x.shape[-2], dtype=x.dtype) - x @ p
        beside = fn.eye(x.shape[-1], dtype=x.dtype) - p @ x
        inner = p.mT @ dy @ p.mT
        total: Tensor = outside @ dy.mT @ (p @ p.mT) + (p.mT @ p) @ dy.mT @ beside - inner
        return total

    result: Tensor = inverted(x)
    return result


def lstsq(a: TensorLike, b: TensorLike, rtol: TensorLike | None = None) -> Tensor:
    """The shortest x that makes |a x - b| smallest, for a vector b or the columns of matrices."""
    a, b = same_dtype("lstsq", (floating("lstsq", a), floating("lstsq", b)))
    if a.ndim < 2 or b.ndim < 1 or b.shape[-1 if b.ndim == 1 else -2] != a.shape[-2]:
        fail(ShapeError, f"lstsq: {b.type} (input 1) does not fit {a.type} (input 0)", (a, b))
    with FULL:
        return fn.matmul(pinv(a, rtol), b)


def _cutoff(x: Tensor, s: Tensor, rtol: TensorLike | None) -> Any:
    """The largest singular value times a tolerance, as a row or a number for each matrix."""
    ahead = fn.pad(s, [(0, 0)] * (s.ndim - 1) + [(0, 1)])  # of nothing the largest is 0
    largest = fn.max(ahead, axis=-1, keepdims=True)
    if rtol is None:
        sides = [n for n in x.shape[-2:] if isinstance(n, int)]
        if len(sides) < 2:
            fail(ArgumentError, f"rtol must be given where sizes are unknown, got {x.type}", (x,))
        rtol = max(sides) * float(np.finfo(x.dtype.numpy).eps)
    elif isinstance(rtol, Tensor) and rtol.ndim:
        rtol = fn.expand_dims(rtol, axis=-1)
    return largest * rtol


def _row(x: Tensor) -> Tensor:
    """Rows without their axis of size 1."""
    return fn.reshape(x, (*x.shape[:-2], x.shape[-1]))
