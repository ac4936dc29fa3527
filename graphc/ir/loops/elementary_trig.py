"""Sine, cosine and the error function, for float32 and float64.

`elementary_angle` reduces angles to an eighth of a turn. The polynomials are minimax fits computed
for this file.
"""

from __future__ import annotations

from graphc.ir.loops.elementary_angle import Angle, far_angle, is_far, near_angle
from graphc.ir.loops.elementary_exp import exp, reduced_expm1
from graphc.ir.loops.formats import (
    FORMATS,
    Emitter,
    clamp,
    polynomial,
    widened,
    with_sign,
)
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64

# sin x = x + x**3 * P(x**2), cos x = 1 - x**2 / 2 + x**4 * P(x**2), |x| <= pi / 4
SIN = {
    float32: (-0.16666655242443085, 0.008332183584570885, -0.00019517019973136485),
    float64: (-0.1666666666666664, 0.00833333333332465, -0.00019841269831479932,
              2.755731424164029e-06, -2.5050840422805676e-08, 1.590138647455504e-10),
}  # fmt: skip
COS = {
    float32: (0.04166664555668831, -0.0013887343229725957, 2.4438108084723353e-05),
    float64: (0.04166666666666663, -0.0013888888888878399, 2.4801587291503276e-05,
              -2.7557314794757963e-07, 2.0875768864833412e-09, -1.1361431188365991e-11),
}  # fmt: skip

# erf x = 1 - exp(-x - x P(x)), 0 <= x <= ERF_END, where float32's erf is 1
ERF_END = 3.93
ERF = (
    0.12837916612625122, 0.6366193890571594, 0.10277783125638962, -0.019153064116835594,
    -0.00016039468755479902, 0.001667026081122458, -0.0006328360759653151,
    0.00011764105875045061, -9.256241355615202e-06,
)  # fmt: skip
# erf x = x + x * P(x**2), |x| <= 1, and erf x = 1 - exp(-P(x - ERF_CENTRE)), 1 <= x <= ERF_LAST
ERF_SMALL = (
    0.1283791670955126, -0.3761263890318375, 0.11283791670954882, -0.02686617064507777,
    0.005223977624829659, -0.0008548326981727513, 0.00012055331155848396, -1.492559665788034e-05,
    1.6461028449527009e-06, -1.6350670108799604e-07, 1.466258365467372e-08,
    -1.1385217895320503e-09, 5.980548789491044e-11,
)  # fmt: skip
ERF_CENTRE, ERF_LAST = 1.75, 5.95
ERF_LARGE = (
    4.317863525433222, 3.959610900813415, 0.9099401664967349, 0.02053884038164268,
    -0.0046249304988303834, 0.0009640986491057258, -0.0001745230648837837, 2.37414616180401e-05,
    -8.275181598348782e-07, -8.908508942038503e-07, 4.0192565565140557e-07,
    -1.131395373321377e-07, 2.3082614240159905e-08, -2.79883739422489e-09,
    -2.478971654149102e-10, 2.803318253848984e-10, -1.0234130599090366e-10,
    2.532947621863806e-11, -4.501606816300563e-12, 5.501723570721654e-13,
    -4.125152568131256e-14, 1.4235822809288677e-15,
)  # fmt: skip


def _quarter_turns(e: Emitter[S], x: S, r: S, lost: S | None, quarter: S) -> S:
    """Return sin(r + lost + quarter * pi / 2)."""
    f = FORMATS[e.dtype(x)]
    z = e.mul(r, r)
    sine = e.mul(e.mul(z, r), polynomial(e, z, SIN[f.dtype]))
    half, one = e.const(0.5, f.dtype), e.const(1.0, f.dtype)
    drop = e.mul(z, half)
    cosine = e.sub(one, drop)
    # what was lost in 1 - z/2, then the rest
    rest = e.sub(e.sub(one, cosine), drop)
    if lost is not None:
        sine = e.fma(lost, cosine, sine)
        rest = e.sub(rest, e.mul(r, lost))
    sine = e.add(sine, r)
    cosine = e.add(cosine, e.fma(e.mul(z, z), polynomial(e, z, COS[f.dtype]), rest))
    one_bit, two_bit = e.const(1, f.integer), e.const(2, f.integer)
    odd = e.ne(e.bit_and(quarter, one_bit), e.const(0, f.integer))
    value = e.bitcast(e.select(odd, cosine, sine), f.integer)
    sign = e.shl(e.bit_and(quarter, two_bit), e.const(f.integer.bits - 2, f.integer))
    return e.bitcast(e.bit_xor(value, sign), f.dtype)


@widened
def sin(e: Emitter[S], x: S) -> S:
    """The sine of an angle in radians."""
    return e.select_unlikely(is_far(e, x), "far_sin", x, near_sin(e, x))


@widened
def cos(e: Emitter[S], x: S) -> S:
    """The cosine of an angle in radians."""
    return e.select_unlikely(is_far(e, x), "far_cos", x, near_cos(e, x))


def near_sin(e: Emitter[S], x: S) -> S:
    """The sine of an angle up to TRIGONOMETRIC_LIMIT."""
    return _odd(e, x, _quarter_turns(e, x, *near_angle(e, x)))


def near_cos(e: Emitter[S], x: S) -> S:
    """The cosine of an angle up to TRIGONOMETRIC_LIMIT."""
    return _quarter_turns(e, x, *_next_quarter(e, near_angle(e, x)))


def far_sin(e: Emitter[S], x: S) -> S:
    """The sine of an angle beyond TRIGONOMETRIC_LIMIT."""
    return _odd(e, x, _quarter_turns(e, x, *far_angle(e, x)))


def far_cos(e: Emitter[S], x: S) -> S:
    """The cosine of an angle beyond TRIGONOMETRIC_LIMIT."""
    return _quarter_turns(e, x, *_next_quarter(e, far_angle(e, x)))


def _odd(e: Emitter[S], x: S, value: S) -> S:
    """The value of an odd function of x, from that of |x|."""
    f = FORMATS[e.dtype(x)]
    sign = e.bit_and(e.bitcast(x, f.integer), e.const(f.sign_bit, f.integer))
    return e.bitcast(e.bit_xor(e.bitcast(value, f.integer), sign), f.dtype)


def _next_quarter(e: Emitter[S], angle: Angle[S]) -> Angle[S]:
    r, lost, quarter = angle
    return r, lost, e.add(quarter, e.const(1, e.dtype(quarter)))


@widened
def erf(e: Emitter[S], x: S) -> S:
    """The error function."""
    if e.dtype(x) == float32:
        f = FORMATS[float32]
        end = e.const(ERF_END, float32)
        magnitude = e.abs(x)
        magnitude = e.select(e.lt(end, magnitude), end, magnitude)
        exponent = e.fma(magnitude, polynomial(e, magnitude, ERF), magnitude)
        below = reduced_expm1(e, f, e.neg(exponent))
        return with_sign(e, f, e.sub(e.const(0.0, float32), below), x)
    f = FORMATS[float64]
    one = e.const(1.0, f.dtype)
    magnitude = e.abs(x)
    small = e.fma(x, polynomial(e, e.mul(x, x), ERF_SMALL), x)
    limited = clamp(e, magnitude, 1.0, ERF_LAST)
    shifted = e.sub(limited, e.const(ERF_CENTRE, f.dtype))
    large = e.sub(one, exp(e, e.neg(polynomial(e, shifted, ERF_LARGE))))
    return e.select(e.lt(magnitude, one), small, with_sign(e, f, large, x))
