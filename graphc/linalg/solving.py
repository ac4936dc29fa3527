"""Linear equations, determinants, Cholesky's factorisation."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.functions.factors import on_diagonal_of, parts
from graphc.frontend.functions.operands import fail, floating, same_dtype
from graphc.frontend.functions.shapes import narrow
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.ops.matrix import Cholesky, Lu, Matrix, Solve, SolveTriangular
from graphc.ir.ops.spectral import Svd
from graphc.ir.precision import FULL


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its magnitude."""

    sign: Tensor
    logabsdet: Tensor


def cholesky(x: TensorLike, upper: bool = False, check: bool = True) -> Tensor:
    """The lower triangular L with L L^T = x (or the upper one, L^T), of symmetric matrices.

    Only the lower triangle is read, and the gradient is symmetric. A matrix that is not positive
    definite is a RuntimeCheckError when the function runs; with `check=False` its factor is NaN
    (for matrices that a `gx.where` behind it leaves out). That of a matrix with NaN is NaN.
    """
    factor = lift_op(Cholesky(check), floating("cholesky", x))
    return factor.mT if upper else factor


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """x with a x = b: b is a vector, or matrices whose columns are right sides.

    Stacks of matrices broadcast. Infinite or NaN where a is singular.
    """
    return _solved("solve", Solve(), a, b)


def solve_triangular(
    a: TensorLike,
    b: TensorLike,
    lower: bool = False,
    transpose: bool = False,
    unit_diagonal: bool = False,
) -> Tensor:
    """x with a x = b (a^T x = b with `transpose`), a being read in one triangle only."""
    a = floating("solve_triangular", a)
    if transpose and a.ndim >= 2:
        a = a.mT
    op = SolveTriangular(bool(lower) != bool(transpose), bool(unit_diagonal))
    return _solved("solve_triangular", op, a, b)


def _solved(name: str, op: Matrix, a: TensorLike, b: TensorLike) -> Tensor:
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


def inv(x: TensorLike) -> Tensor:
    """The inverses of matrices; infinite or NaN where one is singular."""
    x = floating("inv", x)
    if x.ndim < 2:
        fail(ShapeError, f"inv: needs matrices, got {x.type}", (x,))
    return lift_op(Solve(), x, fn.broadcast_to(fn.eye(x.shape[-1], dtype=x.dtype), x.shape))


def det(x: TensorLike) -> Tensor:
    """The determinants of matrices; their derivatives are right for singular ones, too."""
    result: Tensor = _det(floating("det", x))
    return result


def slogdet(x: TensorLike) -> SlogdetResult:
    """The signs of determinants and the logarithms of their magnitudes."""
    return SlogdetResult(*_slogdet(floating("slogdet", x)))


@custom_gradient(apart=-2)
def _det(x: Tensor) -> Any:
    pivots, sign = _pivots(x)
    value = fn.prod(pivots, axis=-1) * sign

    def backward(dy: Tensor) -> Tensor:
        slope: Tensor = _stretched(dy, x) * _cofactors(x)
        return slope

    return value, backward


@custom_gradient(apart=-2)
def _cofactors(x: Tensor) -> Any:
    """The derivatives of a determinant by its elements: determinant times inverse, transposed.

    A pivot of 0 is replaced by so little that it cancels out of the product.
    """
    pivots, sign = _pivots(x, regular=True)
    one = fn.broadcast_to(fn.eye(x.shape[-1], dtype=x.dtype), x.shape)
    inverse = lift_op(Solve(regular=True), x, one)
    return _stretched(fn.prod(pivots, axis=-1) * sign, x) * inverse.mT, lambda g: _bent(x, g)


@FULL
def _bent(x: Tensor, g: Tensor) -> Tensor:
    """The second derivative of a determinant along g, in terms of singular values.

    In the bases of the singular vectors the matrix is diagonal, and the second derivatives are
    the products of all singular values but two.
    """
    s, u, v = parts(lift_op(Svd(), x), x.shape[-2])
    in_basis = u.mT @ g @ v
    products = _all_but_two(s)
    traces = products @ fn.expand_dims(fn.diagonal(in_basis, 0, -2, -1), axis=-1)
    inner = on_diagonal_of(traces.mT) - products * in_basis.mT
    orientation = fn.sign(fn.stop_gradient(det(u) * det(v)))
    return _stretched(orientation, x) * (u @ inner @ v.mT)


def _all_but_two(s: Tensor) -> Tensor:
    """For a row s, the products of all elements but the i-th and the j-th; 0 for i = j."""
    n = s.shape[-1]
    one = fn.eye(n, dtype="bool")
    left_out = fn.expand_dims(one, axis=1) | fn.expand_dims(one, axis=0)  # [i, j, k]
    factors = fn.where(left_out, 1.0, fn.expand_dims(s, axis=-2))
    return fn.where(one, 0.0, fn.prod(factors, axis=-1))


@custom_gradient(apart=-2)
def _slogdet(x: Tensor) -> Any:
    pivots, sign = _pivots(x)
    signs = sign * fn.prod(fn.sign(pivots), axis=-1)
    value = fn.sum(fn.log(fn.abs(pivots)), axis=-1)

    def backward(_: Tensor, dy: Tensor) -> Tensor:
        return _stretched(dy, x) * inv(x).mT

    return (signs, value), backward


def _pivots(x: Tensor, regular: bool = False) -> tuple[Tensor, Tensor]:
    """The diagonal of U, and the sign of the permutation of rows."""
    packed = lift_op(Lu(regular), x)
    n, axis = x.shape[-1], x.ndim - 1
    places = fn.reshape(narrow(packed, axis, n, 1), x.shape[:-1])
    moved = places != fn.arange(n, dtype=x.dtype)
    sign = fn.prod(fn.where(moved, -1.0, fn.ones_like(places)), axis=-1)
    return fn.diagonal(narrow(packed, axis, 0, n), 0, -2, -1), sign


def _stretched(x: Tensor, like: Tensor) -> Tensor:
    """Numbers of a stack as matrices."""
    return fn.broadcast_to(fn.reshape(x, (*x.shape, 1, 1)), like.shape)
