"""The derivative of a gamma variate by its concentration, at a fixed quantile.

Implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018): dx/da = -dP(a, x)/da / p(a, x).
With p(s) = s**(a-1) exp(-s) / gamma(a) and dP/da the integral of (log s - digamma(a)) p(s), the
quotient is an integral over s = x exp(t) or x exp(-t) that needs no normalisation. Below the point
where the first factor changes its sign the integral is taken over the lower tail, with
P(a, x) = P(a + 1, x) + x p(a, x) / a so that it stays smooth for a below 1; above it over the upper
tail. So all terms are positive.
"""

from __future__ import annotations

import numpy as np

from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor, constant_of
from graphc.ir.types import float64

QUADRATURE_POINTS = 32
NEGLIGIBLE_EXPONENT = 37.0  # exp(-37) is nothing beside 1


def gamma_slope(concentration: Tensor, x: Tensor) -> Tensor:
    """dx/da of variates x of scale 1, computed in float64; 0 where x is 0."""
    a, found = fn.astype(concentration, float64), fn.astype(x, float64)
    inside = found > 0.0
    s = fn.where(inside, found, 1.0)
    lead = fn.log(s) - fn.digamma(a + 1.0)
    low = lead < 0.0
    b = fn.where(low, a + 1.0, a)
    # log p(s exp(+-t)) - log p(s) is below -NEGLIGIBLE_EXPONENT beyond `end`, whichever tail it is
    twice = 2.0 * (b - s) - NEGLIGIBLE_EXPONENT
    lower = (fn.sqrt(twice * twice + (8.0 * NEGLIGIBLE_EXPONENT) * b) - twice) / (2.0 * b)
    gap = fn.where(low, 1.0, s - a)
    upper = fn.minimum(
        (fn.sqrt(gap * gap + (2.0 * NEGLIGIBLE_EXPONENT) * s) - gap) / s,
        fn.log1p(NEGLIGIBLE_EXPONENT / gap),
    )
    end = fn.where(low, lower, upper)
    points, weights = np.polynomial.legendre.leggauss(QUADRATURE_POINTS)
    sign, b, s, far = (
        fn.expand_dims(v, -1) for v in (fn.where(low, -1.0, 1.0), b, s, fn.stop_gradient(end))
    )
    t = far * constant_of((points + 1.0) / 2.0)
    first = sign * (fn.log(s) - fn.digamma(b)) + t
    density = fn.exp(b * (sign * t) - s * fn.expm1(sign * t))
    total = fn.sum(first * density * far * constant_of(weights / 2.0), axis=-1) * found
    slope = fn.where(low, found / a * (total - lead), total)
    return fn.astype(fn.where(inside, slope, 0.0), x.dtype)
