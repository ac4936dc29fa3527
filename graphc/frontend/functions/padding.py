"""Padding, diagonals and rolls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, AxisError, ShapeError
from graphc.frontend.functions.creation import ones_like
from graphc.frontend.functions.joining import check_counts, tile
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import fail, one_axis
from graphc.frontend.functions.shapes import flatten, narrow, permute_dims, reshape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import AxisLike, TensorLike
from graphc.ir.dims import Poly, Size, bound
from graphc.ir.ops.diagonal import Diagonal
from graphc.ir.ops.padding import EDGE, EXTENSIONS, REFLECT, WRAP, Extend, Roll
from graphc.ir.ops.view import Pad

CONSTANT = "constant"


def pad(x: TensorLike, widths: Any, value: TensorLike = 0, mode: str = CONSTANT) -> Tensor:
    """x with elements around it: widths is an int, a (before, after), or one such pair an axis.

    `mode`: "constant" puts `value` there, "reflect" mirrors at the end elements, "symmetric"
    behind them, "edge" repeats them, "wrap" goes on at the other end.
    """
    t = lift(x)
    if mode != CONSTANT and mode not in EXTENSIONS:
        modes = ", ".join((CONSTANT, *EXTENSIONS))
        fail(ArgumentError, f"pad: mode is one of {modes}, got {mode!r}", (t,))
    pairs = pad_widths(widths, t)
    if not any(width for pair in pairs for width in pair):
        return t
    if mode == CONSTANT:
        return pad_value(t, pairs, value)
    for axis, (before, after) in enumerate(pairs):
        t = extend_axis(t, axis, before, after, mode)
    return t


def pad_value(x: Tensor, pairs: Sequence[tuple[int, int]], value: Any) -> Tensor:
    """One value around x."""
    op = Pad(tuple(b for b, _ in pairs), tuple(a for _, a in pairs), (1,) * x.ndim)
    padded = lift_op(op, x)
    if np.ndim(value) if not isinstance(value, Tensor) else value.ndim:
        fail(ArgumentError, f"pad: value must be a number, got {value!r:.60}", (x,))
    if not isinstance(value, Tensor) and value == 0:
        return padded
    inside = lift_op(op, ones_like(x, dtype="bool"))
    return choose(inside, padded, value)


def pad_widths(widths: Any, x: Tensor) -> list[tuple[int, int]]:
    """One (before, after) for every axis."""
    if isinstance(widths, (int, np.integer)):
        widths = (widths, widths)
    given = list(widths) if isinstance(widths, (tuple, list)) else []
    if len(given) == 2 and all(isinstance(w, int) for w in given):
        given = [tuple(given)] * x.ndim
    flat = [w for pair in given if isinstance(pair, (tuple, list)) for w in pair]
    if len(given) != x.ndim or len(flat) != 2 * x.ndim:
        fail(
            ArgumentError, f"pad: needs one (before, after) an axis of {x.type}, got {widths}", (x,)
        )
    check_counts("pad", flat, x)
    return [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]


def extend_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """x with more elements of its own along an axis, as often round as it takes."""
    size = x.shape[axis]
    if size == 0 and (before or after):
        fail(ShapeError, f"pad: axis {axis} of {x.type} is empty: nothing to {mode}", (x,))
    if size == 1 and mode == REFLECT:
        mode = EDGE
    least = bound(size)
    if mode == WRAP and least is not None and isinstance(size, int) and max(before, after) > size:
        return wrapped(x, axis, before, after, size)
    most = Extend.most(mode, size)  # so far the mirrors of the first elements stand right
    while before or after:
        at_once = most if isinstance(most, int) else max(before, after)
        low, high = min(before, at_once), min(after, at_once)
        x = lift_op(Extend(mode, axis, low, high), x)
        before, after = before - low, after - high
    return x


def wrapped(x: Tensor, axis: int, before: int, after: int, size: int) -> Tensor:
    """Whole copies, cut at both ends."""
    copies = -(-before // size)
    count = copies + 1 + -(-after // size)
    whole = tile(x, tuple(count if i == axis else 1 for i in range(x.ndim)))
    return narrow(whole, axis, copies * size - before, before + size + after)


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal over two axes, as a last axis; `offset` counts diagonals to the right."""
    t = lift(x)
    if t.ndim < 2:
        fail(ShapeError, f"diagonal: needs 2 axes or more, got {t.type}", (t,))
    first, second = (one_axis("diagonal", a, t.ndim, (t,)) for a in (axis1, axis2))
    if first == second:
        fail(AxisError, f"diagonal: both axes are {first}", (t,))
    rest = [i for i in range(t.ndim) if i not in (first, second)]
    return lift_op(Diagonal(offset), permute_dims(t, (*rest, first, second)))


def roll(x: TensorLike, shift: Any, axis: AxisLike = None) -> Tensor:
    """Elements moved along axes; what leaves at the end comes in at the front.

    Without an axis, all elements in row-major order. On an axis of unknown size the shift is at
    most the least size that its dims allow.
    """
    t = lift(x)
    if axis is None:
        return reshape(roll(flatten(t), shift, 0), t.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        fail(ArgumentError, f"roll: {len(shifts)} shifts for {len(axes)} axes", (t,))
    for a, by in zip(axes, shifts):
        a = one_axis("roll", a, t.ndim, (t,))
        if isinstance(by, bool) or not isinstance(by, int):
            fail(ArgumentError, f"roll: a shift is an int, got {by!r}", (t,))
        by = forward(t.shape[a], by)
        t = t if isinstance(by, int) and by == 0 else lift_op(Roll(a, by), t)
    return t


def forward(size: Size, by: int) -> Size:
    """A shift towards the end."""
    if isinstance(size, Poly):
        return by if by >= 0 else size + by
    return by % size if size else 0
