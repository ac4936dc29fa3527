"""Inverse trigonometric functions, for float32 and float64.

The arc tangent is reduced by an eighth or a quarter of a turn (with t = (x - 1) / (x + 1) or
t = -1 / x), the arc sine by half an angle. The polynomials are minimax fits computed for this
file.
"""

from __future__ import annotations

import math

from graphc.ir.loops.formats import (
    FORMATS,
    Emitter,
    Format,
    polynomial,
    select_const,
    widened,
    with_sign,
)
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64

# atan t = t + t**3 * P(t**2), |t| <= tan(pi / 8)
ATAN = {
    float32: (-0.33333316445350647, 0.1999853253364563, -0.14244510233402252, 0.10600166022777557,
              -0.06092711538076401),
    float64: (-0.333333333333332, 0.1999999999995382, -0.14285714280224826, 0.1111111078521521,
              -0.09090897818695826, 0.07692061478174994, -0.06663120267044641,
              0.05848019378952645, -0.050399384934169726, 0.03808170615409488,
              -0.01792694367658293),
}  # fmt: skip
# asin s = s + s**3 * P(s**2), |s| <= 1 / 2
ASIN = {
    float32: (0.16666659712791443, 0.07500521093606949, 0.04451363533735275, 0.03183605521917343,
              0.014329187572002411, 0.03767310455441475),
    float64: (0.16666666666666763, 0.0749999999997013, 0.044642857175219014, 0.03038194268048591,
              0.02237221570767937, 0.01735159979183216, 0.013980961700636804,
              0.011397768572396966, 0.010786794686209203, 0.0036805077818203996,
              0.02177479142666015, -0.021102031903371603, 0.03269846481937909),
}  # fmt: skip
EIGHTH = math.tan(math.pi / 8)
# pi / 2 in two parts
HALF_PI = {
    float32: (1.5707963705062866, -4.3711390001862426e-08),
    float64: (1.5707963267948966, 6.123233995736766e-17),
}


@widened
def atan(e: Emitter[S], x: S) -> S:
    """The angle whose tangent is x."""
    f = FORMATS[e.dtype(x)]
    one = e.const(1.0, f.dtype)
    magnitude = e.abs(x)
    inverted = e.lt(one, magnitude)
    top, bottom = e.select(inverted, one, magnitude), e.select(inverted, magnitude, one)
    angle = _first_eighths(e, f, top, bottom)
    return with_sign(e, f, _from_quarter(e, f, angle, inverted), x)


def _first_eighths(e: Emitter[S], f: Format, top: S, bottom: S) -> tuple[S, S]:
    """The angle in [0, pi / 4] whose tangent is top / bottom, as a sum of two numbers."""
    turned = e.lt(e.mul(bottom, e.const(EIGHTH, f.dtype)), top)
    below = e.select(turned, e.add(top, bottom), bottom)
    t = e.div(e.select(turned, e.sub(top, bottom), top), below)
    z = e.mul(t, t)
    rest = e.mul(e.mul(t, z), polynomial(e, z, ATAN[f.dtype]))
    high, low = HALF_PI[f.dtype]
    rest = e.add(rest, select_const(e, turned, low / 2, 0.0, f.dtype))
    base = select_const(e, turned, high / 2, 0.0, f.dtype)
    total = e.add(base, t)
    # what the sum lost; base is 0 or the larger one
    return total, e.add(e.add(e.sub(base, total), t), rest)


def _from_quarter(e: Emitter[S], f: Format, angle: tuple[S, S], inverted: S) -> S:
    """The angle, or a quarter of a turn less it."""
    total, rest = angle
    high, low = (e.const(part, f.dtype) for part in HALF_PI[f.dtype])
    other = e.sub(high, e.sub(e.add(total, rest), low))
    return e.select(inverted, other, e.add(total, rest))


