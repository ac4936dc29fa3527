"""Logarithms for float32 and float64.

x = 2**k * (1 + f) with 1 + f between sqrt(1/2) and sqrt(2). float32 evaluates
f - f**2/2 + f**3 P(f) (the form of Cephes' logf); float64 evaluates fdlibm's
f - (f**2/2 - s (f**2/2 + R)) with s = f / (2 + f). The polynomials are minimax fits computed for
this file.
"""

from __future__ import annotations

from graphc.ir.loops.formats import FORMATS, Emitter, Format, polynomial, widened
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32

LOG2_E_MINUS_1 = 0.4426950408889634
# 1 / ln(2) in two parts, the first of 21 bits
LOG2_E_HIGH, LOG2_E_LOW = 1.442695617675781, -5.76786817676e-07

# log(1 + f) = f - f**2 / 2 + f**3 * P(f)
LOG_F = (
    0.3333333134651184, -0.2500081956386566, 0.20001228153705597, -0.16623330116271973,
    0.14201712608337402, -0.13160613179206848, 0.12762437760829926, -0.07634522020816803,
)  # fmt: skip
# log(1 + f) = 2 s + s * z * P(z), z = s**2
LOG_S = (
    0.6666666666666735, 0.39999999999410923, 0.2857142874330296, 0.22222198471737603,
    0.18183569963141205, 0.15313897525906792, 0.14797564625279241,
)  # fmt: skip


def _split(e: Emitter[S], f: Format, x: S, lowered: S) -> tuple[S, S]:
    """Return an integer with the exponent k in its upper bits, and the mantissa minus 1.

    x is normal; `lowered` are the bits of sqrt(1/2), or of 2**n sqrt(1/2) to make k smaller by n.
    """
    above = e.sub(e.bitcast(x, f.integer), lowered)
    kept = e.bit_and(above, e.const((1 << f.mantissa) - 1, f.integer))
    mantissa = e.bitcast(e.add(kept, e.const(f.sqrt_half_bits, f.integer)), f.dtype)
    return above, e.sub(mantissa, e.const(1.0, f.dtype))


def _exponent(e: Emitter[S], f: Format, above: S) -> S:
    return e.cast(e.shr(above, e.const(f.mantissa, f.integer)), f.dtype)


def split_positive(e: Emitter[S], f: Format, x: S) -> tuple[S, S]:
    """Return the exponent, as a float, and the mantissa minus 1 of a positive x."""
    subnormal = e.lt(x, e.const(f.least_normal, f.dtype))
    shift = f.mantissa + 1
    raised = e.select(subnormal, e.mul(x, e.const(2.0**shift, f.dtype)), x)
    moved = e.const(f.sqrt_half_bits + (shift << f.mantissa), f.integer)
    lowered = e.select(subnormal, moved, e.const(f.sqrt_half_bits, f.integer))
    above, y = _split(e, f, raised, lowered)
    return _exponent(e, f, above), y


def _below(e: Emitter[S], y: S) -> tuple[S, S]:
    """Return y**2 / 2 and c with log(1 + y) = y - (y**2 / 2 - c)."""
    dtype = e.dtype(y)
    square = e.mul(y, y)
    half = e.mul(square, e.const(0.5, dtype))
    if dtype == float32:
        return half, e.mul(e.mul(y, square), polynomial(e, y, LOG_F))
    s = e.div(y, e.add(y, e.const(2.0, dtype)))
    z = e.mul(s, s)
    return half, e.mul(s, e.add(half, e.mul(z, polynomial(e, z, LOG_S))))


def _finish(e: Emitter[S], f: Format, exponent: S, y: S) -> S:
    """Return exponent * ln(2) + log(1 + y)."""
    small, large = e.const(f.ln2_low, f.dtype), e.const(f.ln2_high, f.dtype)
    if f.dtype == float32:
        square = e.mul(y, y)
        c = e.mul(e.mul(y, square), polynomial(e, y, LOG_F))
        rest = e.fma(square, e.const(-0.5, f.dtype), e.fma(exponent, small, c))
    else:
        half, c = _below(e, y)
        rest = e.sub(e.fma(exponent, small, c), half)
    return e.fma(exponent, large, e.add(y, rest))


def _special(e: Emitter[S], f: Format, x: S, result: S) -> S:
    """Put in the logarithms of infinity, NaN, 0 and negative numbers."""
    zero = e.const(0.0, f.dtype)
    result = e.select(e.lt(x, e.const(float("inf"), f.dtype)), result, x)
    result = e.select(e.eq(x, zero), e.const(float("-inf"), f.dtype), result)
    return e.select(e.lt(x, zero), e.const(float("nan"), f.dtype), result)


@widened
def log(e: Emitter[S], x: S) -> S:
    """The natural logarithm."""
    f = FORMATS[e.dtype(x)]
    exponent, y = split_positive(e, f, x)
    return _special(e, f, x, _finish(e, f, exponent, y))


@widened
def log2(e: Emitter[S], x: S) -> S:
    """The logarithm to base 2; exact for powers of two."""
    f = FORMATS[e.dtype(x)]
    exponent, y = split_positive(e, f, x)
    half, c = _below(e, y)
    if f.dtype == float32:
        rest, factor = e.sub(c, half), e.const(LOG2_E_MINUS_1, f.dtype)
        total = e.fma(y, factor, e.mul(rest, factor))
        return _special(e, f, x, e.add(exponent, e.add(y, e.add(rest, total))))
    # the upper half of the bits times the upper part of 1 / ln(2) is exact (fdlibm's log2)
    mask = e.const(-(2**32), f.integer)
    high = e.bitcast(e.bit_and(e.bitcast(e.sub(y, half), f.integer), mask), f.dtype)
    low = e.add(e.sub(e.sub(y, high), half), c)
    upper, lower = e.const(LOG2_E_HIGH, f.dtype), e.const(LOG2_E_LOW, f.dtype)
    large = e.mul(high, upper)
    small = e.add(e.mul(e.add(low, high), lower), e.mul(low, upper))
    total = e.add(exponent, large)
    small = e.add(small, e.add(e.sub(exponent, total), large))
    return _special(e, f, x, e.add(total, small))


@widened
def log1p(e: Emitter[S], x: S) -> S:
    """log(1 + x)."""
    f = FORMATS[e.dtype(x)]
    one = e.const(1.0, f.dtype)
    u = e.add(x, one)
    result = _special(e, f, u, log1p_of_positive(e, x))
    tiny = e.lt(e.abs(x), e.const(2.0 ** (-f.mantissa - 2), f.dtype))
    return e.select(tiny, x, result)


def log1p_of_positive(e: Emitter[S], x: S, below_one: bool = False) -> S:
    """log(1 + x) of a finite number above -1, which may be known to be at most 1."""
    f = FORMATS[e.dtype(x)]
    one = e.const(1.0, f.dtype)
    u = e.add(x, one)
    lost = e.sub(x, e.sub(u, one))
    if not below_one:
        lost = e.select(e.lt(x, one), lost, e.sub(one, e.sub(u, x)))
    above, y = _split(e, f, u, e.const(f.sqrt_half_bits, f.integer))
    # 2**-k would be below the normal numbers at the largest k: take twice that
    doubled = e.const((f.bias + 1) << f.mantissa, f.integer)
    field = e.bit_and(above, e.const(-1 << f.mantissa, f.integer))
    scale = e.bitcast(e.sub(doubled, field), f.dtype)
    y = e.fma(e.mul(lost, e.const(0.5, f.dtype)), scale, y)
    return _finish(e, f, _exponent(e, f, above), y)
