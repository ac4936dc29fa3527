"""Modified Bessel functions of the first kind, of orders 0 and 1, in float64 for every dtype.

Up to 8 the power series, whose terms are all positive (DLMF, 10.25.2); beyond, a polynomial in
16 / x - 1 for sqrt(x) exp(-x) I(x), computed for this file from values of 50 digits at Chebyshev
points. Errors are at most 2 units of the last place, 3 without the scale.
"""

from __future__ import annotations

import math

from graphc.ir.loops.elementary_exp import exp
from graphc.ir.loops.formats import FORMATS, Emitter, polynomial, with_sign
from graphc.ir.loops.scalar import S
from graphc.ir.types import float64

SERIES_END = 8.0
SERIES_TERMS = 24  # the next one is below 1e-17 of the sum at SERIES_END
SERIES = tuple(
    tuple(0.25**k / (math.factorial(k) * math.factorial(k + order)) for k in range(SERIES_TERMS))
    for order in (0, 1)
)
ASYMPTOTIC = (
    (
        0.4021765094450081, 0.0033605519836678913, 0.00013621607438951463,
        1.114303378845176e-05, 1.4838476780922646e-06, 2.9735992084667734e-07,
        8.872014585661555e-08, 3.932512321137824e-08, 2.156780676115673e-08,
        7.559364098665437e-09, -6.856484545962442e-09, -1.3427511481900905e-08,
        -5.0175940345046716e-09, 7.600254486433509e-09, 6.522264862032271e-09,
        -3.5862834111582305e-09, -4.5305710768621196e-09, 1.6084886155781772e-09,
        2.163681278413876e-09, -6.327909921997027e-10, -6.494591114401118e-10,
        1.7698085539456536e-10, 9.114760157514253e-11, -2.4421972688131832e-11
    ),
    (
        0.38939845902587233, -0.009749577193235765, -0.00021923576383137776,
        -1.5038547198221758e-05, -1.8349102493990178e-06, -3.4838563464253135e-07,
        -1.0001075046243961e-07, -4.3128498031006734e-08, -2.3394122958362557e-08,
        -8.432168972932417e-09, 6.84757829926934e-09, 1.4051746928735543e-08,
        5.5720183980930355e-09, -7.687251308765992e-09, -6.9444186339873875e-09,
        3.501765193290176e-09, 4.763780078020254e-09, -1.5218214060680734e-09,
        -2.2624401109204446e-09, 5.870664618471487e-10, 6.7727478454462e-10,
        -1.6283264322621244e-10, -9.491890392992048e-11, 2.2421768596847442e-11
    ),
)  # fmt: skip


def bessel_i(e: Emitter[S], order: int, scaled: bool, x: S) -> S:
    """I(x) of order 0 or 1; `scaled` times exp(-|x|)."""
    dtype, x = e.dtype(x), e.cast(x, float64)
    magnitude = e.abs(x)
    end = e.const(SERIES_END, float64)
    near = e.lt(magnitude, end)
    small = e.select(near, magnitude, end)
    series = polynomial(e, e.mul(small, small), SERIES[order])
    if order:
        series = e.mul(series, e.mul(small, e.const(0.5, float64)))
    large = e.select(near, end, magnitude)
    place = e.sub(e.div(e.const(16.0, float64), large), e.const(1.0, float64))
    tail = e.div(polynomial(e, place, ASYMPTOTIC[order]), e.sqrt(large))
    if scaled:
        value = e.select(near, e.mul(series, exp(e, e.neg(small))), tail)
    else:  # exp(x) overflows before the result does
        half = exp(e, e.mul(large, e.const(0.5, float64)))
        infinite = e.eq(magnitude, e.const(math.inf, float64))
        grown = e.select(infinite, magnitude, e.mul(e.mul(tail, half), half))
        value = e.select(near, series, grown)
    value = e.select(e.ne(x, x), x, value)
    return e.cast(with_sign(e, FORMATS[float64], value, x) if order else value, dtype)
