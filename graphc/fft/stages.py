"""Discrete Fourier transforms of known sizes, as contractions with constant matrices.

A size of n1 * n2 is done in two stages with twiddle factors between them (Cooley and Tukey,
1965), small sizes in one, large primes as a convolution of a convenient size (Bluestein, 1970).
There are no complex numbers: a value is a pair of tensors.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from graphc.frontend import functions as fn
from graphc.frontend.functions.products import contract
from graphc.frontend.tensor import Tensor, constant_of
from graphc.frontend.typing import TensorLike
from graphc.ir.precision import FULL
from graphc.ir.types import Array, DType

Signal: TypeAlias = "TensorLike | tuple[TensorLike, TensorLike | None]"  # (real, imaginary)

MAX_DIRECT_SIZE = 64  # sizes up to this one are one stage
MAX_DIRECT_PRIME = 256  # larger ones are convolutions


class Complex(NamedTuple):
    """The real and the imaginary parts of complex numbers."""

    real: Tensor
    imag: Tensor


Value = tuple[Tensor, Tensor | None]  # without an imaginary part: real numbers


def transform(x: Value, n: int, sign: int) -> Value:
    """sum over j of x_j exp(sign 2 pi i j k / n), along the last axis, of n elements."""
    if n == 1:
        return x
    first = first_stage(n)
    if first == n:
        return multiply_matrix(x, n, sign)
    if first == 0:
        return bluestein(x, n, sign)
    return two_stages(x, first, n // first, sign)


def two_stages(x: Value, n1: int, n2: int, sign: int) -> Value:
    """Columns first, then twiddle factors, then rows."""
    n = n1 * n2
    batch = x[0].shape[:-1]
    split = _each(x, lambda t: fn.swapaxes(fn.reshape(t, (*batch, n1, n2)), -1, -2))
    columns = transform(split, n1, sign)  # (..., j2, k1)
    twisted = times(columns, twiddles(n1, n2, sign, x[0].dtype))
    rows = transform(_each(twisted, lambda t: fn.swapaxes(t, -1, -2)), n2, sign)  # (..., k1, k2)
    return _each(rows, lambda t: fn.reshape(fn.swapaxes(t, -1, -2), (*batch, n)))


def multiply_matrix(x: Value, n: int, sign: int) -> Value:
    """The definition."""
    matrix = np.outer(np.arange(n), np.arange(n))
    cosine, sine = constants(matrix, n, sign, x[0].dtype)
    real, imag = x
    if imag is None:
        return _times_matrix(real, cosine), _times_matrix(real, sine)
    return (
        _times_matrix(real, cosine) - _times_matrix(imag, sine),
        _times_matrix(real, sine) + _times_matrix(imag, cosine),
    )


def _times_matrix(x: Tensor, matrix: Tensor) -> Tensor:
    labels = tuple(range(x.ndim))
    with FULL:  # roots of unity rounded to few bits would spoil every spectrum
        return contract(x, labels, matrix, (x.ndim - 1, x.ndim), (*labels[:-1], x.ndim))


def bluestein(x: Value, n: int, sign: int) -> Value:
    """j k = (j^2 + k^2 - (k - j)^2) / 2 makes it a convolution with a chirp."""
    dtype, size = x[0].dtype, convenient(2 * n - 1)
    squares = np.arange(n, dtype=object) ** 2 % (2 * n)
    chirp = constants(squares.astype(np.int64), 2 * n, sign, dtype)
    angles = np.zeros(size, np.int64)
    angles[:n] = squares
    angles[size - n + 1 :] = squares[:0:-1]
    wave = np.exp(-sign * 1j * np.pi * angles / n)
    wave[n : size - n + 1] = 0
    spectrum = np.fft.fft(wave) / size
    kernel = (_constant(spectrum.real, dtype), _constant(spectrum.imag, dtype))
    widths = (*((0, 0) for _ in x[0].shape[:-1]), (0, size - n))
    padded = _each(times(x, chirp), lambda t: fn.pad(t, widths))
    product = times(transform(padded, size, -1), kernel)
    back = _each(transform(product, size, 1), lambda t: t[..., :n])
    return times(back, chirp)


def times(x: Value, factor: tuple[Tensor, Tensor]) -> Value:
    """The product with constants that broadcast."""
    (a, b), (c, d) = x, factor
    if b is None:
        return a * c, a * d
    return a * c - b * d, a * d + b * c


def _each(x: Value, function: object) -> Value:
    assert callable(function)
    return function(x[0]), None if x[1] is None else function(x[1])


# --------------------------------------------------------------------------- sizes


@lru_cache(1024)
def first_stage(n: int) -> int:
    """The size of the first stage: n for the definition, 0 for a convolution."""
    return plan(n)[1]


@lru_cache(1024)
def plan(n: int) -> tuple[float, int]:
    """The products per element that the cheapest way needs, and its first stage."""
    if n <= MAX_DIRECT_SIZE:
        return n, n
    best: tuple[float, int] = (2 * n, n) if n <= MAX_DIRECT_PRIME else (math.inf, n)
    size = convenient(2 * n - 1)
    if convenient(n) != n:
        best = min(best, (2 * size / n * plan(size)[0] + 8, 0))
    for divisor in range(2, min(MAX_DIRECT_PRIME, n // 2) + 1):
        if n % divisor == 0:
            best = min(best, (plan(divisor)[0] + plan(n // divisor)[0] + 4, divisor))
    return best


@lru_cache(1024)
def convenient(least: int) -> int:
    """The smallest 2**a 3**b 5**c that is not smaller."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            ratio = -(-least // three)
            best = min(best, three << max(0, (ratio - 1).bit_length()))
            three *= 3
        five *= 5
    return best


# --------------------------------------------------------------------------- constants


def twiddles(n1: int, n2: int, sign: int, dtype: DType) -> tuple[Tensor, Tensor]:
    """exp(sign 2 pi i j2 k1 / (n1 n2)), j2 by row."""
    return constants(np.outer(np.arange(n2), np.arange(n1)), n1 * n2, sign, dtype)


def constants(turns: Array, n: int, sign: int, dtype: DType) -> tuple[Tensor, Tensor]:
    """exp(sign 2 pi i turns / n) as constants."""
    cosine, sine = circle(n)
    at = turns % n
    return _constant(cosine[at], dtype), _constant(sign * sine[at], dtype)


def circle(n: int) -> tuple[Array, Array]:
    """The n-th roots of 1; what is 0 or 1 is exactly so."""
    turns = np.arange(n)
    angles = turns * (2.0 * np.pi / n)
    cosine, sine = np.cos(angles), np.sin(angles)
    sine[2 * turns % n == 0] = 0.0
    cosine[(4 * turns % n == 0) & (2 * turns % n != 0)] = 0.0
    return cosine, sine


def _constant(values: Array, dtype: DType) -> Tensor:
    return constant_of(values.astype(dtype.numpy))
