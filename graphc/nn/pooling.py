"""Pooling: reductions over windows that slide along the spatial axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from graphc.errors import ArgumentError, DTypeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, fail, floating, widened
from graphc.frontend.functions.shapes import unfold_windows
from graphc.frontend.tensor import Tensor, lift, lift_op, literal
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size
from graphc.ir.ops.reduce import FirstMax, Sum
from graphc.ir.ops.window import Window
from graphc.ir.types import DType, bool_
from graphc.nn.windows import (
    CHANNELS_LAST,
    Extent,
    Padding,
    Sliding,
    check_layout,
    check_rank,
    output_size,
    per_axis,
    slidings,
    spatial_axes,
)  # fmt: skip


def max_pool(
    x: TensorLike,
    window: Extent,
    strides: Extent = None,
    padding: Padding = "valid",
    dilation: Extent = 1,
    layout: str = CHANNELS_LAST,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window, of those inside x; the gradient goes to the first.

    `window`, `strides` (default: the window), `dilation` and `padding` as for `conv`. With
    `ceil_mode` a last window that reaches beyond the end counts, if it starts inside.
    """
    a = lift(x)
    if a.dtype.kind == "b":
        fail(DTypeError, f"max_pool: needs numbers, got {a.type}", (a,))
    pool = _Pool("max_pool", a, window, strides, padding, dilation, layout, ceil_mode)
    seen = pool.seen(a)
    if not pool.inside:
        seen = choose(pool.exists(), seen, lowest(a.dtype))
    return lift_op(FirstMax(pool.taps), seen)


def avg_pool(
    x: TensorLike,
    window: Extent,
    strides: Extent = None,
    padding: Padding = "valid",
    dilation: Extent = 1,
    layout: str = CHANNELS_LAST,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Tensor:
    """The mean of each window: of its elements inside x, or with the zeros of the padding too."""
    a = floating("avg_pool", x)
    pool = _Pool("avg_pool", a, window, strides, padding, dilation, layout, ceil_mode)
    wide = widened(a)
    total = lift_op(Sum(pool.taps), pool.seen(wide))
    return cast(total / pool.counts(wide.dtype, count_include_pad), a.dtype)


def lp_pool(
    x: TensorLike,
    window: Extent,
    p: float = 2.0,
    strides: Extent = None,
    padding: Padding = "valid",
    dilation: Extent = 1,
    layout: str = CHANNELS_LAST,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum |x|^p)^(1/p) of each window."""
    a = floating("lp_pool", x)
    check_power("lp_pool", a, p)
    pool = _Pool("lp_pool", a, window, strides, padding, dilation, layout, ceil_mode)
    powers = lift_op(Sum(pool.taps), pool.seen(power(widened(a), p)))
    return cast(root(powers, p), a.dtype)


def global_max_pool(x: TensorLike, layout: str = CHANNELS_LAST, keepdims: bool = False) -> Tensor:
    """The largest element over the spatial axes; the gradient goes to the first."""
    a, axes = global_axes("global_max_pool", x, layout)
    result = lift_op(FirstMax(axes), a)
    return fn.expand_dims(result, axes) if keepdims else result


def global_avg_pool(x: TensorLike, layout: str = CHANNELS_LAST, keepdims: bool = False) -> Tensor:
    """The mean over the spatial axes."""
    a, axes = global_axes("global_avg_pool", floating("global_avg_pool", x), layout)
    return fn.mean(a, axis=axes, keepdims=keepdims)


def global_lp_pool(
    x: TensorLike, p: float = 2.0, layout: str = CHANNELS_LAST, keepdims: bool = False
) -> Tensor:
    """(sum |x|^p)^(1/p) over the spatial axes."""
    a, axes = global_axes("global_lp_pool", floating("global_lp_pool", x), layout)
    check_power("global_lp_pool", a, p)
    return cast(root(fn.sum(power(widened(a), p), axis=axes, keepdims=keepdims), p), a.dtype)


# ------------------------------------------------------------------------ pieces


def global_axes(name: str, x: TensorLike, layout: str) -> tuple[Tensor, tuple[int, ...]]:
    """The tensor and its spatial axes."""
    a = lift(x)
    check_layout(name, layout, (a,))
    check_rank(name, a, (a,))
    return a, spatial_axes(layout, a.ndim)


def check_power(name: str, x: Tensor, p: float) -> None:
    """Raise unless p is positive."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not p > 0:
        fail(ArgumentError, f"{name}: p must be a positive number, got {p!r}", (x,))


def power(x: Tensor, p: float) -> Tensor:
    """|x|^p."""
    if p == 1:
        return fn.abs(x)
    return x * x if p == 2 else fn.pow(fn.abs(x), float(p))


def root(x: Tensor, p: float) -> Tensor:
    """x^(1/p)."""
    if p == 1:
        return x
    return fn.sqrt(x) if p == 2 else fn.pow(x, 1.0 / p)


def lowest(dtype: DType) -> Tensor:
    """What is below every number."""
    return literal(-math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min), dtype)


