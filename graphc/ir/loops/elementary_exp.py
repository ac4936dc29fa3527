"""Exponentials and what is made of them, for float32 and float64.

The polynomials are minimax fits on the reduced range, computed for this file with the Remez
algorithm and rounded to the format. Errors are the largest seen over all exponents and random
mantissas, in units of the last place, with fma and (in brackets) without.
"""

from __future__ import annotations

from graphc.ir.loops.elementary_log import log1p_of_positive
from graphc.ir.loops.formats import (
    FORMATS,
    Emitter,
    Format,
    clamp,
    exponent_field,
    polynomial,
    power_of_two,
    round_product,
    select_const,
    widened,
    with_sign,
)
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64

LOG2_E = 1.4426950408889634

# exp(r) = 1 + r + r**2 * P(r), |r| <= ln(2) / 2
EXP = {
    float32: (0.4999999403953552, 0.1666652113199234, 0.04166833311319351, 0.00836870539933443,
              0.001381447073072195),
    float64: (0.5000000000000006, 0.1666666666666667, 0.04166666666657275, 0.008333333333326184,
              0.0013888888932623252, 0.00019841269874641335, 2.4801504178394958e-05,
              2.755725562384809e-06, 2.7626426600616357e-07, 2.5105127741092624e-08),
}  # fmt: skip

# the same, for a small relative error of exp(r) - 1
EXPM1 = {
    float32: (0.5, 0.1666666567325592, 0.04166639596223831, 0.008333354257047176,
              0.0013941237702965736, 0.00019899426843039691),
    float64: (0.5000000000000001, 0.1666666666666667, 0.04166666666665436, 0.008333333333327206,
              0.0013888888894902775, 0.00019841269871324207, 2.4801575396525597e-05,
              2.7557259570146284e-06, 2.756756143702896e-07, 2.510357488283833e-08,
              1.7702028325522773e-09),
}  # fmt: skip

# 2**r = 1 + r * P(r), |r| <= 1/2
EXP2 = {
    float32: (0.6931471824645996, 0.24022646248340607, 0.055503420531749725, 0.009618493728339672,
              0.0013398996088653803, 0.00015353407070506364),
    float64: (0.6931471805599453, 0.24022650695910117, 0.05550410866482133, 0.009618129107599833,
              0.0013333558146492244, 0.00015403530450069672, 1.5252733748533523e-05,
              1.3215438720563466e-06, 1.0178099218871047e-07, 7.0732040749302745e-09,
              4.4490695736735664e-10),
}  # fmt: skip

# (exp(2 r) - 1) / 2 = r + r**2 * P(r), |r| <= ln(2) / 4
HALF_EXPM1 = {
    float32: (1.0, 0.6666617393493652, 0.33333081007003784, 0.1338655948638916,
              0.044629015028476715),
    float64: (1.000000000000001, 0.6666666666666669, 0.3333333333325821, 0.13333333333321834,
              0.044444444584393075, 0.012698412719834684, 0.00317459253485053,
              0.0007054657416031006, 0.00014144730448059447, 2.5707679880385727e-05),
}  # fmt: skip

EXP_RANGE = {float32: (-104.0, 89.0), float64: (-746.0, 710.0)}
EXP2_RANGE = {float32: (-151.0, 129.0), float64: (-1076.0, 1025.0)}
# outside, exp(x) - 1 is -1, or overflows
EXPM1_RANGE = {float32: (-18.0, 89.0), float64: (-40.0, 710.0)}
# beyond, tanh is 1; and 1 - sigmoid is nothing
TANH_END = {float32: 9.25, float64: 19.25}
SIGMOID_RANGE = {float32: (-105.0, 20.0), float64: (-747.0, 40.0)}


def _reduce(e: Emitter[S], f: Format, x: S, parts: float = 1.0) -> tuple[S, S, S]:
    """Return r = x - n * ln(2) / parts, n, and an integer with n in its low bits."""
    n, bits = round_product(e, f, x, LOG2_E * parts)
    r = e.fma(n, e.const(-f.ln2_high / parts, f.dtype), x)
    return e.fma(n, e.const(-f.ln2_low / parts, f.dtype), r), n, bits


def times_power(e: Emitter[S], y: S, n: S, bits: S) -> S:
    """y * 2**n, rounded once, through infinity and the subnormal numbers, for y in [1/2, 2].

    n is an integer as a float, within the exponents of the format; `bits` has it in its low bits.
    """
    f = FORMATS[e.dtype(y)]
    negative = e.lt(n, e.const(0.0, f.dtype))
    offset = e.select(negative, exponent_field(e, f, f.stride), exponent_field(e, f, -1))
    scaled = e.mul(y, power_of_two(e, f, bits, offset))
    return e.mul(scaled, select_const(e, negative, 2.0**-f.stride, 2.0, f.dtype))


