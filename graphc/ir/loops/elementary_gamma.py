"""The logarithm of the gamma function and its derivatives, in float64 for every dtype.

Small arguments are moved up by the recurrence, large ones use Stirling's series, negative ones
the reflection. The polynomial is a minimax fit computed for this file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc.ir.loops.elementary_log import log
from graphc.ir.loops.elementary_trig import near_cos, near_sin
from graphc.ir.loops.formats import Emitter, polynomial
from graphc.ir.loops.scalar import S
from graphc.ir.types import float64

STIRLING_FROM = 8  # from here on Stirling's series is exact
# log gamma(x) = (x - 1) (x - 2) P(x - 3/2), 1 <= x <= 2
LOG_GAMMA = (
    0.4831289505409809, -0.14595989591430608, 0.06291140107456437, -0.03130848750100938,
    0.016797098631275986, -0.009425622448635443, 0.005446457839032174, -0.0032120740693579973,
    0.0019229163152419118, -0.0011644146798752983, 0.0007115190307811056, -0.0004379918263792898,
    0.00027131407354389004, -0.00016892808585012976, 0.00010535323557662805,
    -6.608808561422436e-05, 4.303411954169227e-05, -2.7371169302656095e-05,
    1.3173875781075724e-05, -8.053317294615033e-06, 1.214974058129445e-05,
    -7.990867951105292e-06,
)  # fmt: skip
# Bernoulli's numbers B(2 k)
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138,
)  # fmt: skip
STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, 1))
DIGAMMA = tuple(b / (2 * k) for k, b in enumerate(BERNOULLI, 1))


def in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute every float dtype in float64."""

    def apply(e: Emitter[S], x: S) -> S:
        return e.cast(function(e, e.cast(x, float64)), e.dtype(x))

    apply.__name__, apply.__doc__ = function.__name__, function.__doc__
    return apply


def _number(e: Emitter[S], value: float) -> S:
    return e.const(value, float64)


def _pole_distance(e: Emitter[S], x: S) -> tuple[S, S]:
    """pi times the distance to the nearest whole number, and whether x is one."""
    rest = e.sub(x, e.rint(x))
    return e.mul(rest, _number(e, math.pi)), e.eq(rest, _number(e, 0.0))


@in_double
def lgamma(e: Emitter[S], x: S) -> S:
    """log |gamma(x)|; infinite at 0 and at negative whole numbers."""
    zero, infinite = _number(e, 0.0), _number(e, float("inf"))
    magnitude = e.abs(x)
    value = _positive_lgamma(e, magnitude)
    angle, whole = _pole_distance(e, x)
    # gamma(x) gamma(-x) = -pi / (x sin(pi x))
    area = e.mul(magnitude, e.abs(near_sin(e, angle)))
    reflected = e.sub(_number(e, math.log(math.pi)), e.add(log(e, area), value))
    # near 0 it is -log |x| on both sides, and the area may be too small for a number
    reflected = e.select(e.lt(magnitude, _number(e, 2.0**-60)), value, reflected)
    reflected = e.select(whole, infinite, reflected)
    reflected = e.select(e.eq(magnitude, infinite), infinite, reflected)
    result = e.select(e.lt(x, zero), reflected, value)
    return e.select(e.eq(x, zero), infinite, result)


def _positive_lgamma(e: Emitter[S], x: S) -> S:
    one, two, half = (_number(e, v) for v in (1.0, 2.0, 0.5))
    y, factor = x, one
    for _ in range(2, STIRLING_FROM):
        above = e.le(two, y)
        y = e.select(above, e.sub(y, one), y)
        factor = e.select(above, e.mul(factor, y), factor)
    below = e.lt(x, one)
    # below 1 it is log gamma(x + 1) - log x, without the rounding of x + 1
    left, right = e.select(below, x, e.sub(y, one)), e.select(below, e.sub(x, one), e.sub(y, two))
    place = e.sub(e.select(below, x, y), e.select(below, half, _number(e, 1.5)))
    small = e.mul(e.mul(left, right), polynomial(e, place, LOG_GAMMA))
    large = e.le(_number(e, STIRLING_FROM), x)
    logarithm = log(e, e.select(e.logical_or(large, below), x, factor))
    small = e.add(small, e.select(below, e.neg(logarithm), logarithm))
    inverse = e.div(one, x)
    series = e.mul(inverse, polynomial(e, e.mul(inverse, inverse), STIRLING))
    rest = e.add(series, _number(e, 0.5 * math.log(2.0 * math.pi) - 0.5))
    stirling = e.add(e.mul(e.sub(x, half), e.sub(logarithm, one)), rest)
    return e.select(large, stirling, small)


