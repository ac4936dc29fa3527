"""Frequencies, windows, and transforms of short overlapping frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.fft.stages import Complex, Signal
from graphc.fft.transforms import irfft, known_size, real, rfft, value
from graphc.frontend import functions as fn
from graphc.frontend.arguments import tensor
from graphc.frontend.functions.operands import all_axes, check_count, fail, to_dtype
from graphc.frontend.functions.shapes import narrow, unfold_windows
from graphc.frontend.tensor import Tensor, constant_of, lift
from graphc.frontend.typing import AxisLike, DTypeLike, TensorLike
from graphc.ir.dims import Size, floordiv
from graphc.ir.ops.window import Window
from graphc.ir.types import Array

MAX_BLOCKS_PER_FRAME = 16  # blocks of a frame up to which frames are put together from blocks

# the coefficients of cosines of 0, 1, 2 times the position
_COSINES = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08)}


def fftfreq(n: int, d: float = 1.0, dtype: DTypeLike = "float32") -> Tensor:
    """The frequencies of the elements of `fft`, for samples d apart."""
    check_spacing("fftfreq", n, d)
    return constant_of(np.fft.fftfreq(n, d).astype(to_dtype("fftfreq", dtype).numpy))


def rfftfreq(n: int, d: float = 1.0, dtype: DTypeLike = "float32") -> Tensor:
    """The frequencies of the elements of `rfft`, for samples d apart."""
    check_spacing("rfftfreq", n, d)
    return constant_of(np.fft.rfftfreq(n, d).astype(to_dtype("rfftfreq", dtype).numpy))


def check_spacing(name: str, n: int, d: float) -> None:
    """Raise unless there are frequencies."""
    check_count(name, n)
    if n < 1 or d == 0 or np.isinf(1.0 / d):
        fail(ArgumentError, f"{name}: n must be 1 or more and d not 0, got n={n}, d={d}")


def fftshift(x: Signal, axes: AxisLike = None) -> Any:
    """Frequency 0 moved to the middle; x is a tensor or a pair."""
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: Signal, axes: AxisLike = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, -1)


def _shifted(name: str, x: Any, axes: AxisLike, sign: int) -> Any:
    if isinstance(x, (tuple, list)) and len(x) == 2:
        return Complex(*(_shifted(name, v, axes, sign) for v in x))
    x = lift(x)
    for axis in all_axes(name, axes, x.ndim, (x,)):
        size = known_size(name, x, axis)
        x = fn.roll(x, size // 2 if sign > 0 else -(size // 2), axis=axis)
    return x


def hann(n: int, periodic: bool = True, dtype: DTypeLike = "float32") -> Tensor:
    """Hann's window, one period of a raised cosine (symmetric unless it is periodic)."""
    return _window("hann", n, periodic, dtype)


def hamming(n: int, periodic: bool = True, dtype: DTypeLike = "float32") -> Tensor:
    """Hamming's window."""
    return _window("hamming", n, periodic, dtype)


def blackman(n: int, periodic: bool = True, dtype: DTypeLike = "float32") -> Tensor:
    """Blackman's window."""
    return _window("blackman", n, periodic, dtype)


def _window(name: str, n: int, periodic: bool, dtype: DTypeLike) -> Tensor:
    return constant_of(window_values(name, n, periodic).astype(to_dtype(name, dtype).numpy))


def window_values(name: str, n: int, periodic: bool = True) -> Array:
    """A sum of cosines."""
    check_count(name, n)
    if n < 1:
        fail(ArgumentError, f"{name}: needs one element or more, got {n}")
    if n == 1:
        return np.ones(1)
    angles = np.arange(n) * (2.0 * np.pi / (n if periodic else n - 1))
    terms = [(-1) ** k * a * np.cos(k * angles) for k, a in enumerate(_COSINES[name])]
    values: Array = np.maximum(np.sum(terms, axis=0), 0.0)
    return values


# --------------------------------------------------------------------------- frames