class _Pool:
    """The windows of one pooling."""

    def __init__(
        self,
        name: str,
        x: Tensor,
        window: Extent,
        strides: Extent,
        padding: Padding,
        dilation: Extent,
        layout: str,
        ceil_mode: bool,
    ) -> None:
        check_layout(name, layout, (x,))
        rank = check_rank(name, x, (x,))
        sizes = per_axis(name, "window", window, rank, 1, (x,))
        steps = sizes if strides is None else per_axis(name, "strides", strides, rank, 1, (x,))
        spread = per_axis(name, "dilation", dilation, rank, 1, (x,))
        self.x, self.axes = x, spatial_axes(layout, x.ndim)
        self.slides = slidings(name, x, self.axes, (sizes, steps, spread), padding, (x,))
        self.outputs = [
            output_size(name, x, axis, slide, (x,), ceil_mode)
            for axis, slide in zip(self.axes, self.slides)
        ]
        self.taps = tuple(range(x.ndim, x.ndim + rank))

    @property
    def inside(self) -> bool:
        """Whether no window reaches outside."""
        return all(self._inside(i) for i in range(len(self.axes)))

    def _inside(self, number: int) -> bool:
        left = self.x.shape[self.axes[number]] - self._reach(number)
        return self.slides[number].before == 0 and isinstance(left, int) and left >= 0

    def seen(self, x: Tensor) -> Tensor:
        """What each window sees: the shape of the result, then the taps."""
        return slide(x, self.axes, self.slides, self.outputs)

    def exists(self) -> Tensor:
        """Where a window sees an element of x; broadcasts against `seen`."""
        sizes = tuple(s if i in self.axes else 1 for i, s in enumerate(self.x.shape))
        return self.seen(fn.broadcast_to(literal(True, bool_), sizes))

    def counts(self, dtype: DType, padded: bool) -> Tensor:
        """By how many elements the sum of each window is divided; broadcasts against it."""
        whole, varying = 1, []
        for number, axis in enumerate(self.axes):
            window, size = self.slides[number], self.x.shape[axis]
            before = 0 if padded else window.before
            if padded:
                size = size + window.before + window.after
            left = size + before - self._reach(number)
            if before == 0 and isinstance(left, int) and left >= 0:
                whole *= window.size
                continue
            ones = fn.broadcast_to(literal(1.0, dtype), (size,))
            moved = Sliding(window.size, window.stride, window.dilation, before, 0)
            outputs = [self.outputs[number]]
            along = lift_op(Sum((1,)), slide(ones, (0,), (moved,), outputs))
            shape = tuple(outputs[0] if i == axis else 1 for i in range(self.x.ndim))
            varying.append(fn.reshape(along, shape))
        return functools.reduce(fn.multiply, varying, literal(float(whole), dtype))

    def _reach(self, number: int) -> Size:
        """Where the last window ends, counted from the start of the first."""
        window = self.slides[number]
        return (self.outputs[number] - 1) * window.stride + window.span


def slide(
    x: Tensor, axes: Sequence[int], slides: Sequence[Sliding], outputs: Sequence[Size]
) -> Tensor:
    """x seen through windows along axes; new last axes hold the taps."""
    windows = tuple(
        Window(axis, axis, x.ndim + i, s.stride, s.dilation, s.before)
        for i, (axis, s) in enumerate(zip(axes, slides))
    )
    return unfold_windows(x, windows, tuple(outputs), tuple(s.size for s in slides))
