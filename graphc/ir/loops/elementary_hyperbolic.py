"""Hyperbolic functions and their inverses, for float32 and float64."""

from __future__ import annotations

import math

from graphc.ir.loops.elementary_exp import exp, expm1
from graphc.ir.loops.elementary_log import log, log1p
from graphc.ir.loops.formats import FORMATS, Emitter, Format, widened, with_sign
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64

# where e**x overflows but its half does not
EXP_END = {float32: 88.0, float64: 709.0}


def _halves(e: Emitter[S], f: Format, magnitude: S) -> tuple[S, S]:
    """Whether e**x may overflow, and half of it computed through the root."""
    root = exp(e, e.mul(magnitude, e.const(0.5, f.dtype)))
    half = e.mul(e.mul(root, e.const(0.5, f.dtype)), root)
    return e.lt(e.const(EXP_END[f.dtype], f.dtype), magnitude), half


@widened
def sinh(e: Emitter[S], x: S) -> S:
    """(e**x - e**-x) / 2, exact near 0."""
    f = FORMATS[e.dtype(x)]
    magnitude = e.abs(x)
    large, half = _halves(e, f, magnitude)
    grown = expm1(e, magnitude)
    share = e.div(grown, e.add(grown, e.const(1.0, f.dtype)))
    small = e.mul(e.add(grown, share), e.const(0.5, f.dtype))
    return with_sign(e, f, e.select(large, half, small), x)


@widened
def cosh(e: Emitter[S], x: S) -> S:
    """(e**x + e**-x) / 2."""
    f = FORMATS[e.dtype(x)]
    magnitude = e.abs(x)
    large, half = _halves(e, f, magnitude)
    grown = e.mul(exp(e, magnitude), e.const(0.5, f.dtype))
    small = e.add(grown, e.div(e.const(0.25, f.dtype), grown))
    return e.select(large, half, small)


@widened
def asinh(e: Emitter[S], x: S) -> S:
    """log(x + sqrt(x**2 + 1)) = log1p(x + x**2 / (1 + sqrt(x**2 + 1)))."""
    f = FORMATS[e.dtype(x)]
    magnitude, one = e.abs(x), e.const(1.0, f.dtype)
    large, logarithm = _large_arguments(e, f, magnitude)
    square = e.mul(magnitude, magnitude)
    root = e.sqrt(e.add(square, one))
    small = log1p(e, e.add(magnitude, e.div(square, e.add(root, one))))
    return with_sign(e, f, e.select(large, logarithm, small), x)


@widened
def acosh(e: Emitter[S], x: S) -> S:
    """log(x + sqrt(x**2 - 1)) = log1p(t + sqrt(2 t + t**2)) with t = x - 1; NaN below 1."""
    f = FORMATS[e.dtype(x)]
    one = e.const(1.0, f.dtype)
    large, logarithm = _large_arguments(e, f, x)
    t = e.sub(x, one)
    root = e.sqrt(e.mul(t, e.add(t, e.const(2.0, f.dtype))))
    result = e.select(large, logarithm, log1p(e, e.add(t, root)))
    return e.select(e.lt(x, one), e.const(float("nan"), f.dtype), result)


@widened
def atanh(e: Emitter[S], x: S) -> S:
    """log((1 + x) / (1 - x)) / 2 = log1p(2 x / (1 - x)) / 2; NaN outside [-1, 1]."""
    f = FORMATS[e.dtype(x)]
    magnitude = e.abs(x)
    ratio = e.div(e.add(magnitude, magnitude), e.sub(e.const(1.0, f.dtype), magnitude))
    return with_sign(e, f, e.mul(log1p(e, ratio), e.const(0.5, f.dtype)), x)


def _large_arguments(e: Emitter[S], f: Format, x: S) -> tuple[S, S]:
    """Whether 1 is nothing beside x**2, and log(2 x)."""
    bound = e.const(2.0 ** (f.mantissa // 2 + 2), f.dtype)
    return e.lt(bound, x), e.add(log(e, x), e.const(math.log(2.0), f.dtype))
