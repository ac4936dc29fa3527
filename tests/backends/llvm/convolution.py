"""A two-dimensional convolution as a loop nest, and by numpy."""

from __future__ import annotations

import numpy as np

from graphc.ir.loops.combine import DOT
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Apply,
    Axis,
    Buffer,
    Const,
    Expr,
    Kernel,
    Load,
    Loop,
    Ref,
    Stmt,
    Store,
    all_of,
    const,
    index,
)
from graphc.ir.types import bool_, float32, int64
from tests.backends.llvm.chains import chain


def convolution_kernel(
    images: int, height: int, width: int, channels: int, filters: int, taps: int, padded: bool
) -> Kernel:
    """y[i,h,w,f] = sum x[i,h+r,w+s,c] w[r,s,c,f]; with `padded` of the size of x, zeros around."""
    names = ("i", "h", "w", "f", "r", "s", "c")
    axes = {name: Axis(name) for name in names}
    rows = height if padded else height - taps + 1
    columns = width if padded else width - taps + 1
    extents = dict(zip(names, (images, rows, columns, filters, taps, taps, channels)))
    x = Buffer("x", float32, (images, height, width, channels))
    w = Buffer("w", float32, (taps, taps, channels, filters))
    y = Buffer("y", float32, (images, rows, columns, filters))
    at = {name: index(axis) for name, axis in axes.items()}
    pad = (taps - 1) // 2 if padded else 0
    places = [_shift(at["h"], at["r"], pad), _shift(at["w"], at["s"], pad)]
    inside = None
    if padded:
        inside = all_of([c for p, n in zip(places, (height, width)) for c in _within(p, n)])
    total = Ref(float32, "total")
    accumulator = Accumulator(DOT, (total,))
    pixel = Load(float32, x, (at["i"], *places, at["c"]), inside)
    weight = Load(float32, w, (at["r"], at["s"], at["c"], at["f"]))
    body: tuple[Stmt, ...] = (Accumulate(accumulator, (pixel, weight)),)
    for name in "csr":
        owned = (accumulator,) if name == "r" else ()
        body = (Loop(axes[name], const(extents[name]), SEQUENTIAL, body, owned),)
    body = (*body, Store(y, tuple(at[name] for name in "ihwf"), total))
    for name in "fwhi":
        body = (Loop(axes[name], const(extents[name]), PARALLEL, body, lanes=name == "f"),)
    return Kernel("convolution", (x, w), (y,), body)


def _shift(place: Expr, tap: Expr, pad: int) -> Expr:
    return Apply(int64, "sub", (Apply(int64, "add", (place, tap)), Const(int64, pad)))


def _within(place: Expr, size: int) -> list[Expr]:
    return [
        Apply(bool_, "le", (const(0), place)),
        Apply(bool_, "lt", (place, const(size))),
    ]


def convolve(x: np.ndarray, w: np.ndarray, padded: bool) -> np.ndarray:
    """The same by chains over r, s, c."""
    taps, pad = w.shape[0], (w.shape[0] - 1) // 2
    if padded:
        x = np.pad(x, ((0, 0), (pad, taps - 1 - pad), (pad, taps - 1 - pad), (0, 0)))
    rows, columns = x.shape[1] - taps + 1, x.shape[2] - taps + 1
    patches = [x[:, r : r + rows, s : s + columns] for r in range(taps) for s in range(taps)]
    left = np.concatenate(patches, axis=-1)[..., None, :]
    right = w.reshape(-1, w.shape[-1]).T[None, None, None]
    return chain(np.ascontiguousarray(left), np.ascontiguousarray(right), fused=True)
