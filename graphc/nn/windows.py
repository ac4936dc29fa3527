"""What convolutions and pooling have in common: layouts, windows, padding, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.operands import fail
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Poly, Size, ceildiv, floordiv, min_size

CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"
RANKS = (1, 2, 3)
Extent: TypeAlias = int | Sequence[int] | None  # one for every spatial axis, or for all
Padding: TypeAlias = str | int | Sequence[Sequence[int]]  # "same", "valid", (before, after)


@dataclass(frozen=True)
class Sliding:
    """A window along one spatial axis: `before` and `after` count zeros around the input."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def span(self) -> int:
        """How many inputs one output reaches over."""
        return self.dilation * (self.size - 1) + 1


def check_layout(name: str, layout: str, tensors: Sequence[Tensor]) -> None:
    """Raise unless the layout is one of the two."""
    if layout not in (CHANNELS_LAST, CHANNELS_FIRST):
        fail(
            ArgumentError,
            f"{name}: no layout is called {layout!r}",
            tensors,
            hint=f"{CHANNELS_LAST!r} (batch, *spatial, channels) or {CHANNELS_FIRST!r}",
        )


def spatial_axes(layout: str, ndim: int) -> tuple[int, ...]:
    """The spatial axes of a tensor with a batch and a channel axis."""
    return tuple(range(2, ndim)) if layout == CHANNELS_FIRST else tuple(range(1, ndim - 1))


def channel_axis(layout: str, ndim: int) -> int:
    """The axis of the channels."""
    return 1 if layout == CHANNELS_FIRST else ndim - 1


def check_rank(name: str, x: Tensor, operands: Sequence[Tensor]) -> int:
    """The number of spatial axes of x; raises unless there are 1 to 3."""
    rank = x.ndim - 2
    if rank not in RANKS:
        fail(
            ShapeError,
            f"{name}: needs a batch, a channel and 1 to 3 spatial axes, got {x.type} (input 0)",
            operands,
            hint="add axes of size 1 with expand_dims" if rank < 1 else None,
        )
    return rank


def per_axis(
    name: str, what: str, value: Any, rank: int, least: int, operands: Sequence[Tensor]
) -> tuple[int, ...]:
    """An int for every spatial axis, from one for all or one for each."""
    several = isinstance(value, (tuple, list))
    listed = tuple(value) if several else (value,) * rank
    wrong = [v for v in listed if not is_integer(v) or v < least]
    if wrong or len(listed) != rank:
        found = f"{what} {value!r}" if several else f"{what} {value!r} for each axis"
        fail(
            ArgumentError,
            f"{name}: {what} must be {rank} ints of at least {least}, got {found}",
            operands,
            hint="one int serves all axes",
        )
    return tuple(int(v) for v in listed)


def is_integer(value: object) -> bool:
    """Whether a value is an int, of Python or numpy, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def slidings(
    name: str,
    x: Tensor,
    axes: Sequence[int],
    arguments: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    padding: Padding,
    operands: Sequence[Tensor],
) -> tuple[Sliding, ...]:
    """The windows along the spatial axes `axes` of x; `arguments` are sizes, strides, dilations."""
    found = []
    pairs = None if isinstance(padding, str) else padding_pairs(name, padding, len(axes), operands)
    for number, (axis, size, stride, dilation) in enumerate(zip(axes, *arguments)):
        before, after = (0, 0) if pairs is None else pairs[number]
        if padding == "same":
            total = same_total(name, x, axis, dilation * (size - 1) + 1, stride, operands)
            before, after = total // 2, total - total // 2
        elif isinstance(padding, str) and padding != "valid":
            bad_padding(name, padding, operands)
        found.append(Sliding(size, stride, dilation, before, after))
    return tuple(found)


def padding_pairs(
    name: str, padding: Any, rank: int, operands: Sequence[Tensor]
) -> tuple[tuple[int, int], ...]:
    """(before, after) for every spatial axis."""
    if is_integer(padding) and padding >= 0:
        return ((int(padding), int(padding)),) * rank
    if not isinstance(padding, (tuple, list)) or len(padding) != rank:
        bad_padding(name, padding, operands)
    for pair in padding:
        right = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not right or not all(is_integer(p) and p >= 0 for p in pair):
            bad_padding(name, padding, operands)
    return tuple((int(a), int(b)) for a, b in padding)


def bad_padding(name: str, padding: Padding, operands: Sequence[Tensor]) -> None:
    """Complain about a padding argument."""
    fail(
        ArgumentError,
        f"{name}: padding {padding!r} is none",
        operands,
        hint='"valid", "same", an int, or a pair (before, after) for every spatial axis',
    )


def same_total(
    name: str, x: Tensor, axis: int, span: int, stride: int, operands: Sequence[Tensor]
) -> int:
    """The zeros that make ceil(size / stride) outputs."""
    size = x.shape[axis]
    if stride == 1:
        return span - 1
    if isinstance(size, Poly):
        fail(
            ShapeError,
            f'{name}: padding "same" with strides needs a known size, got {size}'
            f" (axis {axis} of input 0)",
            operands,
            hint="give pairs (before, after)",
        )
    return max(0, (-(-size // stride) - 1) * stride + span - size)


def output_size(
    name: str, x: Tensor, axis: int, window: Sliding, operands: Sequence[Tensor], ceil: bool = False
) -> Size:
    """How many positions a window has; raises where it is larger than the padded input."""
    size = x.shape[axis]
    around = window.before + window.after
    left = size + around - window.span
    if size == 0 and around == 0:
        return 0
    if isinstance(left, int) and left < 0:
        fail(
            ShapeError,
            f"{name}: the window reaches over {window.span}, the padded input has"
            f" {size + around} (axis {axis} of input 0)",
            operands,
            hint='padding="same" keeps the size' if window.stride == 1 else None,
        )
    if not ceil:
        return floordiv(left, window.stride) + 1
    outputs = ceildiv(left, window.stride) + 1
    if window.after + window.stride <= window.span:
        return outputs
    # no window starts in the zeros behind the input
    return min_size(outputs, ceildiv(size + window.before, window.stride))
