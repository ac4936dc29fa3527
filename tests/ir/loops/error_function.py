"""The error function in extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Long = np.longdouble
ROOT_PI = np.sqrt(Long("3.14159265358979323846264338327950288"))


def reference_erf(x: Array) -> Array:
    """Sum a series of positive terms below 2.2, a continued fraction of 1 - erf above."""
    x = np.asarray(x, Long)
    a = np.abs(x)
    with np.errstate(all="ignore"):
        result = np.where(a < 2.2, _series(np.minimum(a, 3)), 1 - _rest(np.maximum(a, 2)))
    return np.copysign(np.where(np.isnan(x), x, result), x)


def _series(x: Array) -> Array:
    """2 / sqrt(pi) exp(-x**2) sum 2**n x**(2n+1) / (2n+1)!!."""
    term, total = x.copy(), x.copy()
    for n in range(1, 80):
        term = term * 2 * x * x / (2 * n + 1)
        total = total + term
    return 2 / ROOT_PI * np.exp(-x * x) * total


def _rest(x: Array) -> Array:
    fraction = x.copy()
    for k in range(120, 0, -1):
        fraction = x + (Long(k) / 2) / fraction
    return np.exp(-x * x) / fraction / ROOT_PI
