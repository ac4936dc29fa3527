"""Convolutions (correlations, as everywhere in deep learning) and their transposes."""

from __future__ import annotations

from typing import Any

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.operands import fail, same_dtype
from graphc.frontend.functions.shapes import reshape
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size, divide_exactly
from graphc.ir.ops.conv import Conv
from graphc.ir.ops.window import Window
from graphc.ir.precision import current
from graphc.nn.windows import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Extent,
    Padding,
    Sliding,
    channel_axis,
    check_layout,
    check_rank,
    output_size,
    per_axis,
    slidings,
    spatial_axes,
)  # fmt: skip

INPUTS, OUTPUTS, TAPS = "dhw", "opq", "rst"


def conv(
    x: TensorLike,
    w: TensorLike,
    strides: Extent = 1,
    padding: Padding = "valid",
    dilation: Extent = 1,
    groups: int = 1,
    layout: str = CHANNELS_LAST,
) -> Tensor:
    """Slide the kernels w (*spatial, in / groups, out) over x (batch, *spatial, in).

    The rank, 1 to 3 spatial axes, is that of x. `padding` is "valid", "same" (ceil(n / stride)
    outputs; of an odd number of zeros the last is at the end), an int, or a pair (before, after)
    for every spatial axis. The zeros are not multiplied: an infinite or NaN weight reaches only
    results, and gradients, whose windows meet the input with it. With "channels_first" x and the
    result are (batch, channels, *spatial).
    Raises ShapeError where channels or windows do not fit.
    """
    a, b = same_dtype("conv", (x, w))
    rank = check_operands("conv", a, b, layout)
    axes = spatial_axes(layout, a.ndim)
    channel = channel_axis(layout, a.ndim)
    check_groups("conv", a, b, groups, channel)
    expected = b.shape[-2] * groups
    if a.shape[channel] != expected:
        fail(
            ShapeError,
            f"conv: the kernel takes {expected} channels ({groups} groups of {b.shape[-2]}, axis"
            f" {rank} of input 1), the input has {a.shape[channel]} (axis {channel} of input 0)",
            (a, b),
            hint=channel_hint(a, expected, layout),
        )
    arguments = window_arguments("conv", b, strides, dilation, rank, (a, b))
    windows = slidings("conv", a, axes, arguments, padding, (a, b))
    sizes = [output_size("conv", a, axis, window, (a, b)) for axis, window in zip(axes, windows)]
    return _Contraction(rank, groups, layout).forward(a, b, windows, sizes)


def conv_transpose(
    x: TensorLike,
    w: TensorLike,
    strides: Extent = 1,
    padding: Padding = "valid",
    dilation: Extent = 1,
    groups: int = 1,
    layout: str = CHANNELS_LAST,
    output_padding: Extent = 0,
) -> Tensor:
    """The transpose of `conv` with the same arguments; w is (*spatial, out / groups, in).

    The result has, per axis, stride * (n - 1) + dilation * (size - 1) + 1 - padding, and
    `output_padding` more, elements; with "same" it has stride * n.
    """
    a, b = same_dtype("conv_transpose", (x, w))
    rank = check_operands("conv_transpose", a, b, layout)
    axes, channel = spatial_axes(layout, a.ndim), channel_axis(layout, a.ndim)
    check_groups("conv_transpose", a, b, groups, channel)
    if a.shape[channel] != b.shape[-1]:
        fail(
            ShapeError,
            f"conv_transpose: the kernel takes {b.shape[-1]} channels (axis {rank + 1} of input"
            f" 1), the input has {a.shape[channel]} (axis {channel} of input 0)",
            (a, b),
            hint="the last axis of w is that of x: w is (*spatial, out / groups, in)",
        )
    arguments = window_arguments("conv_transpose", b, strides, dilation, rank, (a, b))
    extra = per_axis("conv_transpose", "output_padding", output_padding, rank, 0, (a, b))
    given = "valid" if str(padding) == "same" else padding
    windows = slidings("conv_transpose", a, axes, arguments, given, (a, b))
    sized = [
        transposed_size(a, b, axis, window, more, str(padding) == "same")
        for axis, window, more in zip(axes, windows, extra)
    ]
    return _Contraction(rank, groups, layout).transposed(a, b, sized)


# ------------------------------------------------------------------------ arguments


def check_operands(name: str, x: Tensor, w: Tensor, layout: str) -> int:
    """The number of spatial axes; raises unless both operands have it."""
    check_layout(name, layout, (x, w))
    rank = check_rank(name, x, (x, w))
    if w.ndim != x.ndim:
        fail(
            ShapeError,
            f"{name}: a kernel for {x.type} (input 0) has {rank} spatial axes and two of"
            f" channels, got {w.type} (input 1)",
            (x, w),
            hint="the kernel is (*spatial, in / groups, out) in both layouts",
        )
    return rank


def check_groups(name: str, x: Tensor, w: Tensor, groups: Any, channel: int) -> None:
    """Raise unless the channels of both sides fall into as many equal groups."""
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        fail(ArgumentError, f"{name}: groups must be an int of at least 1, got {groups!r}", (x, w))
    sides = ((x, channel, 0), (w, w.ndim - 1, 1))
    for tensor, axis, number in sides:
        size = tensor.shape[axis]
        if divide_exactly(size, groups) is None:
            fail(
                ShapeError,
                f"{name}: {size} channels (axis {axis} of input {number}) are no multiple of"
                f" {groups} groups",
                (x, w),
            )


