"""Fourier transforms, and filter banks."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc import fft
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.proto import dtype_of


def complex_parts(call: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Real and imaginary parts along the last axis, which has one or two elements."""
    last = x.shape[-1]
    return x[..., 0], (x[..., 1] if (last if last == 1 else call.extent(-1)) == 2 else None)


def fourier(call: OnnxNode) -> Result:
    """The discrete Fourier transform along an axis, or its inverse; pairs are the last axis."""
    x = call.x()
    axis = call["axis"] if call.opset < 20 else (call.number(2) if call.has(2) else -2)
    axis = call.normal(int(axis), x.ndim)
    length = int(call.number(1)) if call.has(1) else None
    inverse, onesided = bool(call["inverse"]), bool(call["onesided"])
    real, imaginary = complex_parts(call, x)
    if inverse and onesided:
        return gx.expand_dims(fft.irfft(whole(real, imaginary), length, axis), -1)
    if inverse:
        return gx.stack(list(fft.ifft(whole(real, imaginary), length, axis)), -1)
    if onesided and imaginary is None:
        return gx.stack(list(fft.rfft(real, length, axis)), -1)
    found = fft.fft(whole(real, imaginary), length, axis)
    half = x.shape[axis] if length is None else length
    key: list[Any] = [slice(None)] * real.ndim
    key[axis] = slice(0, half // 2 + 1 if onesided else None)
    return gx.stack([part[tuple(key)] for part in found], -1)


def whole(real: Tensor, imaginary: Tensor | None) -> tuple[Tensor, Tensor]:
    """A pair, with zeros for an imaginary part that there is not."""
    return real, gx.zeros_like(real) if imaginary is None else imaginary


def short_time(call: OnnxNode) -> Result:
    """Fourier transforms of windows that move along a signal."""
    x, step = call.x(), int(call.number(1))
    window = call.optional(2)
    size = call.extent(1)
    length = (
        int(call.number(3)) if call.has(3) else (call.extent(0, 2) if window is not None else size)
    )
    signal = x if x.ndim == 3 else gx.expand_dims(x, -1)
    frames = 1 + (size - length) // step
    places = np.arange(frames)[:, None] * step + np.arange(length)
    real, imaginary = complex_parts(call, signal)
    parts = [None if p is None else gx.take(p, gx.constant(places), 1) for p in (real, imaginary)]
    if window is not None:
        parts = [None if p is None else p * window for p in parts]
    first, second = parts
    assert first is not None
    if second is None:
        found = fft.rfft(first) if call["onesided"] else fft.fft(whole(first, None))
    else:
        found = fft.fft((first, second))
    count = length // 2 + 1 if call["onesided"] else length
    return gx.stack([part[..., 0:count] for part in found], -1)


def mel_weights(call: OnnxNode) -> Result:
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
