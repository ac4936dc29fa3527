"""Factorisations of stacks of matrices, and linear equations.

A factorisation has one result: its factors one below the other, as columns of one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, RuntimeCheckError, ShapeError
from graphc.ir.dims import Size, product
from graphc.ir.ops.base import Op, Ordered
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, bool_, float32, float64

SQUARES: tuple[tuple[int, ...], ...] = ((1, 1), (2, 2), (5, 5), (17, 17), (0, 0), (3, 4, 4))


class Matrix(Ordered):
    """A function of whole matrices, the last two axes; the axes before them are batch axes."""

    square: ClassVar[bool] = True

    def infer(self, *types: Any, **_: Any) -> TensorType:
        """Check that the first operand is a stack of matrices of floats; its type."""
        a: TensorType = types[0]
        check_matrix(self.name, a, self.square)
        return a

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """Twice the elements times the shorter side: the order of magnitude."""
        return 2 * product(types[0].shape) * types[0].shape[-1]

    @classmethod
    def samples(cls) -> Samples:
        """Several sizes in float32, one in float64."""
        floats = tuple((cls(), (TensorType(float32, s),)) for s in SQUARES)
        return (*floats, (cls(), (TensorType(float64, (6, 6)),)))


@dataclass(frozen=True)
class Cholesky(Matrix):
    """The lower triangular L with L L^T = a, which is read in its lower triangle only.

    Where a is not positive definite, NaN, or (with `check`) a failure at run time. The gradient
    is symmetric.
    """

    name = "cholesky"
    check: bool = field(default=False, repr=False)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V) -> tuple[V]:
        """L^-T P L^-1, symmetrised; P is the lower half of L^T dL (Murray, 2016)."""
        p = f.tril(y.mT @ dy)
        p = p - 0.5 * on_diagonal(f, p)
        upper = SolveTriangular(False)
        half = f.apply(upper, y.mT, p)
        s = f.apply(upper, y.mT, half.mT)
        return (0.5 * (s + s.mT),)

    def evaluate(self, a: Array) -> Array:
        """numpy's cholesky of each matrix; where it refuses, NaN or an error."""
        result = np.full_like(a, np.nan)
        for index in np.ndindex(*a.shape[:-2]):
            try:
                result[index] = np.linalg.cholesky(a[index])
            except np.linalg.LinAlgError:
                order = bad_minor(a[index]) if self.check else 0
                if order:
                    which = f"matrix {list(index)}" if index else "the matrix"
                    text = f"leading minor of order {order} is not positive"
                    raise RuntimeCheckError(
                        f"cholesky: {which} is not positive definite: its {text}"
                    ) from None
                result[index] = np.tril(np.full_like(a[index], np.nan))
        return result


def bad_minor(a: Array) -> int:
    """The order of the first leading minor that is not positive; 0 if a NaN comes before."""
    left = np.array(a, np.float64)
    for k in range(len(left)):
        pivot = left[k, k]
        if not pivot > 0:
            return 0 if np.isnan(pivot) else k + 1
        column = left[k + 1 :, k]
        left[k + 1 :, k + 1 :] -= np.outer(column, column / pivot)
    return len(left)  # by rounding alone


# What stands in for a pivot of 0, times the largest element: so little that no other digit shows.
MIN_PIVOT = {32: 2.0**-50, 64: 2.0**-200}


def eliminated(a: Array, rows: int, regular: bool) -> tuple[Array, Array]:
    """The first columns made upper triangular, the factors below them, and the pivots' rows."""
    w, pivots = np.array(a), np.arange(rows)
    largest = np.max(np.abs(w[:, :rows]), initial=0.0)
    least = (largest if largest > 0 else 1.0) * MIN_PIVOT[8 * w.itemsize]
    for k in range(rows):
        pivots[k] = p = k + np.argmax(np.abs(w[k:, k]))
        w[np.array([k, p])] = w[np.array([p, k])]
        if regular and w[k, k] == 0:
            w[k, k] = least
        if w[k, k] != 0:
            w[k + 1 :, k] /= w[k, k]
        w[k + 1 :, k + 1 :] -= np.outer(w[k + 1 :, k], w[k, k + 1 :])
    return w, pivots


@dataclass(frozen=True)
class Lu(Matrix):
    """The factors of P a = L U with partial pivoting, packed, and the pivots behind them.

    result[..., :n] has U on and above the diagonal and L (whose diagonal is 1) below it;
    result[..., k, n] is the row that was swapped with row k at step k. With `regular` no pivot
    is 0: a least one stands in for it.
    """

    name = "lu"
    regular: bool = False

    @property
    def differentiable(self) -> bool:
        """Functions of it bring their own gradients."""
        return False

    def infer(self, a: TensorType) -> TensorType:
        """One more column."""
        super().infer(a)
        return TensorType(a.dtype, (*a.shape[:-1], a.shape[-1] + 1))

    def evaluate(self, a: Array) -> Array:
        """Row by row."""
        n = a.shape[-1]
        result = np.empty((*a.shape[:-1], n + 1), a.dtype)
        for index in np.ndindex(*a.shape[:-2]):
            w, pivots = eliminated(a[index], n, self.regular)
            result[index] = np.column_stack([w, pivots.astype(a.dtype)])
        return result


