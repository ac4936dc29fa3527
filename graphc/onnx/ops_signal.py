"""Fourier transforms as products with known matrices, and filter banks."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.onnx.call import Call, Table
from graphc.onnx.proto import dtype_of
from graphc.tensor import Tensor


def transformed(
    parts: tuple[Tensor, Tensor | None], axis: int, length: int, count: int, sign: float
) -> tuple[Tensor, Tensor]:
    """`count` sums over x[k] exp(sign 2 pi i j k / length) along an axis: real and imaginary."""
    real, imaginary = parts
    size = int(real.shape[axis])  # type: ignore[arg-type]
    angles = np.outer(np.arange(size), np.arange(count)) % length * (2 * np.pi / length)
    kind = real.dtype.numpy
    cos, sin = (gx.constant(f(angles).astype(kind)) for f in (np.cos, np.sin))
    a = product(real, cos, axis), product(real, sin, axis) * sign
    if imaginary is None:
        return a
    b = product(imaginary, cos, axis), product(imaginary, sin, axis) * sign
    return a[0] - b[1], a[1] + b[0]


def product(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """A matrix applied along an axis."""
    return gx.moveaxis(gx.moveaxis(x, axis, -1) @ matrix, -1, axis)


def complex_parts(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Real and imaginary parts along the last axis, which has one or two elements."""
    return x[..., 0], (x[..., 1] if x.shape[-1] == 2 else None)


def resized(x: Tensor, axis: int, length: int) -> Tensor:
    """x cut, or with zeros behind, along an axis."""
    size = int(x.shape[axis])  # type: ignore[arg-type]
    if length <= size:
        key: list[Any] = [slice(None)] * x.ndim
        key[axis] = slice(0, length)
        return x[tuple(key)]
    widths = [(0, 0)] * x.ndim
    widths[axis] = 0, length - size
    return gx.pad(x, widths)


def fourier(call: Call) -> Any:
    """The discrete Fourier transform along an axis, or its inverse."""
    x = call.x()
    axis = call["axis"] if call.opset < 20 else (call.number(2) if call.has(2) else -2)
    axis = call.normal(int(axis), x.ndim)
    inverse, onesided = bool(call["inverse"]), bool(call["onesided"])
    size = call.static()[axis]
    length = 2 * (size - 1) if inverse and onesided else size
    length = int(call.number(1)) if call.has(1) else length
    x = resized(x, axis, length if not (inverse and onesided) else length // 2 + 1)
    parts = complex_parts(x)
    if not inverse:
        count = length // 2 + 1 if onesided else length
        return gx.stack(list(transformed(parts, axis, length, count, -1.0)), -1)
    if onesided:
        parts = mirrored(parts, axis, length)
    real, imaginary = transformed(parts, axis, length, length, 1.0)
    if onesided:
        return gx.expand_dims(real / float(length), -1)
    return gx.stack([real / float(length), imaginary / float(length)], -1)


def mirrored(
    parts: tuple[Tensor, Tensor | None], axis: int, length: int
) -> tuple[Tensor, Tensor | None]:
    """The whole spectrum of a real signal from its first half."""
    key: list[Any] = [slice(None)] * parts[0].ndim
    key[axis] = slice(1, (length + 1) // 2)
    whole = []
    for part, sign in zip(parts, (1.0, -1.0)):
        if part is not None:
            whole.append(gx.concat([part, gx.flip(part[tuple(key)], axis) * sign], axis))
    return whole[0], (whole[1] if len(whole) > 1 else None)


def short_time(call: Call) -> Any:
    """Fourier transforms of windows that move along a signal."""
    x, step = call.x(), int(call.number(1))
    window = call.optional(2)
    size = call.static()[1]
    length = (
        int(call.number(3)) if call.has(3) else (call.static(2)[0] if window is not None else size)
    )
    signal = x if x.ndim == 3 else gx.expand_dims(x, -1)
    frames = 1 + (size - length) // step
    places = np.arange(frames)[:, None] * step + np.arange(length)
    real, imaginary = complex_parts(signal)
    parts = [None if p is None else gx.take(p, gx.constant(places), 1) for p in (real, imaginary)]
    if window is not None:
        parts = [None if p is None else p * window for p in parts]
    count = length // 2 + 1 if call["onesided"] else length
    assert parts[0] is not None
    return gx.stack(list(transformed((parts[0], parts[1]), 2, length, count, -1.0)), -1)


def mel_weights(call: Call) -> Any:
    """Triangular filters, evenly spaced on the mel scale."""
    bins, length, rate = (int(call.number(i)) for i in range(3))
    low, high = float(call.number(3)), float(call.number(4))
    ends = [2595 * np.log10(1 + edge / 700) for edge in (low, high)]
    mels = np.arange(bins + 2) * ((ends[1] - ends[0]) / (bins + 2)) + ends[0]
    hertz = 700 * (10 ** (mels / 2595) - 1)
    places = np.floor((length + 1) * hertz / rate).astype(int)
    filters = np.zeros((length // 2 + 1, bins))
    for i in range(bins):
        left, centre, right = places[i : i + 3]
        rows = np.arange(left, centre + 1)
        filters[rows, i] = (rows - left) / (centre - left) if centre > left else 1.0
        rows = np.arange(centre, right)
        filters[rows, i] = (right - rows) / max(1, right - centre)
    return filters.astype(dtype_of(call["output_datatype"], call.where).numpy)


TABLE: Table = {
    ("DFT", 17): fourier,
    ("STFT", 17): short_time,
    ("MelWeightMatrix", 17): mel_weights,
}
