"""Linear equations, determinants, Cholesky's factorisation."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc import functions as fn
from graphc.autodiff.custom import custom_gradient
from graphc.errors import ShapeError
from graphc.functions.operands import fail, floating, same_dtype
from graphc.functions.shapes import part
from graphc.ops.matrix import Cholesky, Lu, Matrix, Solve, SolveTriangular
from graphc.tensor import Tensor, lift_op


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its magnitude."""

    sign: Tensor
    logabsdet: Tensor


def cholesky(x: Any, upper: bool = False) -> Tensor:
    """The lower triangular L with L L^T = x (or the upper one, L^T), of symmetric matrices.

    Only the lower triangle is read, and the gradient is symmetric. NaN where x is not positive
    definite.
    """
    factor = lift_op(Cholesky(), floating("cholesky", x))
    return factor.mT if upper else factor


def solve(a: Any, b: Any) -> Tensor:
    """x with a x = b: b is a vector, or matrices whose columns are right sides.

    Stacks of matrices broadcast. Infinite or NaN where a is singular.
    """
    return _solved("solve", Solve(), a, b)


def solve_triangular(
    a: Any, b: Any, lower: bool = False, transpose: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """x with a x = b (a^T x = b with `transpose`), a being read in one triangle only."""
    a = floating("solve_triangular", a)
    if transpose and a.ndim >= 2:
        a = a.mT
    op = SolveTriangular(bool(lower) != bool(transpose), bool(unit_diagonal))
    return _solved("solve_triangular", op, a, b)


def _solved(name: str, op: Matrix, a: Any, b: Any) -> Tensor:
    a, b = same_dtype(name, (floating(name, a), floating(name, b)))
    vector = b.ndim == 1
    if vector:
        b = fn.expand_dims(b, axis=1)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        fail(ShapeError, f"{name}: {b.type} (input 1) does not fit {a.type} (input 0)", (a, b))
    batch = fn.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = fn.broadcast_to(a, (*batch, *a.shape[-2:]))
    b = fn.broadcast_to(b, (*batch, *b.shape[-2:]))
    x = lift_op(op, a, b)
    return fn.reshape(x, x.shape[:-1]) if vector else x


def inv(x: Any) -> Tensor:
    """The inverses of matrices."""
    x = floating("inv", x)
    if x.ndim < 2:
        fail(ShapeError, f"inv: needs matrices, got {x.type}", (x,))
    return lift_op(Solve(), x, fn.broadcast_to(fn.eye(x.shape[-1], dtype=x.dtype), x.shape))


def det(x: Any) -> Tensor:
    """The determinants of matrices; the gradient needs regular ones."""
    result: Tensor = _det(floating("det", x))
    return result


def slogdet(x: Any) -> SlogdetResult:
    """The signs of determinants and the logarithms of their magnitudes."""
    return SlogdetResult(*_slogdet(floating("slogdet", x)))


@custom_gradient(apart=-2)
def _det(x: Tensor) -> Any:
    pivots, sign = _pivots(x)
    value = fn.prod(pivots, axis=-1) * sign

    def backward(dy: Tensor) -> Tensor:
        return _stretched(dy * det(x), x) * inv(x).mT

    return value, backward


@custom_gradient(apart=-2)
def _slogdet(x: Tensor) -> Any:
    pivots, sign = _pivots(x)
    signs = sign * fn.prod(fn.sign(pivots), axis=-1)
    value = fn.sum(fn.log(fn.abs(pivots)), axis=-1)

    def backward(_: Tensor, dy: Tensor) -> Tensor:
        return _stretched(dy, x) * inv(x).mT

    return (signs, value), backward


def _pivots(x: Tensor) -> tuple[Tensor, Tensor]:
    """The diagonal of U, and the sign of the permutation of rows."""
    from graphc.linalg.products import diagonal

    packed = lift_op(Lu(), x)
    n, axis = x.shape[-1], x.ndim - 1
    places = fn.reshape(part(packed, axis, n, 1), x.shape[:-1])
    moved = places != fn.arange(n, dtype=x.dtype)
    sign = fn.prod(fn.where(moved, -1.0, fn.ones_like(places)), axis=-1)
    return diagonal(part(packed, axis, 0, n)), sign


def _stretched(x: Tensor, like: Tensor) -> Tensor:
    """Numbers of a stack as matrices."""
    return fn.broadcast_to(fn.reshape(x, (*x.shape, 1, 1)), like.shape)