@dataclass(frozen=True)
class Solve(Matrix):
    """x with a x = b, for every column of b; infinite or NaN where a is singular.

    With `regular` a least pivot stands in for one of 0: x is large then, but finite.
    """

    name = "solve"
    regular: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The type of b."""
        super().infer(a)
        return check_right_side(self.name, a, b)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V, b: V) -> tuple[V, V]:
        """a^T db = dx; da = -db x^T."""
        db = f.apply(self, a.mT, dy)
        return -(db @ y.mT), db

    def evaluate(self, a: Array, b: Array) -> Array:
        """numpy's solve of each system; NaN where it refuses."""
        result = np.full_like(b, np.nan)
        for index in np.ndindex(*a.shape[:-2]):
            if self.regular:
                result[index] = self._substituted(a[index], b[index])
                continue
            try:
                result[index] = np.linalg.solve(a[index], b[index])
            except np.linalg.LinAlgError:
                continue
        return result

    def _substituted(self, a: Array, b: Array) -> Array:
        """One system, by elimination."""
        n = a.shape[-1]
        w, _ = eliminated(np.concatenate([a, b], axis=1), n, True)
        x = np.array(w[:, n:])
        for i in reversed(range(n)):
            x[i] = (x[i] - w[i, i + 1 : n] @ x[i + 1 :]) / w[i, i]
        return x

    @classmethod
    def samples(cls) -> Samples:
        """One column and several."""
        return equations(cls())


@dataclass(frozen=True)
class SolveTriangular(Matrix):
    """x with a x = b, where a is read in its lower (or upper) triangle only.

    With `unit` the diagonal counts as 1 and is not read.
    """

    name = "solve_triangular"
    lower: bool
    unit: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The type of b."""
        super().infer(a)
        return check_right_side(self.name, a, b)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, a: V, b: V) -> tuple[V, V]:
        """a^T db = dx; da = -db x^T in the triangle."""
        db = f.apply(SolveTriangular(not self.lower, self.unit), a.mT, dy)
        whole = -(db @ y.mT)
        inner = int(self.unit)
        return (f.tril(whole, -inner) if self.lower else f.triu(whole, inner)), db

    def evaluate(self, a: Array, b: Array) -> Array:
        """One row after the other."""
        n, x = a.shape[-1], np.array(b)
        for i in range(n) if self.lower else reversed(range(n)):
            known = slice(0, i) if self.lower else slice(i + 1, n)
            x[..., i, :] -= np.einsum("...j,...jk->...k", a[..., i, known], x[..., known, :])
            if not self.unit:
                with np.errstate(all="ignore"):
                    x[..., i, :] /= a[..., i, i, None]
        return x

    @classmethod
    def samples(cls) -> Samples:
        """Both triangles, with and without a diagonal."""
        return tuple(
            sample for lower in (True, False) for unit in (False, True)
            for sample in equations(cls(lower, unit))
        )  # fmt: skip


def equations(op: Op) -> Samples:
    """Systems of several sizes."""
    sizes = ((1, 1), (2, 3), (5, 1), (17, 20), (0, 2), (3, 0))
    floats = [((n, n), (n, k)) for n, k in sizes] + [((2, 3, 4, 4), (2, 3, 4, 2))]
    found = tuple((op, tuple(TensorType(float32, s) for s in pair)) for pair in floats)
    return (*found, (op, (TensorType(float64, (6, 6)), TensorType(float64, (6, 2)))))


def check_matrix(name: str, a: TensorType, square: bool) -> None:
    """Raise unless it is a stack of matrices of float32 or float64."""
    if a.ndim < 2:
        raise ShapeError(f"{name}: needs matrices, got {a} (input 0)")
    if square and a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{name}: needs square matrices, got {a} (input 0):"
            f" {a.shape[-2]} (axis {a.ndim - 2}) vs {a.shape[-1]} (axis {a.ndim - 1})"
        )
    if a.dtype not in (float32, float64):
        raise DTypeError(
            f"{name}: needs float32 or float64, got {a.dtype.name} (input 0)",
            hint="convert it with astype",
        )


def check_right_side(name: str, a: TensorType, b: TensorType) -> TensorType:
    """Raise unless b has the rows, the batch axes and the dtype of a; the type of b."""
    if b.dtype != a.dtype:
        raise DTypeError(f"{name}: dtypes differ: {a.dtype.name} vs {b.dtype.name}")
    if b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1]:
        raise ShapeError(f"{name}: {b} (input 1) does not fit {a} (input 0)")
    return b


def on_diagonal(f: ArrayFunctions[V], x: V) -> V:
    """Square matrices with zeros everywhere but on the diagonal."""
    return f.choose(f.eye(x.shape[-1], dtype=bool_), x, f.zeros_like(x))
