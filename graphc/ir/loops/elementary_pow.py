"""Powers: float32 through float64, float64 through pairs of float64, integers by squaring.

Floats follow C99's pow in all special cases.
"""

from __future__ import annotations

from graphc.ir.loops.elementary_exp import EXP, EXP_RANGE, LOG2_E
from graphc.ir.loops.elementary_log import split_positive
from graphc.ir.loops.formats import (
    FORMATS,
    Emitter,
    Format,
    clamp,
    exponent_field,
    polynomial,
    power_of_two,
    round_product,
)
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64, int64

# log2(1 + f) = s * P(s**2), s = f / (2 + f), to 2**-37
LOG2_S = (
    2.885390081790099, 0.9617966733249362, 0.5770835883876146, 0.41167250247698495,
    0.3407343036056444,
)  # fmt: skip
# 2**r, |r| <= 1/2, to 2**-29
EXP2_SHORT = (
    1.0000000005559337, 0.6931472057970411, 0.24022646881520532, 0.05550328646605783,
    0.009618489531984277, 0.0013399984041139064, 0.00015345765896752992,
)  # fmt: skip
# beyond, the results of float32 are 0 or infinite
SHORT_END = 200.0
# log(1 + f) = 2 s + 2/3 s**3 + s**5 * P(s**2), to 2**-66
LOG_TAIL = (
    0.4000000000000226, 0.2857142857009751, 0.22222222520298482, 0.18181784333564688,
    0.1538675890912599, 0.13256780260767498, 0.1319668344288527,
)  # fmt: skip
# ln 2 and 2/3 in two parts; 1024 * LN2_HIGH is exact
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
TWO_THIRDS_HIGH, TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17

Pair = tuple[S, S]


def pow(e: Emitter[S], x: S, y: S) -> S:
    """x**y."""
    dtype = e.dtype(x)
    if not dtype.is_float:
        return _integer_pow(e, x, y)
    if dtype == float64:
        return _special(e, x, y, _long_pow(e, e.abs(x), y))
    if dtype != float32:
        return e.cast(pow(e, e.cast(x, float32), e.cast(y, float32)), dtype)
    wide = _short_pow(e, e.cast(e.abs(x), float64), e.cast(y, float64))
    return _special(e, x, y, e.cast(wide, float32))


def _integer_pow(e: Emitter[S], x: S, y: S) -> S:
    """Multiply the squares that the bits of y name; 1 / x**-y, truncated, where y < 0."""
    dtype = e.dtype(x)
    one, zero = e.const(1, dtype), e.const(0, dtype)
    result, square, rest = one, x, y
    for step in range(dtype.bits - (dtype.kind == "i")):
        if step:
            square = e.mul(square, square)
            rest = e.shr(rest, one)
        bit = e.ne(e.bit_and(rest, one), zero)
        result = e.mul(result, e.select(bit, square, one))
    if dtype.kind == "u":
        return result
    sign = e.select(e.ne(e.bit_and(y, one), zero), x, one)
    unit = e.eq(e.mul(x, x), one)
    unit = e.logical_and(unit, e.logical_or(e.eq(x, one), e.eq(x, e.const(-1, dtype))))
    return e.select(e.lt(y, zero), e.select(unit, sign, zero), result)


def _special(e: Emitter[S], x: S, y: S, power: S) -> S:
    """Turn |x|**y into x**y."""
    dtype = e.dtype(x)
    f = FORMATS[dtype]
    zero, one, half = (e.const(v, dtype) for v in (0.0, 1.0, 0.5))
    power = e.select(e.logical_or(e.eq(x, one), e.eq(y, zero)), one, power)
    halved = e.mul(y, half)
    fractional = e.ne(e.floor(y), y)
    odd = e.logical_and(e.logical_not(fractional), e.ne(e.floor(halved), halved))
    infinite = e.const(float("-inf"), dtype)
    undefined = e.logical_and(fractional, e.logical_and(e.lt(x, zero), e.ne(x, infinite)))
    undefined = e.logical_and(undefined, e.eq(y, y))
    power = e.select(undefined, e.const(float("nan"), dtype), power)
    sign = e.bit_and(e.bitcast(x, f.integer), e.const(f.sign_bit, f.integer))
    sign = e.select(odd, sign, e.const(0, f.integer))
    return e.bitcast(e.bit_xor(e.bitcast(power, f.integer), sign), dtype)


def _outside(e: Emitter[S], x: S, logarithm: S) -> S:
    """Put in the logarithms of 0, infinity and NaN."""
    infinity = e.const(float("inf"), float64)
    logarithm = e.select(e.lt(x, infinity), logarithm, x)
    return e.select(e.eq(x, e.const(0.0, float64)), e.neg(infinity), logarithm)