def channel_hint(x: Tensor, expected: Size, layout: str) -> str | None:
    """The other layout, if it would fit."""
    other = CHANNELS_LAST if layout == CHANNELS_FIRST else CHANNELS_FIRST
    fits = x.shape[channel_axis(other, x.ndim)] == expected
    return f"layout={other!r} would fit" if fits else None


def window_arguments(
    name: str, w: Tensor, strides: Extent, dilation: Extent, rank: int, operands: tuple[Tensor, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Sizes, strides and dilations of the windows."""
    sizes = w.shape[:rank]
    for axis, size in enumerate(sizes):
        if not isinstance(size, int) or size < 1:
            fail(
                ShapeError,
                f"{name}: the window's size must be known and at least 1, got {size}"
                f" (axis {axis} of input 1)",
                operands,
            )
    known = tuple(size for size in sizes if isinstance(size, int))
    return (
        known,
        per_axis(name, "strides", strides, rank, 1, operands),
        per_axis(name, "dilation", dilation, rank, 1, operands),
    )


def transposed_size(
    x: Tensor, w: Tensor, axis: int, window: Sliding, more: int, same: bool
) -> tuple[Sliding, Size]:
    """The window, padded, and the size of which the input is what `conv` makes."""
    size = x.shape[axis]
    if more >= max(window.stride, window.dilation) or (same and more):
        limit = max(window.stride, window.dilation)
        fail(
            ArgumentError,
            f"conv_transpose: output_padding {more} must be below {limit}"
            + (' and 0 with padding "same"' if same else ""),
            (x, w),
        )
    if same:
        total = max(0, window.span - window.stride)
        padded = Sliding(window.size, window.stride, window.dilation, total // 2, 0)
        return padded, size * window.stride
    result = (size - 1) * window.stride + window.span - window.before - window.after + more
    if isinstance(result, int) and result < 0:
        fail(
            ShapeError,
            f"conv_transpose: padding {window.before} and {window.after} leaves {result} elements"
            f" of {size} (axis {axis} of input 0)",
            (x, w),
        )
    return window, result


# ------------------------------------------------------------------------ the contraction


class _Contraction:
    """Labels of the axes, and the views that split channels into groups."""

    def __init__(self, rank: int, groups: int, layout: str) -> None:
        self.rank, self.groups, self.layout = rank, groups, layout

    def forward(
        self, x: Tensor, w: Tensor, windows: tuple[Sliding, ...], sizes: list[Size]
    ) -> Tensor:
        """The convolution of x and w."""
        whole = self._shape(x.shape[0], sizes, w.shape[-1])
        split, x_text = self._grouped(x, INPUTS[-self.rank :], "c")
        kernel, w_text = self._kernel(w)
        shape, y_text = self._grouped_shape(whole, OUTPUTS[: self.rank], "k")
        op = Conv(
            labels(x_text), labels(w_text), labels(y_text), self._windows(windows), shape, current()
        )
        return reshape(lift_op(op, split, kernel), whole)

    def transposed(self, x: Tensor, w: Tensor, sized: list[tuple[Sliding, Size]]) -> Tensor:
        """What has x as its cotangent in a convolution with w."""
        whole = self._shape(x.shape[0], [n for _, n in sized], w.shape[-2] * self.groups)
        split, x_text = self._grouped(x, OUTPUTS[: self.rank], "k")
        kernel, w_text = self._kernel(w)
        shape, y_text = self._grouped_shape(whole, INPUTS[-self.rank :], "c")
        windows = self._windows(tuple(window for window, _ in sized))
        op = Conv(labels(x_text), labels(w_text), labels(y_text), windows, shape, current())
        return reshape(lift_op(op, split, kernel), whole)

    def _shape(self, batch: Size, sizes: list[Size], channels: Size) -> tuple[Size, ...]:
        if self.layout == CHANNELS_FIRST:
            return (batch, channels, *sizes)
        return (batch, *sizes, channels)

    def _grouped(self, x: Tensor, spatial: str, channel: str) -> tuple[Tensor, str]:
        """x with an axis of groups if there are several, and the letters of its axes."""
        shape, text = self._grouped_shape(x.shape, spatial, channel)
        return reshape(x, shape), text

    def _grouped_shape(
        self, shape: tuple[Size, ...], spatial: str, channel: str
    ) -> tuple[tuple[Size, ...], str]:
        axis = channel_axis(self.layout, len(shape))
        text = f"n{channel}{spatial}" if self.layout == CHANNELS_FIRST else f"n{spatial}{channel}"
        if self.groups == 1:
            return shape, text
        each = divide_exactly(shape[axis], self.groups)
        assert each is not None
        split = (self.groups, each)
        return (*shape[:axis], *split, *shape[axis + 1 :]), text.replace(channel, f"g{channel}")

    def _kernel(self, w: Tensor) -> tuple[Tensor, str]:
        taps = TAPS[: self.rank]
        if self.groups == 1:
            return w, f"{taps}ck"
        *most, size = w.shape
        each = divide_exactly(size, self.groups)
        assert each is not None
        return reshape(w, (*most, self.groups, each)), f"{taps}cgk"

    def _windows(self, windows: tuple[Sliding, ...]) -> tuple[Window, ...]:
        letters = zip(INPUTS[-self.rank :], OUTPUTS, TAPS)
        return tuple(
            Window(*labels_of(three), w.stride, w.dilation, w.before)
            for three, w in zip(letters, windows)
        )


def labels(text: str) -> tuple[int, ...]:
    """Letters as labels."""
    return tuple(ord(letter) - ord("a") for letter in text)


def labels_of(three: tuple[str, str, str]) -> tuple[int, int, int]:
    """Three letters as labels."""
    i, o, t = labels("".join(three))
    return i, o, t