@widened
def atan2(e: Emitter[S], y: S, x: S) -> S:
    """The angle of the point (x, y), from -pi to pi."""
    f = FORMATS[e.dtype(x)]
    a, b = e.abs(x), e.abs(y)
    inverted = e.lt(a, b)
    top, bottom = e.select(inverted, a, b), e.select(inverted, b, a)
    # the sum of two large numbers must not overflow, nor 0 / 0 nor inf / inf be formed
    huge = e.lt(e.const(2.0 ** (f.bias - 2), f.dtype), bottom)
    scale = select_const(e, huge, 0.25, 1.0, f.dtype)
    infinite = e.const(float("inf"), f.dtype)
    top, bottom = e.mul(top, scale), e.mul(bottom, scale)
    one, zero = e.const(1.0, f.dtype), e.const(0.0, f.dtype)
    both = e.eq(top, infinite)
    top = e.select(both, one, top)
    bottom = e.select(e.logical_or(both, e.eq(bottom, zero)), one, bottom)
    angle = _from_quarter(e, f, _first_eighths(e, f, top, bottom), inverted)
    high, low = (e.const(2 * part, f.dtype) for part in HALF_PI[f.dtype])
    left = e.lt(e.bitcast(x, f.integer), e.const(0, f.integer))
    angle = e.select(left, e.sub(high, e.sub(angle, low)), angle)
    unknown = e.logical_or(e.ne(x, x), e.ne(y, y))
    result = with_sign(e, f, angle, y)
    return e.select(unknown, e.add(x, y), result)


def _arc(e: Emitter[S], f: Format, s: S, z: S) -> tuple[S, S]:
    """asin(s) as a sum of two numbers; z is s**2."""
    return s, e.mul(e.mul(s, z), polynomial(e, z, ASIN[f.dtype]))


def _halved(e: Emitter[S], f: Format, magnitude: S) -> tuple[S, S, S]:
    """Whether |x| is above 1/2, the sine of the angle (of half its rest there) and its square."""
    half = e.const(0.5, f.dtype)
    large = e.lt(half, magnitude)
    rest = e.mul(e.sub(e.const(1.0, f.dtype), magnitude), half)
    z = e.select(large, rest, e.mul(magnitude, magnitude))
    return large, e.select(large, e.sqrt(z), magnitude), z


@widened
def asin(e: Emitter[S], x: S) -> S:
    """The angle in [-pi / 2, pi / 2] whose sine is x; NaN outside [-1, 1]."""
    f = FORMATS[e.dtype(x)]
    large, s, z = _halved(e, f, e.abs(x))
    angle, rest = _arc(e, f, s, z)
    high, low = (e.const(part, f.dtype) for part in HALF_PI[f.dtype])
    two = e.const(2.0, f.dtype)
    twice = e.mul(angle, two)
    total = e.sub(high, twice)
    lost = e.sub(e.sub(high, total), twice)  # exact where twice is near to high
    other = e.add(total, e.add(e.sub(low, e.mul(rest, two)), lost))
    return with_sign(e, f, e.select(large, other, e.add(angle, rest)), x)


@widened
def acos(e: Emitter[S], x: S) -> S:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""
    f = FORMATS[e.dtype(x)]
    large, s, z = _halved(e, f, e.abs(x))
    angle, rest = _arc(e, f, s, z)
    high, low = (e.const(part, f.dtype) for part in HALF_PI[f.dtype])
    two, negative = e.const(2.0, f.dtype), e.lt(x, e.const(0.0, f.dtype))
    small = e.mul(e.add(angle, rest), two)
    # pi - 2 asin(s): half of it is rounded like pi / 2 - asin(s)
    left = e.mul(e.add(e.sub(high, angle), e.sub(low, rest)), two)
    signed = with_sign(e, f, angle, x), with_sign(e, f, rest, x)
    total = e.sub(high, signed[0])
    lost = e.sub(e.sub(high, total), signed[0])
    middle = e.add(total, e.add(e.sub(low, signed[1]), lost))
    return e.select(large, e.select(negative, left, small), middle)