def _short_pow(e: Emitter[S], x: S, y: S) -> S:
    """x**y of float64 that were float32, x >= 0, with a relative error of 2**-28."""
    f = FORMATS[float64]
    exponent, y1 = split_positive(e, f, x)
    s = e.div(y1, e.add(y1, e.const(2.0, float64)))
    logarithm = e.fma(s, polynomial(e, e.mul(s, s), LOG2_S), exponent)
    product = e.mul(y, _outside(e, x, logarithm))
    unit = e.logical_and(e.eq(x, e.const(1.0, float64)), e.eq(y, y))
    product = e.select(unit, e.const(0.0, float64), product)
    product = clamp(e, product, -SHORT_END, SHORT_END)
    n, bits = round_product(e, f, product, 1.0)
    power = polynomial(e, e.sub(product, n), EXP2_SHORT)
    return e.mul(power, power_of_two(e, f, bits, exponent_field(e, f, 0)))


def _product(e: Emitter[S], x: S, y: S) -> Pair[S]:
    """Return x * y rounded and the error (Dekker, 1971), the halves cut off by a mask."""
    product = e.mul(x, y)
    (xh, xl), (yh, yl) = _halves(e, x), _halves(e, y)
    error = e.sub(e.mul(xh, yh), product)
    error = e.add(e.add(error, e.mul(xh, yl)), e.mul(xl, yh))
    return product, e.add(error, e.mul(xl, yl))


def _halves(e: Emitter[S], x: S) -> Pair[S]:
    high = e.bitcast(e.bit_and(e.bitcast(x, int64), e.const(-(2**27), int64)), float64)
    return high, e.sub(x, high)


def _sum(e: Emitter[S], x: S, y: S) -> Pair[S]:
    """Return x + y rounded and the error, where x is 0 or at least as large as y."""
    total = e.add(x, y)
    return total, e.add(e.sub(x, total), y)


def _long_log(e: Emitter[S], f: Format, x: S) -> Pair[S]:
    """Return log(x), x > 0, as a pair with a relative error of 2**-65."""
    k, y = split_positive(e, f, x)
    two = e.const(2.0, float64)
    below = e.add(y, two)
    below_low = e.sub(y, e.sub(below, two))
    s = e.div(y, below)
    p, error = _product(e, s, below)
    s_low = e.div(e.sub(e.sub(e.sub(y, p), error), e.mul(s, below_low)), below)
    z, z_low = _product(e, s, s)
    z_low = e.add(z_low, e.mul(two, e.mul(s, s_low)))
    cube, cube_low = _product(e, z, s)
    cube_low = e.add(cube_low, e.add(e.mul(z, s_low), e.mul(z_low, s)))
    third = e.const(TWO_THIRDS_HIGH, float64)
    q, q_low = _product(e, cube, third)
    q_low = e.add(q_low, e.mul(cube, e.const(TWO_THIRDS_LOW, float64)))
    q_low = e.add(q_low, e.mul(cube_low, third))
    tail = e.mul(e.mul(cube, z), polynomial(e, z, LOG_TAIL))
    high, low = _sum(e, e.mul(two, s), q)
    low = e.add(low, e.add(e.add(e.mul(two, s_low), q_low), tail))
    whole, rest = _sum(e, e.mul(k, e.const(LN2_HIGH, float64)), high)
    rest = e.add(e.add(rest, low), e.mul(k, e.const(LN2_LOW, float64)))
    return _sum(e, whole, rest)


def _long_pow(e: Emitter[S], x: S, y: S) -> S:
    """x**y of float64, x >= 0, within 1 unit of the last place."""
    f = FORMATS[float64]
    zero = e.const(0.0, float64)
    high, low = _long_log(e, f, x)
    plain = e.logical_and(e.lt(zero, x), e.lt(x, e.const(float("inf"), float64)))
    p, p_low = _product(e, y, _outside(e, x, high))
    p_low = e.add(p_low, e.mul(y, low))
    unit = e.logical_and(e.eq(x, e.const(1.0, float64)), e.eq(y, y))
    near = e.lt(e.abs(p), e.const(-EXP_RANGE[float64][0], float64))
    p = e.select(unit, zero, p)
    p_low = e.select(e.logical_and(plain, near), p_low, zero)
    p = clamp(e, p, *EXP_RANGE[float64])
    n, bits = round_product(e, f, p, LOG2_E)
    exact = e.fma(n, e.const(-LN2_HIGH, float64), p)
    away = e.mul(n, e.const(LN2_LOW, float64))
    r = e.sub(exact, away)
    lost = e.add(e.sub(e.sub(exact, r), away), p_low)
    one = e.const(1.0, float64)
    tail = e.mul(e.mul(r, r), polynomial(e, r, EXP[float64]))
    tail = e.add(tail, e.mul(lost, e.add(one, e.add(r, tail))))
    power = e.add(one, e.add(r, tail))
    return e.apply("times_power", power, n, bits)
