"""The float formats of the elementary functions (float32, float64), and shared steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.types import DType, float32, float64, int32, int64

Emitter = ScalarEmitter[S]


@dataclass(frozen=True)
class Format:
    """Facts of an IEEE binary format; `integer` has its width."""

    dtype: DType
    integer: DType
    mantissa: int
    bias: int
    # adding it rounds to an integer, which then stands in the low bits
    magic: float
    # k * ln2_high is exact for every exponent k, and ln2_high + ln2_low = ln 2
    ln2_high: float
    ln2_low: float
    # half the range of exponents: 2**n is made in two factors across it
    stride: int
    sqrt_half_bits: int

    @property
    def least_normal(self) -> float:
        """The smallest normal number."""
        return math.ldexp(1.0, 1 - self.bias)

    @property
    def sign_bit(self) -> int:
        """The integer with only the sign bit set."""
        return -1 << (self.integer.bits - 1)


FORMATS = {
    float32: Format(
        float32, int32, 23, 127, 1.5 * 2.0**23, 0.693359375, -2.12194440e-4, 64, 0x3F3504F3
    ),
    float64: Format(
        float64,
        int64,
        52,
        1023,
        1.5 * 2.0**52,
        6.93145751953125e-1,
        1.42860682030941723212e-6,
        512,
        0x3FE6A09E667F3BCD,
    ),
}


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute float16 and bfloat16 through float32."""

    def apply(e: Emitter[S], *args: S) -> S:
        dtype = e.dtype(args[0])
        if not (dtype.is_float and dtype.bits == 16):
            result: S = function(e, *args)
            return result
        return e.cast(function(e, *(e.cast(x, float32) for x in args)), dtype)

    apply.__name__, apply.__doc__ = function.__name__, function.__doc__
    return apply


def polynomial(e: Emitter[S], x: S, coefficients: tuple[float, ...]) -> S:
    """Evaluate by Horner's rule; the constant term comes first."""
    dtype = e.dtype(x)
    total = e.const(coefficients[-1], dtype)
    for c in reversed(coefficients[:-1]):
        total = e.fma(total, x, e.const(c, dtype))
    return total


def clamp(e: Emitter[S], x: S, low: float, high: float) -> S:
    """Limit x to [low, high]; NaN stays."""
    dtype = e.dtype(x)
    least, most = e.const(low, dtype), e.const(high, dtype)
    x = e.select(e.lt(most, x), most, x)
    return e.select(e.lt(x, least), least, x)


def round_product(e: Emitter[S], f: Format, x: S, factor: float) -> tuple[S, S]:
    """Return n = rint(x * factor) as a float, and an integer with n in its low bits."""
    magic = e.const(f.magic, f.dtype)
    shifted = e.fma(x, e.const(factor, f.dtype), magic)
    return e.sub(shifted, magic), e.bitcast(shifted, f.integer)


def power_of_two(e: Emitter[S], f: Format, n: S, offset: S) -> S:
    """Make 2**n from an integer n; `offset` is the exponent field of 1, or of 2**shift."""
    field = e.shl(n, e.const(f.mantissa, f.integer))
    return e.bitcast(e.add(field, offset), f.dtype)


def exponent_field(e: Emitter[S], f: Format, exponent: int) -> S:
    """The bits of 2**exponent."""
    return e.const((f.bias + exponent) << f.mantissa, f.integer)


def with_sign(e: Emitter[S], f: Format, magnitude: S, x: S) -> S:
    """Give a non-negative magnitude the sign of x."""
    sign = e.bit_and(e.bitcast(x, f.integer), e.const(f.sign_bit, f.integer))
    return e.bitcast(e.bit_or(e.bitcast(magnitude, f.integer), sign), f.dtype)


def select_const(e: Emitter[S], condition: S, x: float, y: float, dtype: DType) -> S:
    """Select between two constants."""
    return e.select(condition, e.const(x, dtype), e.const(y, dtype))
