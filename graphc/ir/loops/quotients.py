"""Floor division and its remainder, which has the sign of the divisor (as in Python)."""

from __future__ import annotations

from graphc.ir.loops.formats import FORMATS, Emitter, with_sign
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64, int64

# A float32 quotient is taken off in digits of 2**DIGIT: DIGITS of them span all exponents.
DIGIT, DIGITS = 28, 10
# float64 quotients are exact up to 2**(LONG_DIGIT * LONG_DIGITS)
LONG_DIGIT, LONG_DIGITS = 25, 4


def floor_div(e: Emitter[S], x: S, y: S) -> S:
    """The quotient rounded down; integers: 0 for division by zero."""
    return _divide(e, x, y)[0]


def remainder(e: Emitter[S], x: S, y: S) -> S:
    """x - floor_div(x, y) * y, with the sign of y; integers: 0 for division by zero."""
    return _divide(e, x, y)[1]


def _divide(e: Emitter[S], x: S, y: S) -> tuple[S, S]:
    dtype = e.dtype(x)
    if not dtype.is_float:
        return _divide_integers(e, x, y)
    if dtype == float64:
        return _divide_floats(e, x, y)
    if dtype == float32:
        quotient, rest = _divide_floats(e, e.cast(x, float64), e.cast(y, float64), narrow=True)
    else:
        quotient, rest = _divide(e, e.cast(x, float32), e.cast(y, float32))
    return e.cast(quotient, dtype), e.cast(rest, dtype)


def _divide_integers(e: Emitter[S], x: S, y: S) -> tuple[S, S]:
    dtype = e.dtype(x)
    zero, one = e.const(0, dtype), e.const(1, dtype)
    by_zero = e.eq(y, zero)
    if dtype.kind == "u":
        divisor = e.select(by_zero, one, y)
        quotient, rest = e.div(x, divisor), e.rem(x, divisor)
        return e.select(by_zero, zero, quotient), e.select(by_zero, zero, rest)
    # the least integer divided by -1 overflows: negate instead
    minus = e.eq(y, e.const(-1, dtype))
    divisor = e.select(e.logical_or(by_zero, minus), one, y)
    quotient, rest = e.div(x, divisor), e.rem(x, divisor)
    differ = e.lt(e.bit_xor(rest, divisor), zero)
    down = e.logical_and(e.ne(rest, zero), differ)
    quotient = e.select(down, e.sub(quotient, one), quotient)
    rest = e.select(down, e.add(rest, divisor), rest)
    quotient = e.select(minus, e.neg(x), quotient)
    return e.select(by_zero, zero, quotient), e.select(by_zero, zero, rest)


def _divide_floats(e: Emitter[S], x: S, y: S, narrow: bool = False) -> tuple[S, S]:
    """Divide float64; `narrow` says that both were float32. Special cases are numpy's."""
    f = FORMATS[float64]
    zero, one = e.const(0.0, float64), e.const(1.0, float64)
    infinite = e.eq(e.abs(y), e.const(float("inf"), float64))
    divisor = e.select(infinite, one, e.abs(y))
    rest = (_narrow_rest if narrow else _long_rest)(e, e.abs(x), divisor)
    rest = e.select(e.lt(rest, zero), e.add(rest, divisor), rest)
    rest = e.select(infinite, e.mul(e.abs(x), one), rest)
    differ = e.lt(e.mul(with_sign(e, f, one, x), with_sign(e, f, one, y)), zero)
    down = e.logical_and(differ, e.ne(rest, zero))
    ratio = e.div(x, y)
    quotient = e.rint(e.div(e.sub(x, with_sign(e, f, rest, x)), y))
    quotient = e.select(down, e.sub(quotient, one), quotient)
    quotient = e.select(e.eq(quotient, zero), with_sign(e, f, zero, ratio), quotient)
    quotient = e.select(e.eq(y, zero), ratio, quotient)
    rest = e.select(down, e.sub(e.abs(y), rest), rest)
    # NaN, and an infinite dividend, have no remainder
    finite = e.eq(e.sub(x, x), zero)
    defined = e.logical_and(e.logical_and(finite, e.eq(y, y)), e.ne(y, zero))
    nan = e.const(float("nan"), float64)
    quotient = e.select(e.logical_or(finite, e.eq(y, zero)), quotient, nan)
    return quotient, e.select(defined, with_sign(e, f, rest, y), nan)


def _narrow_rest(e: Emitter[S], rest: S, divisor: S) -> S:
    """Return rest modulo the divisor, or that minus the divisor; every product is exact."""
    inverse = e.div(e.const(1.0, float64), divisor)
    for k in reversed(range(DIGITS)):
        scale = 2.0 ** (DIGIT * k)
        digit = e.trunc(e.mul(rest, e.mul(inverse, e.const(1 / scale, float64))))
        rest = e.sub(rest, e.mul(digit, e.mul(divisor, e.const(scale, float64))))
    return rest


def _long_rest(e: Emitter[S], rest: S, divisor: S) -> S:
    """Do the same for float64: the divisor's halves make exact products."""
    zero, infinity = e.const(0.0, float64), e.const(float("inf"), float64)
    for k in reversed(range(LONG_DIGITS)):
        scaled = e.mul(divisor, e.const(2.0 ** (LONG_DIGIT * k), float64))
        digit = e.trunc(e.div(rest, scaled))
        digit = e.select(e.lt(scaled, infinity), digit, zero)
        scaled = e.select(e.lt(scaled, infinity), scaled, zero)
        high = e.bitcast(e.bit_and(e.bitcast(scaled, int64), e.const(-(2**27), int64)), float64)
        most, least = e.mul(digit, high), e.mul(digit, e.sub(scaled, high))
        reduced = e.sub(rest, most)
        part = e.sub(reduced, rest)
        error = e.sub(e.sub(rest, e.sub(reduced, part)), e.add(most, part))
        rest = e.add(e.sub(reduced, least), error)
    return e.select(e.lt(e.abs(rest), divisor), rest, zero)
