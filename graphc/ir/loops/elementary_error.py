"""The complementary error function and the inverse of the error function.

erfc x = exp(-x**2) G(y) / (1 + 2 x) with y = (x - k) / (x + k), a form of Shepherd and Laframboise
(1981); x**2 is split so that its rounding does not matter. The inverse starts from polynomials in
-log(1 - x**2) and its root (Giles, 2010), which two of Halley's steps refine for float64. The
polynomials are minimax fits computed for this file.
"""

from __future__ import annotations

import math

from graphc.ir.loops.elementary_exp import exp
from graphc.ir.loops.elementary_log import log
from graphc.ir.loops.elementary_trig import erf
from graphc.ir.loops.formats import FORMATS, Emitter, polynomial, widened, with_sign
from graphc.ir.loops.scalar import S
from graphc.ir.types import float32, float64

MIDDLE_RATIO = 3.75  # k
ERFC_END = {float32: 10.1, float64: 27.3}  # erfc is 0 from here on
ERFC = {
    float32: (1.2375125885009766, -0.1402398943901062, 0.003590104402974248, 0.08225400745868683,
              -0.10889949649572372, 0.09245535731315613, -0.05800045281648636,
              0.028365354984998703, -0.011408728547394276, 0.00034267560113221407,
              0.00038343979394994676),
    float64: (1.2375126308378275, -0.1402405985855467, 0.003585415485462492, 0.08227673849011309,
              -0.10880393014164265, 0.09230432116152024, -0.05869339859177618,
              0.02836227740015028, -0.00974657953776058, 0.0017556260245774084,
              0.0002937135704717882, -0.00029015503177359965, 5.164926655531537e-05,
              2.2387577184299552e-05, -1.1443775459263318e-05, -9.810493131875113e-07,
              1.7491035951755994e-06, -4.672652033532449e-08, -2.5314838077142743e-07,
              1.4738058736294275e-08, 3.275760011929539e-08, -4.151134241573023e-10,
              -2.24315622943907e-09),
}  # fmt: skip
# erf_inv x = x P(w - 5/2) for w = -log(1 - x**2) < 5, x P(sqrt(w) - 3) beyond
INVERSE_CENTRE = (
    1.5014093592820177, 0.2466402861555361, -0.004177386780293866, -0.0012527418838366646,
    0.0002183444393790116, -4.963344607967908e-06, -3.4627048434660818e-06,
    4.661699467974477e-07, 2.3232656496057715e-08, -8.791003858688278e-09,
)  # fmt: skip
INVERSE_TAIL = {
    float32: (2.8329770041193667, 1.001674232494102, 0.009435039307329425,
              -0.007626242977958655, 0.005765536609871625, -0.0036565461834842422,
              0.0012922539738669471, 8.252339834444488e-05, -0.00015978325655815342),
    float64: (2.832976447104138, 1.0018098948021938, 0.009462031486888777, -0.008348807328508635,
              0.005992829458767896, -0.0027289907931782606, 0.0006491458992481904,
              -6.112770669591354e-05),
}  # fmt: skip
# erf_inv x = x P(x**2), |x| <= 1 / 2, for float64
INVERSE_SMALL = (
    0.886226925452758, 0.2320136665346541, 0.12755617530571103, 0.08655212922840677,
    0.06495961854387464, 0.05173125283004353, 0.04283741337975132, 0.03645468785653424,
    0.03181720386522161, 0.026938909512827666, 0.03105688851742175, -0.0019497584509618208,
    0.08829429067735717, -0.09778966325184739, 0.12081954997529082,
)  # fmt: skip


@widened
def erfc(e: Emitter[S], x: S) -> S:
    """1 - erf x, with its full precision where that is small."""
    f = FORMATS[e.dtype(x)]
    value = _positive_erfc(e, e.abs(x))
    negative = e.lt(x, e.const(0.0, f.dtype))
    value = e.select(negative, e.sub(e.const(2.0, f.dtype), value), value)
    near = e.lt(e.abs(x), e.const(0.5, f.dtype))
    return e.select(near, e.sub(e.const(1.0, f.dtype), erf(e, x)), value)


def _positive_erfc(e: Emitter[S], x: S) -> S:
    f = FORMATS[e.dtype(x)]
    end = e.const(ERFC_END[f.dtype], f.dtype)
    x = e.select(e.lt(end, x), end, x)
    # the square of the upper half of the bits is exact
    mask = e.const(-1 << (12 if f.dtype == float32 else 32), f.integer)
    upper = e.bitcast(e.bit_and(e.bitcast(x, f.integer), mask), f.dtype)
    rest = e.mul(e.sub(x, upper), e.add(x, upper))
    k = e.const(MIDDLE_RATIO, f.dtype)
    y = e.div(e.sub(x, k), e.add(x, k))
    below = e.fma(x, e.const(2.0, f.dtype), e.const(1.0, f.dtype))
    slow = e.mul(exp(e, e.neg(rest)), e.div(polynomial(e, y, ERFC[f.dtype]), below))
    return e.mul(exp(e, e.neg(e.mul(upper, upper))), slow)


@widened
def erf_inv(e: Emitter[S], x: S) -> S:
    """The number whose error function is x; infinite at 1 and -1, NaN beyond."""
    f = FORMATS[e.dtype(x)]
    magnitude, one = e.abs(x), e.const(1.0, f.dtype)
    gap = e.sub(one, magnitude)
    w = e.neg(log(e, e.mul(gap, e.add(one, magnitude))))
    near = polynomial(e, e.sub(w, e.const(2.5, f.dtype)), INVERSE_CENTRE)
    root = e.sub(e.sqrt(w), e.const(3.0, f.dtype))
    far = polynomial(e, root, INVERSE_TAIL[f.dtype])
    y = e.mul(magnitude, e.select(e.lt(w, e.const(5.0, f.dtype)), near, far))
    if f.dtype == float64:
        y = _step(e, gap, _step(e, gap, y))
        small = e.mul(magnitude, polynomial(e, e.mul(x, x), INVERSE_SMALL))
        y = e.select(e.le(magnitude, e.const(0.5, f.dtype)), small, y)
    y = e.select(e.eq(magnitude, one), e.const(float("inf"), f.dtype), y)
    return with_sign(e, f, y, x)


def _step(e: Emitter[S], gap: S, y: S) -> S:
    """Halley's step for erfc y = gap: y + d / (1 - y d), d = (erfc y - gap) / -erfc' y."""
    dtype = e.dtype(y)
    slope = e.mul(exp(e, e.neg(e.mul(y, y))), e.const(2.0 / math.sqrt(math.pi), dtype))
    d = e.div(e.sub(_positive_erfc(e, y), gap), slope)
    return e.add(y, e.div(d, e.sub(e.const(1.0, dtype), e.mul(y, d))))
