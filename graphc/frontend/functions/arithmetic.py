"""Arithmetic: operands are promoted to one dtype and broadcast to one shape.

Every function takes tensors, arrays and Python numbers (which are weak: they take the dtype of
the other operand). Raises DTypeError where no dtype holds both operands or the operation does
not take it, ShapeError where shapes do not broadcast.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError
from graphc.frontend.functions.logic import choose, isnan
from graphc.frontend.functions.mathematics import sqrt
from graphc.frontend.functions.operands import (
    apply_broadcast,
    cast,
    common_shape,
    expand,
    fail,
    is_weak,
    same_dtype,
)
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.ops import elementwise as ops
from graphc.ir.ops.base import Op
from graphc.ir.ops.elementwise_power import Pow
from graphc.ir.ops.failure import PLACE
from graphc.ir.ops.gather import Guard
from graphc.ir.ops.leaf import Constant, Literal
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.types import float32


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """x + y for numbers."""
    return apply_broadcast(ops.Add(), x, y)


def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """x - y for numbers; unsigned integers wrap around."""
    return apply_broadcast(ops.Sub(), x, y)


def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """x * y for numbers."""
    return apply_broadcast(ops.Mul(), x, y)


def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """x / y as floats; integers become float32 first."""
    tensors = same_dtype("divide", (x, y))
    if tensors[0].dtype.is_integer:
        tensors = [cast(t, float32) for t in tensors]
    return apply_broadcast(ops.Div(), *tensors)


def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """x / y rounded down; dividing an integer by 0 is a RuntimeCheckError when it runs."""
    return guarded_division(ops.FloorDivide(), x, y)


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """x - floor(x / y) * y, of the sign of y; an integer y of 0 is a RuntimeCheckError."""
    return guarded_division(ops.Remainder(), x, y)


def guarded_division(op: Op, x: TensorLike, y: TensorLike) -> Tensor:
    """Apply a division with a check that an integer divisor is not 0."""
    a, b = same_dtype(op.name, (x, y))
    if b.dtype.is_integer and not known_nonzero(b):
        b = lift_op(Guard(f"{op.name}: integer division by zero{PLACE}"), b, b != 0)
    return apply_broadcast(op, a, b)


def known_nonzero(x: Tensor) -> bool:
    """Whether x is a number or an array of numbers that are not 0."""
    match x.node.op:
        case Literal(value=value):
            return bool(value)
        case Constant(value=value):
            return bool(value.all())
        case BroadcastTo():
            (source,) = x.node.inputs
            return isinstance(source.op, Literal) and bool(source.op.value)
    return False


def pow(x: TensorLike, y: TensorLike) -> Tensor:
    """x ** y; negative powers of integers are truncated towards 0.

    Small whole powers are products; 0.5 of floats is the square root, -1 the reciprocal.
    """
    if (
        isinstance(x, Tensor)
        and is_weak(y)
        and not isinstance(y, bool)
        and (x.dtype.is_float or isinstance(y, int))
    ):
        special = special_power(x, float(y))
        if special is not None:
            return special
    return apply_broadcast(Pow(), x, y)


def special_power(x: Tensor, y: float) -> Tensor | None:
    """The powers that need no power function."""
    largest = 4 if x.dtype.is_float else 64  # rounding errors grow with the power
    if x.dtype.kind != "b" and y.is_integer() and 1 <= y <= largest:
        return product_of_squares(x, int(y))
    if not x.dtype.is_float:
        return None
    if y == -1.0:
        return 1.0 / x
    if y == 0.5:
        return sqrt(x)
    return None


def product_of_squares(x: Tensor, n: int) -> Tensor:
    """x ** n for n above 0."""
    if n == 1:
        return x
    half = product_of_squares(x, n // 2)
    square = lift_op(ops.Mul(), half, half)
    return lift_op(ops.Mul(), square, x) if n % 2 else square


def negative(x: TensorLike) -> Tensor:
    """-x; unsigned integers wrap around."""
    return lift_op(ops.Neg(), lift(x))


def positive(x: TensorLike) -> Tensor:
    """x itself."""
    return lift(x)


def abs(x: TensorLike) -> Tensor:
    """|x|; the gradient at 0 is 0."""
    x = lift(x)
    return x if x.dtype.kind == "u" else lift_op(ops.Abs(), x)


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1; NaN for NaN."""
    return lift_op(ops.Sign(), lift(x))


def square(x: TensorLike) -> Tensor:
    """x * x."""
    x = lift(x)
    return lift_op(ops.Mul(), x, x)


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of x and y, NaN if either is; ties share the gradient evenly."""
    return apply_broadcast(ops.Maximum(), x, y)


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of x and y, NaN if either is; ties share the gradient evenly."""
    return apply_broadcast(ops.Minimum(), x, y)


def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """x, but at least min and at most max; the gradient passes at the bounds, not beyond them.

    Bounds broadcast with x; where min is above max the result is max, where one is NaN it is NaN.
    The result has the dtype of x, so a Python float is no bound for integers.
    """
    t = lift(x)
    for bound in (min, max):
        if isinstance(bound, float) and not t.dtype.is_float:
            fail(DTypeError, f"clip: the bound {bound} is no {t.dtype.name}", (t,), "use an int")
    if min is not None:
        t, low = broadcast_pair("clip", t, min)
        t = choose(beyond(t < low, low, min), low, t)
    if max is not None:
        t, high = broadcast_pair("clip", t, max)
        t = choose(beyond(t > high, high, max), high, t)
    return t


def beyond(passed: Tensor, bound: Tensor, given: Any) -> Tensor:
    """Where the bound takes the place of x: where x is beyond it, or it is NaN."""
    return passed if is_weak(given) or not bound.dtype.is_float else passed | isnan(bound)


def broadcast_pair(name: str, x: TensorLike, y: TensorLike) -> tuple[Tensor, Tensor]:
    """Two operands with one dtype and one shape."""
    a, b = same_dtype(name, (x, y))
    shape = common_shape(name, (a, b))
    return expand(a, shape), expand(b, shape)
