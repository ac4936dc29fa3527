"""Errors in units of the last place, and points over all exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.ir.loops.numpy_emitter import NumpyEmitter

Array = NDArray[Any]

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 2.5)


class UnfusedEmitter(NumpyEmitter):
    """Targets without fma multiply, then add."""

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.add(self.mul(x, y), z)


def every_exponent(dtype: Any, count: int, seed: int = 0) -> Array:
    """Random bits (all exponents, both signs), then the special values and the limits."""
    integer = np.int32 if dtype == np.float32 else np.int64
    limits = np.iinfo(integer)
    bits = np.random.default_rng(seed).integers(limits.min, limits.max, count, dtype=integer)
    return np.concatenate([bits.view(dtype), special(dtype)])


def special(dtype: Any) -> Array:
    """Zeros, infinities, NaN, small integers, limits of the format."""
    info = np.finfo(dtype)
    limits = (info.max, info.tiny, info.smallest_subnormal)
    return np.array([*SPECIAL, *limits, *(-v for v in limits)], dtype)


def spread(dtype: Any, count: int, seed: int = 0) -> Array:
    """Points over all exponents and more of them where functions change."""
    random = np.random.default_rng(seed)
    scales = (0.1, 1.0, 3.0, 10.0, 100.0, 750.0)
    parts = [random.uniform(-s, s, count // 8).astype(dtype) for s in scales]
    return np.concatenate([*parts, every_exponent(dtype, count // 4, seed)])


def ulp_errors(got: Array, wanted: Array) -> Array:
    """|got - wanted| in units of the last place of `wanted` rounded; infinite where kinds differ.

    Infinities, NaN and the signs of zeros must agree.
    """
    with np.errstate(all="ignore"):
        rounded = wanted.astype(got.dtype)
        unit = np.spacing(np.abs(rounded))
        error = np.abs(got.astype(np.longdouble) - wanted) / unit.astype(np.longdouble)
    agrees = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    error = np.where(np.isfinite(rounded), error, np.where(agrees, 0, np.inf))
    # one result may round to infinity and the other to the largest number
    overflow = np.isinf(rounded) & np.isfinite(wanted)
    error = np.where(overflow & (np.abs(got) >= np.finfo(got.dtype).max), 0, error)
    zeros = (wanted == 0) & (got == 0) & (np.signbit(wanted) != np.signbit(got))
    return np.where(np.isnan(error) | zeros, np.inf, error).astype(np.float64)
