"""The ascending chain of multiply-adds, with exact fused rounding, as an oracle."""

from __future__ import annotations

import numpy as np


def two_sum(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and its error (Knuth)."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back)


def sum_to_odd(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x + y, rounded to the neighbour with an odd last bit where it is inexact."""
    total, error = two_sum(x, y)
    bits = total.view(np.int64)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    inexact = (error != 0) & (bits & 1 == 0) & np.isfinite(total)
    return np.where(inexact, bits + towards, bits).view(np.float64)


def two_product(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded product and its error (Dekker)."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def _split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


def fma(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x * y + z with one rounding (Boldo and Melquiond 2008), of finite, not extreme numbers."""
    if z.dtype == np.float32:
        product = x.astype(np.float64) * y.astype(np.float64)  # exact
        return sum_to_odd(product, z.astype(np.float64)).astype(np.float32)
    high, low = two_product(x, y)
    total, rest = two_sum(z, low)
    upper, error = two_sum(high, total)
    return upper + sum_to_odd(rest, error)


def chain(left: np.ndarray, right: np.ndarray, fused: bool) -> np.ndarray:
    """out[...] = left[..., k] * right[..., k] added up over k in ascending order."""
    shape = np.broadcast_shapes(left.shape[:-1], right.shape[:-1])
    total = np.zeros(shape, left.dtype)
    for k in range(left.shape[-1]):
        x = np.broadcast_to(left[..., k], shape).astype(left.dtype)
        y = np.broadcast_to(right[..., k], shape).astype(left.dtype)
        total = fma(x, y, total) if fused else x * y + total
    return total