@in_double
def digamma(e: Emitter[S], x: S) -> S:
    """The derivative of log gamma; infinite at 0, NaN at negative whole numbers."""
    zero, one = _number(e, 0.0), _number(e, 1.0)
    # psi(x) = psi(1 - x) - pi / tan(pi x)
    reflects = e.le(x, zero)
    z, total = e.select(reflects, e.sub(one, x), x), zero
    for _ in range(STIRLING_FROM):
        small = e.lt(z, _number(e, STIRLING_FROM))
        total = e.select(small, e.add(total, e.div(one, z)), total)
        z = e.select(small, e.add(z, one), z)
    inverse = e.div(one, z)
    square = e.mul(inverse, inverse)
    series = e.mul(square, polynomial(e, square, DIGAMMA))
    rest = e.add(e.mul(inverse, _number(e, 0.5)), series)
    value = e.sub(e.sub(log(e, z), rest), total)
    angle, whole = _pole_distance(e, x)
    pole = e.logical_and(whole, e.ne(x, zero))
    turned = e.mul(e.div(near_cos(e, angle), near_sin(e, angle)), _number(e, math.pi))
    turned = e.select(pole, _number(e, float("nan")), turned)
    turned = e.select(e.eq(x, zero), e.div(one, x), turned)
    return e.select(reflects, e.sub(value, turned), value)


def polygamma(e: Emitter[S], order: int, x: S) -> S:
    """The order-th derivative of digamma: (-1)**(order + 1) order! zeta(order + 1, x).

    For x <= 0 the first one is reflected; the others are NaN there.
    """
    dtype, x = e.dtype(x), e.cast(x, float64)
    zero, one = _number(e, 0.0), _number(e, 1.0)
    reflects = e.le(x, zero)
    z = e.select(reflects, e.sub(one, x), x) if order == 1 else x
    sign = 1.0 if order % 2 else -1.0
    value = e.mul(_zeta(e, order + 1, z), _number(e, sign * math.factorial(order)))
    if order > 1:
        unknown = e.select(e.eq(x, zero), _number(e, sign * math.inf), _number(e, math.nan))
        return e.cast(e.select(reflects, unknown, value), dtype)
    angle, _ = _pole_distance(e, x)
    quotient = e.div(_number(e, math.pi), near_sin(e, angle))
    reflected = e.sub(e.mul(quotient, quotient), value)
    return e.cast(e.select(reflects, reflected, value), dtype)


def _zeta(e: Emitter[S], s: int, x: S) -> S:
    """The sum of (x + k)**-s over k >= 0, by Euler and Maclaurin's formula; x > 0."""
    count = STIRLING_FROM + s
    one, total = _number(e, 1.0), _number(e, 0.0)
    terms = [_power(e, e.div(one, e.add(x, _number(e, k))), s) for k in range(count)]
    for term in reversed(terms):
        total = e.add(total, term)
    inverse = e.div(one, e.add(x, _number(e, count)))
    # z**(1-s) (1 / (s - 1) + 1 / (2 z) + sum of B(2 k) (s)...(s + 2 k - 2) / (2 k)! z**(-2 k))
    coefficients, rising = [], 1.0
    for k, b in enumerate(BERNOULLI, 1):
        rising *= s if k == 1 else (s + 2 * k - 3) * (s + 2 * k - 2)
        coefficients.append(b * rising / math.factorial(2 * k))
    square = e.mul(inverse, inverse)
    series = e.mul(square, polynomial(e, square, tuple(coefficients)))
    first = e.add(_number(e, 1.0 / (s - 1)), e.mul(inverse, _number(e, 0.5)))
    return e.add(total, e.mul(_power(e, inverse, s - 1), e.add(first, series)))


def _power(e: Emitter[S], x: S, n: int) -> S:
    result = x
    for bit in bin(n)[3:]:
        result = e.mul(result, result)
        if bit == "1":
            result = e.mul(result, x)
    return result