def stft(
    x: TensorLike,
    frame: int,
    hop: int,
    window: str | TensorLike | None = "hann",
    center: bool = True,
) -> Complex:
    """The transforms of frames of the last axis: (..., frames, frame // 2 + 1).

    Frames start `hop` elements apart and are multiplied by a window: "hann", "hamming",
    "blackman", None or a tensor. With `center` zeros are put around x so that the k-th frame has
    element k * hop in its middle.
    """
    x = real("stft", x)
    check_frames("stft", x, frame, hop)
    if center:
        x = fn.pad(x, (*((0, 0) for _ in x.shape[:-1]), (frame // 2, frame // 2)))
    return rfft(framed(x, frame, hop) * chosen_window("stft", window, frame, x), axis=-1)


def istft(
    x: Signal,
    frame: int,
    hop: int,
    window: str | TensorLike | None = "hann",
    center: bool = True,
    length: int | None = None,
) -> Tensor:
    """The inverse of `stft`: frames added where they overlap, divided by their squared windows.

    `length` elements are taken, or zeros added.
    """
    re, im = value("istft", x)
    check_frames("istft", re, frame, hop)
    if re.ndim < 2:
        fail(ShapeError, f"istft: needs frames and frequencies, got {re.type}", (re,))
    shape = chosen_window("istft", window, frame, re)
    frames = irfft((re, im), frame) * shape
    known_size("istft", frames, frames.ndim - 2)
    weights = overlapped(fn.broadcast_to(shape * shape, frames.shape[-2:]), hop)
    weights = fn.where(weights > 1e-11, weights, 1.0)
    total = overlapped(frames, hop) / weights
    axis, start = total.ndim - 1, frame // 2 if center else 0
    size = known_size("istft", total, axis)
    kept = narrow(total, axis, start, size - 2 * start)
    if length is None:
        return kept
    kept = narrow(total, axis, start, min(length, size - start))
    return fn.pad(kept, (*((0, 0) for _ in kept.shape[:-1]), (0, max(0, length - size + start))))


def check_frames(name: str, x: Tensor, frame: int, hop: int) -> None:
    """Raise unless the sizes of frames make sense."""
    if x.ndim < 1 or frame < 1 or hop < 1:
        fail(ArgumentError, f"{name}: frames of {frame}, {hop} apart, of {x.type}", (x,))


def chosen_window(name: str, window: str | TensorLike | None, frame: int, x: Tensor) -> Tensor:
    """A window of the frame's size."""
    if window is None:
        return fn.ones((frame,), dtype=x.dtype)
    if isinstance(window, str):
        if window not in _COSINES:
            known = ", ".join(_COSINES)
            fail(ArgumentError, f"{name}: no window is called {window!r}", (x,), hint=known)
        return constant_of(window_values(window, frame).astype(x.dtype.numpy))
    shape = tensor(name, "window", window)
    if shape.shape != (frame,):
        fail(ShapeError, f"{name}: the window is {shape.type}, frames have {frame}", (x, shape))
    return shape


def framed(x: Tensor, frame: int, hop: int) -> Tensor:
    """Frames of the last axis: (..., frames, frame)."""
    size, axis = x.shape[-1], x.ndim - 1
    count = floordiv(size - frame, hop) + 1
    blocks = -(-frame // hop)
    if isinstance(count, int) and count < 1:
        fail(ShapeError, f"frames of {frame} do not fit into {size} (axis {axis})", (x,))
    if not isinstance(count, int) or blocks > MAX_BLOCKS_PER_FRAME:
        return _seen_frames(x, frame, hop, count)
    rows = count + blocks - 1
    assert isinstance(size, int)
    missing = max(0, rows * hop - size)
    x = fn.pad(x, (*((0, 0) for _ in x.shape[:-1]), (0, missing)))
    table = fn.reshape(narrow(x, axis, 0, rows * hop), (*x.shape[:-1], rows, hop))
    shifted = [narrow(table, axis, r, count) for r in range(blocks)]
    return narrow(fn.concat(shifted, axis=axis + 1), axis + 1, 0, frame)


def _seen_frames(x: Tensor, frame: int, hop: int, count: Size) -> Tensor:
    """Frames as what a sliding window sees."""
    axis = x.ndim - 1
    return unfold_windows(x, (Window(axis, axis, axis + 1, hop),), (count,), (frame,))


def overlapped(frames: Tensor, hop: int) -> Tensor:
    """Frames (..., frames, frame) added where they overlap: the transpose of `framed`."""
    *batch, count, frame = frames.shape
    assert isinstance(count, int)
    assert isinstance(frame, int)
    blocks = -(-frame // hop)
    rows, none = count + blocks - 1, ((0, 0),) * len(batch)
    frames = fn.pad(frames, (*none, (0, 0), (0, blocks * hop - frame)))
    total: Tensor | None = None
    for r in range(blocks):
        block = narrow(frames, frames.ndim - 1, r * hop, hop)
        moved = fn.pad(block, (*none, (r, blocks - 1 - r), (0, 0)))
        total = moved if total is None else total + moved
    assert total is not None
    flat = fn.reshape(total, (*batch, rows * hop))
    return narrow(flat, flat.ndim - 1, 0, (count - 1) * hop + frame)
