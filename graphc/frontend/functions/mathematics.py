"""Elementary functions of floats; integers are refused with a hint, Python numbers lift."""

from __future__ import annotations

from graphc.errors import DTypeError
from graphc.frontend.functions.operands import cast, fail, floating, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.ops import elementwise_arc as arcs
from graphc.ir.ops import elementwise_math as ops
from graphc.ir.ops import elementwise_power as powers
from graphc.ir.ops.base import Op


def exp(x: TensorLike) -> Tensor:
    """e ** x."""
    return lift_op(ops.Exp(), floating("exp", x))


def exp2(x: TensorLike) -> Tensor:
    """2 ** x."""
    return lift_op(ops.Exp2(), floating("exp2", x))


def expm1(x: TensorLike) -> Tensor:
    """e ** x - 1, exact near 0."""
    return lift_op(ops.Expm1(), floating("expm1", x))


def log(x: TensorLike) -> Tensor:
    """The natural logarithm."""
    return lift_op(ops.Log(), floating("log", x))


def log2(x: TensorLike) -> Tensor:
    """The logarithm to base 2."""
    return lift_op(ops.Log2(), floating("log2", x))


def log10(x: TensorLike) -> Tensor:
    """The logarithm to base 10."""
    x = floating("log10", x)
    return cast(lift_op(ops.Log(), widened(x)) * 0.4342944819032518, x.dtype)


def log1p(x: TensorLike) -> Tensor:
    """log(1 + x), exact near 0."""
    return lift_op(ops.Log1p(), floating("log1p", x))


def sqrt(x: TensorLike) -> Tensor:
    """The square root; its gradient at 0 is infinite."""
    return lift_op(ops.Sqrt(), floating("sqrt", x))


def reciprocal(x: TensorLike) -> Tensor:
    """1 / x."""
    return 1.0 / floating("reciprocal", x)


def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return lift_op(ops.Tanh(), floating("tanh", x))


def sin(x: TensorLike) -> Tensor:
    """The sine."""
    return lift_op(ops.Sin(), floating("sin", x))


def cos(x: TensorLike) -> Tensor:
    """The cosine."""
    return lift_op(ops.Cos(), floating("cos", x))


def tan(x: TensorLike) -> Tensor:
    """The tangent."""
    x = floating("tan", x)
    wide = widened(x)
    return cast(lift_op(ops.Sin(), wide) / lift_op(ops.Cos(), wide), x.dtype)


def sinh(x: TensorLike) -> Tensor:
    """The hyperbolic sine, exact near 0."""
    return lift_op(arcs.Sinh(), floating("sinh", x))


def cosh(x: TensorLike) -> Tensor:
    """The hyperbolic cosine."""
    return lift_op(arcs.Cosh(), floating("cosh", x))


def erf(x: TensorLike) -> Tensor:
    """The error function."""
    return lift_op(ops.Erf(), floating("erf", x))


def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x))."""
    return lift_op(ops.Sigmoid(), floating("sigmoid", x))


def softplus(x: TensorLike) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    return lift_op(ops.Softplus(), floating("softplus", x))


def rounded(op: Op, x: TensorLike) -> Tensor:
    """Round floats; integers are whole already."""
    x = lift(x)
    if x.dtype.kind == "b":
        fail(DTypeError, f"{op.name}: needs numbers, got bool (input 0)", (x,))
    return x if x.dtype.is_integer else lift_op(op, x)


def floor(x: TensorLike) -> Tensor:
    """The largest whole number not above x."""
    return rounded(powers.Floor(), x)


def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number not below x."""
    return rounded(powers.Ceil(), x)


def trunc(x: TensorLike) -> Tensor:
    """x without its fraction."""
    return rounded(powers.Trunc(), x)


def round(x: TensorLike) -> Tensor:
    """The nearest whole number, the even one of two."""
    return rounded(powers.Round(), x)