def _reduced_exp(e: Emitter[S], f: Format, r: S) -> S:
    tail = e.fma(polynomial(e, r, EXP[f.dtype]), e.mul(r, r), r)
    return e.add(tail, e.const(1.0, f.dtype))


@widened
def exp(e: Emitter[S], x: S) -> S:
    """e**x."""
    f = FORMATS[e.dtype(x)]
    x = clamp(e, x, *EXP_RANGE[f.dtype])
    r, n, bits = _reduce(e, f, x)
    return e.apply("times_power", _reduced_exp(e, f, r), n, bits)


@widened
def exp2(e: Emitter[S], x: S) -> S:
    """2**x; exact for integers."""
    f = FORMATS[e.dtype(x)]
    x = clamp(e, x, *EXP2_RANGE[f.dtype])
    n, bits = round_product(e, f, x, 1.0)
    r = e.sub(x, n)
    y = e.fma(polynomial(e, r, EXP2[f.dtype]), r, e.const(1.0, f.dtype))
    return e.apply("times_power", y, n, bits)


def reduced_expm1(e: Emitter[S], f: Format, x: S) -> S:
    """e**x - 1 where that is finite and not -1."""
    r, _, bits = _reduce(e, f, x)
    p = e.fma(polynomial(e, r, EXPM1[f.dtype]), e.mul(r, r), r)
    # half of 2**n, which is finite where the result is
    half = power_of_two(e, f, bits, exponent_field(e, f, -1))
    y = e.fma(half, p, e.sub(half, e.const(0.5, f.dtype)))
    return e.add(y, y)


@widened
def expm1(e: Emitter[S], x: S) -> S:
    """e**x - 1."""
    f = FORMATS[e.dtype(x)]
    y = reduced_expm1(e, f, clamp(e, x, *EXPM1_RANGE[f.dtype]))
    tiny = e.lt(e.abs(x), e.const(2.0 ** (-f.mantissa - 2), f.dtype))
    return e.select(tiny, x, y)


@widened
def tanh(e: Emitter[S], x: S) -> S:
    """(E - 1) / (E + 1) where E = e**(2 |x|) = 2**n * (1 + 2 p), divided by 2**(n + 1)."""
    f = FORMATS[e.dtype(x)]
    magnitude = e.abs(x)
    end = e.const(TANH_END[f.dtype], f.dtype)
    magnitude = e.select(e.lt(end, magnitude), end, magnitude)
    r, _, bits = _reduce(e, f, magnitude, parts=2.0)
    p = e.fma(polynomial(e, r, HALF_EXPM1[f.dtype]), e.mul(r, r), r)
    field = e.shl(bits, e.const(f.mantissa, f.integer))
    inverse = e.bitcast(e.sub(exponent_field(e, f, 0), field), f.dtype)
    half = e.const(0.5, f.dtype)
    above = e.add(p, e.fma(inverse, e.neg(half), half))
    return with_sign(e, f, e.div(above, e.add(above, inverse)), x)


@widened
def sigmoid(e: Emitter[S], x: S) -> S:
    """1 / (1 + e**-x) = 2**-n / (2**-n + y) where e**-x = 2**n * y."""
    f = FORMATS[e.dtype(x)]
    x = clamp(e, x, *SIGMOID_RANGE[f.dtype])
    r, _, bits = _reduce(e, f, e.neg(x))
    y = _reduced_exp(e, f, r)
    # 2**-n can be below the normal numbers: make it larger by 2**half
    half = f.stride // 2
    field = e.shl(bits, e.const(f.mantissa, f.integer))
    above = e.bitcast(e.sub(exponent_field(e, f, half), field), f.dtype)
    scale = e.const(2.0**-half, f.dtype)
    return e.mul(e.div(above, e.add(e.mul(above, scale), y)), scale)


@widened
def softplus(e: Emitter[S], x: S) -> S:
    """log(1 + e**x) = max(x, 0) + log1p(e**-|x|)."""
    f = FORMATS[e.dtype(x)]
    zero, low = e.const(0.0, f.dtype), e.const(EXP_RANGE[f.dtype][0], f.dtype)
    below = e.neg(e.abs(x))
    below = e.select(e.lt(below, low), low, below)
    r, _, bits = _reduce(e, f, below)
    raised = power_of_two(e, f, bits, exponent_field(e, f, f.stride))
    y = e.mul(e.mul(_reduced_exp(e, f, r), raised), e.const(2.0**-f.stride, f.dtype))
    return e.add(e.select(e.lt(x, zero), zero, x), log1p_of_positive(e, y, below_one=True))
