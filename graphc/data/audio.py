"""Read WAV files, and what speech recognition sees of them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from graphc import fft
from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor, constant_of
from graphc.frontend.typing import TensorLike
from graphc.ir.types import Array

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
READERS = {
    (PCM, 8): "u1",
    (PCM, 16): "<i2",
    (PCM, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}


def wav(path: str | os.PathLike[str]) -> tuple[Array, int]:
    """Return (samples, rate): float32 of shape (n,), or (n, channels), and samples a second.

    Integer samples of 8, 16, 24 or 32 bits are scaled to [-1, 1); floats stay as they are.
    """
    name = os.fspath(path)
    content = Path(path).read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise FormatError(f"{name}: not a WAV file: it starts with {content[:12].hex(' ')}")
    chunks = dict(_chunks(name, content))
    if len(chunks.get(b"fmt ", b"")) < 16 or b"data" not in chunks:
        raise FormatError(f"{name}: a WAV file without format or samples")
    form = chunks[b"fmt "]
    kind, channels, rate, _, block, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == EXTENSIBLE and len(form) >= 26:
        (kind,) = struct.unpack("<H", form[24:26])
    if ((kind, bits) not in READERS and (kind, bits) != (PCM, 24)) or not channels:
        raise FormatError(
            f"{name}: samples of kind {kind} with {bits} bits in {channels} channels",
            hint="convert it to plain samples (PCM) of 16 bits",
        )
    data = chunks[b"data"]
    if block != channels * bits // 8 or len(data) % block:
        raise FormatError(f"{name}: {len(data)} bytes are no whole number of samples")
    samples = _samples(kind, bits, data).reshape(-1, channels)
    return (samples[:, 0].copy() if channels == 1 else samples), rate


def _chunks(name: str, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(content):
        title, size = (
            content[place : place + 4],
            int.from_bytes(content[place + 4 : place + 8], "little"),
        )
        if place + 8 + size > len(content):
            raise FormatError(
                f"{name}: truncated: {title!r} has {len(content) - place - 8} of {size} bytes"
            )
        yield title, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _samples(kind: int, bits: int, data: bytes) -> Array:
    if kind == PCM and bits == 24:  # three bytes are the upper ones of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    raw = np.frombuffer(data, READERS[kind, bits])
    if kind == FLOAT:
        return raw.astype(np.float32)
    centred = raw.astype(np.float64) - (128 if bits == 8 else 0)
    return (centred / 2.0 ** (bits - 1)).astype(np.float32)


def log_mel(
    x: TensorLike,
    rate: int,
    frame: int = 400,
    hop: int = 160,
    bands: int = 40,
    low: float = 20.0,
    high: float | None = None,
    floor: float = 1e-6,
) -> Tensor:
    """log(max(filters |STFT(x)|^2, floor)): (..., samples) -> (..., frames, bands).

    Frames are `hop` samples apart, multiplied by a Hann window and not padded. The filters are
    triangles whose corners are equally far apart in mel = 2595 log10(1 + f / 700), from `low` to
    `high` Hz (default: half the rate), of height 1 (Davis and Mermelstein 1980; the scale is
    O'Shaughnessy's 1987).
    """
    filters = mel_filters(rate, frame, bands, low, high)
    found = fft.stft(x, frame, hop, center=False)
    power = found.real * found.real + found.imag * found.imag
    weights = constant_of(filters.astype(power.dtype.numpy))
    return fn.log(fn.maximum(power @ weights, floor))


def mel_filters(
    rate: int, frame: int, bands: int = 40, low: float = 20.0, high: float | None = None
) -> Array:
    """The filters of `log_mel`, float64 of shape (frame // 2 + 1, bands)."""
    top = rate / 2 if high is None else high
    if not 0.0 <= low < top <= rate / 2 or bands < 1:
        raise ArgumentError(
            f"log_mel: needs 0 <= low < high <= rate / 2 and a band, got low={low}, high={top},"
            f" rate={rate}, bands={bands}",
            origin=origins.find_origin(),
        )
    ends = 2595.0 * np.log10(1.0 + np.array([low, top]) / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(ends[0], ends[1], bands + 2) / 2595.0) - 1.0)
    bins = np.arange(frame // 2 + 1)[:, None] * (rate / frame)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    triangles: Array = np.maximum(0.0, np.minimum(rising, falling))
    return triangles
