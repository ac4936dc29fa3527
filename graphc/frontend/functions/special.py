"""Inverse functions, lengths and signs of floats, and functions of statistics."""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend.functions.arithmetic import remainder
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.mathematics import exp, floor
from graphc.frontend.functions.operands import apply_broadcast, cast, fail, floating, is_weak
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.ops import elementwise_arc as arcs
from graphc.ir.ops import elementwise_bessel as bessel
from graphc.ir.ops import elementwise_special as ops
from graphc.ir.ops.base import Op
from graphc.ir.types import float64


def acos(x: TensorLike) -> Tensor:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""
    return lift_op(arcs.Acos(), floating("acos", x))


def acosh(x: TensorLike) -> Tensor:
    """The number above 0 whose hyperbolic cosine is x; NaN below 1."""
    return lift_op(arcs.Acosh(), floating("acosh", x))


def asin(x: TensorLike) -> Tensor:
    """The angle in [-pi / 2, pi / 2] whose sine is x; NaN outside [-1, 1]."""
    return lift_op(arcs.Asin(), floating("asin", x))


def asinh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic sine is x."""
    return lift_op(arcs.Asinh(), floating("asinh", x))


def atan(x: TensorLike) -> Tensor:
    """The angle in [-pi / 2, pi / 2] whose tangent is x."""
    return lift_op(arcs.Atan(), floating("atan", x))


def atanh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic tangent is x; NaN outside [-1, 1]."""
    return lift_op(arcs.Atanh(), floating("atanh", x))


def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point (x, y), from -pi to pi."""
    return binary_float(arcs.Atan2(), y, x)


def hypot(x: TensorLike, y: TensorLike) -> Tensor:
    """sqrt(x^2 + y^2) without overflow; the gradient at 0 is 0."""
    return binary_float(arcs.Hypot(), x, y)


def copysign(x: TensorLike, y: TensorLike) -> Tensor:
    """The magnitude of x with the sign of y."""
    return binary_float(arcs.CopySign(), x, y)


def nextafter(x: TensorLike, y: TensorLike) -> Tensor:
    """The number next to x in the direction of y."""
    return binary_float(arcs.NextAfter(), x, y)


def binary_float(op: Op, x: TensorLike, y: TensorLike) -> Tensor:
    """A function of two floats that broadcast; Python ints are floats here."""
    values = [float(v) if is_weak(v) else floating(op.name, v) for v in (x, y)]
    return apply_broadcast(op, *values)


def erfc(x: TensorLike) -> Tensor:
    """1 - erf(x), exact where that is small."""
    return lift_op(ops.Erfc(), floating("erfc", x))


def erfinv(x: TensorLike) -> Tensor:
    """The number whose error function is x; infinite at 1 and -1, NaN beyond."""
    return lift_op(ops.ErfInv(), floating("erfinv", x))


def lgamma(x: TensorLike) -> Tensor:
    """log |gamma(x)|."""
    return lift_op(ops.LogGamma(), floating("lgamma", x))


def gamma(x: TensorLike) -> Tensor:
    """The gamma function, as the exponential of its logarithm; NaN at negative whole numbers."""
    given = floating("gamma", x)
    x = cast(given, float64)  # an error of the logarithm is multiplied by the logarithm
    below = floor(x)
    odd = remainder(below, 2.0) != 0.0
    magnitude = exp(lgamma(x))
    negative = x < 0.0
    poles = negative & (x == below)
    signed = where(negative & odd, -magnitude, magnitude)
    near = abs(x) < 2.0**-60  # also 0, and its sign
    return cast(where(poles, float("nan"), where(near, 1.0 / x, signed)), given.dtype)


def digamma(x: TensorLike) -> Tensor:
    """The derivative of lgamma."""
    return lift_op(ops.Digamma(), floating("digamma", x))


def polygamma(n: int, x: TensorLike) -> Tensor:
    """The n-th derivative of digamma; for n above 1 NaN where x is negative."""
    x = floating("polygamma", x)
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= 20:
        fail(ArgumentError, f"polygamma: the order is an int from 0 to 20, got {n!r}", (x,))
    return lift_op(ops.Polygamma(n) if n else ops.Digamma(), x)


def i0(x: TensorLike) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    return lift_op(bessel.BesselI(0, scaled=False), floating("i0", x))


def i0e(x: TensorLike) -> Tensor:
    """i0(x) exp(-abs(x))."""
    return lift_op(bessel.BesselI(0, scaled=True), floating("i0e", x))


def i1(x: TensorLike) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    return lift_op(bessel.BesselI(1, scaled=False), floating("i1", x))


def i1e(x: TensorLike) -> Tensor:
    """i1(x) exp(-abs(x))."""
    return lift_op(bessel.BesselI(1, scaled=True), floating("i1e", x))
