"""Elementary functions of floats; integers are refused with a hint, Python numbers lift."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError
from graphc.frontend.functions.operands import cast, fail, floating, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.ir.ops import elementwise_arc as arcs
from graphc.ir.ops import elementwise_math as ops
from graphc.ir.ops import elementwise_power as powers
from graphc.ir.ops.base import Op


def exp(x: Any) -> Tensor:
    """e ** x."""
    return lift_op(ops.Exp(), floating("exp", x))


def exp2(x: Any) -> Tensor:
    """2 ** x."""
    return lift_op(ops.Exp2(), floating("exp2", x))


def expm1(x: Any) -> Tensor:
    """e ** x - 1, exact near 0."""
    return lift_op(ops.Expm1(), floating("expm1", x))


def log(x: Any) -> Tensor:
    """The natural logarithm."""
    return lift_op(ops.Log(), floating("log", x))


def log2(x: Any) -> Tensor:
    """The logarithm to base 2."""
    return lift_op(ops.Log2(), floating("log2", x))


def log10(x: Any) -> Tensor:
    """The logarithm to base 10."""
    x = floating("log10", x)
    return cast(lift_op(ops.Log(), widened(x)) * 0.4342944819032518, x.dtype)


def log1p(x: Any) -> Tensor:
    """log(1 + x), exact near 0."""
    return lift_op(ops.Log1p(), floating("log1p", x))


def sqrt(x: Any) -> Tensor:
    """The square root; its gradient at 0 is infinite."""
    return lift_op(ops.Sqrt(), floating("sqrt", x))


def reciprocal(x: Any) -> Tensor:
    """1 / x."""
    return 1.0 / floating("reciprocal", x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return lift_op(ops.Tanh(), floating("tanh", x))


def sin(x: Any) -> Tensor:
    """The sine."""
    return lift_op(ops.Sin(), floating("sin", x))


def cos(x: Any) -> Tensor:
    """The cosine."""
    return lift_op(ops.Cos(), floating("cos", x))


def tan(x: Any) -> Tensor:
    """The tangent."""
    x = floating("tan", x)
    wide = widened(x)
    return cast(lift_op(ops.Sin(), wide) / lift_op(ops.Cos(), wide), x.dtype)


def sinh(x: Any) -> Tensor:
    """The hyperbolic sine, exact near 0."""
    return lift_op(arcs.Sinh(), floating("sinh", x))


def cosh(x: Any) -> Tensor:
    """The hyperbolic cosine."""
    return lift_op(arcs.Cosh(), floating("cosh", x))


def erf(x: Any) -> Tensor:
    """The error function."""
    return lift_op(ops.Erf(), floating("erf", x))


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return lift_op(ops.Sigmoid(), floating("sigmoid", x))


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    return lift_op(ops.Softplus(), floating("softplus", x))


def rounded(op: Op, x: Any) -> Tensor:
    """Round floats; integers are whole already."""
    x = lift(x)
    if x.dtype.kind == "b":
        fail(DTypeError, f"{op.name}: needs numbers, got bool (input 0)", (x,))
    return x if x.dtype.is_integer else lift_op(op, x)


def floor(x: Any) -> Tensor:
    """The largest whole number not above x."""
    return rounded(powers.Floor(), x)


def ceil(x: Any) -> Tensor:
    """The smallest whole number not below x."""
    return rounded(powers.Ceil(), x)


def trunc(x: Any) -> Tensor:
    """x without its fraction."""
    return rounded(powers.Trunc(), x)


def round(x: Any) -> Tensor:
    """The nearest whole number, the even one of two."""
    return rounded(powers.Round(), x)
