"""Initial values of parameters: functions (shape, dtype, rng) -> array.

`gx.init.glorot_uniform()` makes an initialiser. Its formulas draw in float64 and round once.
The fans of a weight are those of a matrix (in, out); the axes before the last two are the window
of a convolution, (*window, in, out), and multiply both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.arguments import check_all
from graphc.ir.types import Array, DType, find_dtype

Initializer = Callable[[tuple[int, ...], Any, np.random.Generator], Array]
Draw = Callable[[tuple[int, ...], np.random.Generator], Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (inputs, outputs) that one output and one input of a weight are connected to."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def zeros() -> Initializer:
    """Return an initialiser of zeros."""
    return constant(0.0)


def ones() -> Initializer:
    """Return an initialiser of ones."""
    return constant(1.0)


def constant(value: Any) -> Initializer:
    """Return an initialiser of one value, or of an array that broadcasts to the shape."""

    def initialize(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> Array:
        wanted = _numpy(dtype)
        try:
            return np.array(np.broadcast_to(np.asarray(value), shape), wanted)
        except ValueError as error:
            raise ShapeError(f"init.constant: {error}") from error

    return initialize


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Return an initialiser that draws from [low, high)."""
    if not low <= high:
        raise ArgumentError(f"init.uniform: low must not exceed high, got {low} and {high}")
    return _drawing(lambda shape, rng: rng.uniform(low, high, shape))


def normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Return an initialiser that draws normal variates."""
    return _drawing(lambda shape, rng: rng.normal(mean, std, shape))


def truncated_normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Return an initialiser that draws normal variates within two standard deviations.

    `std` is that of the distribution before its tails are cut.
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        z = np.asarray(rng.standard_normal(shape))
        while (outside := np.abs(z) > 2.0).any():
            z[outside] = rng.standard_normal(int(outside.sum()))
        return mean + std * z

    return _drawing(draw)


def glorot_uniform(gain: float = 1.0) -> Initializer:
    """Return an initialiser uniform in +-gain sqrt(6 / (in + out)) (Glorot and Bengio 2010)."""
    return _scaled_uniform(lambda i, o: gain * gain * 2.0 / max(1, i + o))


def glorot_normal(gain: float = 1.0) -> Initializer:
    """Return an initialiser normal with std gain sqrt(2 / (in + out)) (Glorot and Bengio 2010)."""
    return _scaled_normal(lambda i, o: gain * gain * 2.0 / max(1, i + o))


def he_uniform() -> Initializer:
    """Return an initialiser uniform in +-sqrt(6 / in), for relu (He et al. 2015)."""
    return _scaled_uniform(lambda i, o: 2.0 / max(1, i))


def he_normal() -> Initializer:
    """Return an initialiser normal with std sqrt(2 / in), for relu (He et al. 2015)."""
    return _scaled_normal(lambda i, o: 2.0 / max(1, i))


def lecun_uniform() -> Initializer:
    """Return an initialiser uniform in +-sqrt(3 / in) (LeCun et al. 1998)."""
    return _scaled_uniform(lambda i, o: 1.0 / max(1, i))


def lecun_normal() -> Initializer:
    """Return an initialiser normal with std sqrt(1 / in) (LeCun et al. 1998)."""
    return _scaled_normal(lambda i, o: 1.0 / max(1, i))


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return an initialiser of random orthogonal matrices times gain (Saxe et al. 2014).

    The axes before the last are one: rows or columns, whichever are fewer, are orthonormal.
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"init.orthogonal: needs at least two axes, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if rows == 0 or columns == 0:
            return np.zeros(shape)
        tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the distribution uniform
        return gain * (q if rows >= columns else q.T).reshape(shape)

    return _drawing(draw)


def inverse_fan(gain: float = 1.0) -> Initializer:
    """Return an initialiser normal with std gain / in."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(0.0, gain / max(1, fans(shape)[0]), shape)

    return _drawing(draw)


def identity(gain: float = 1.0) -> Initializer:
    """Return an initialiser of identity matrices times gain, with zeros for rows or columns that
    are too many.

    A convolution passes channels on as they are: the matrix stands in the middle of its window.
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"init.identity: needs at least two axes, got shape {shape}")
        values = np.zeros(shape)
        if 0 not in shape:
            middle = tuple((size - 1) // 2 for size in shape[:-2])
            values[middle] = gain * np.eye(shape[-2], shape[-1])
        return values

    return _drawing(draw)


# ------------------------------------------------------------------------------- machinery


def _drawing(draw: Draw) -> Initializer:
    def initialize(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> Array:
        return np.asarray(draw(tuple(shape), rng)).astype(_numpy(dtype))

    return initialize


def _scaled_uniform(variance: Callable[[int, int], float]) -> Initializer:
    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        limit = math.sqrt(3.0 * variance(*fans(shape)))
        return rng.uniform(-limit, limit, shape)

    return _drawing(draw)


def _scaled_normal(variance: Callable[[int, int], float]) -> Initializer:
    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(0.0, math.sqrt(variance(*fans(shape))), shape)

    return _drawing(draw)


def _numpy(dtype: Any) -> np.dtype[Any]:
    found = dtype if isinstance(dtype, DType) else find_dtype(dtype)
    if found is None:
        raise ArgumentError(f"init: unknown dtype {dtype!r}")
    return found.numpy


__all__ = [
    "constant", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity",
    "inverse_fan", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "zeros",
]  # fmt: skip

check_all(globals(), __all__)
