"""Quantisation: numbers as small integers, q = round(x / scale) + zero_point, and back."""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.frontend.functions.arithmetic import clip
from graphc.frontend.functions.logic import astype, choose, stop_gradient
from graphc.frontend.functions.mathematics import round as round_
from graphc.frontend.functions.operands import (
    cast,
    fail,
    floating,
    is_weak,
    one_axis,
    to_dtype,
    weak,
)
from graphc.frontend.functions.shapes import reshape
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir.types import DType, float32, int32


def quantize(
    x: TensorLike,
    scale: TensorLike,
    zero_point: TensorLike = 0,
    dtype: DTypeLike = "int8",
    axis: int | None = None,
) -> Tensor:
    """x / scale, rounded half to even, plus the zero point, in the range of an integer dtype.

    `scale` and `zero_point` are numbers, or vectors along an axis. There is no gradient.
    """
    t = floating("quantize", x)
    kind = integer_dtype("quantize", dtype)
    step, zero = steps("quantize", t, scale, zero_point, axis)
    bounds = np.iinfo(kind.numpy)
    moved = round_(cast(t, float32) / step) + cast(zero, float32)
    return astype(clip(moved, float(bounds.min), float(bounds.max)), kind)


def dequantize(
    q: TensorLike, scale: TensorLike, zero_point: TensorLike = 0, axis: int | None = None
) -> Tensor:
    """(q - zero_point) * scale, float32."""
    t = lift(q)
    if not t.dtype.is_integer:
        fail(DTypeError, f"dequantize: needs integers, got {t.dtype.name} (input 0)", (t,))
    step, zero = steps("dequantize", t, scale, zero_point, axis)
    return cast(cast(t, int32) - zero, float32) * step


def fake_quantize(
    x: TensorLike,
    scale: TensorLike,
    zero_point: TensorLike = 0,
    dtype: DTypeLike = "int8",
    axis: int | None = None,
) -> Tensor:
    """What is left of x after `quantize` and `dequantize`; the gradient passes straight through
    where x is in range, and is 0 elsewhere. So a network learns with the numbers it will have.
    """
    t = floating("fake_quantize", x)
    kind = integer_dtype("fake_quantize", dtype)
    step, zero = steps("fake_quantize", t, scale, zero_point, axis)
    bounds = np.iinfo(kind.numpy)
    low, high = ((cast(-zero + b, float32)) * step for b in (int(bounds.min), int(bounds.max)))
    kept = choose(t < cast(low, t.dtype), stop_gradient(t), t)
    kept = choose(t > cast(high, t.dtype), stop_gradient(t), kept)
    left = cast(
        dequantize(quantize(t, scale, zero_point, kind, axis), scale, zero_point, axis), t.dtype
    )
    return kept + stop_gradient(left - t)


def integer_dtype(name: str, dtype: DTypeLike) -> DType:
    """A dtype of integers of 16 bits at most, which float32 holds exactly."""
    kind = to_dtype(name, dtype)
    if not kind.is_integer or kind.bits > 16:
        fail(DTypeError, f"{name}: needs integers of 8 or 16 bits, got {kind.name}")
    return kind


def steps(
    name: str, x: Tensor, scale: TensorLike, zero_point: TensorLike, axis: int | None
) -> tuple[Tensor, Tensor]:
    """The scale (float32) and the zero point (int32), each to broadcast against x."""
    step = lift(float(scale), float32) if is_weak(scale) else cast(floating(name, scale), float32)
    zero = weak(name, zero_point, int32) if is_weak(zero_point) else lift(zero_point)
    if not zero.dtype.is_integer:
        fail(
            DTypeError, f"{name}: the zero point must be an integer, got {zero.dtype.name}", (zero,)
        )
    if axis is None:
        return step, cast(zero, int32)
    axis = one_axis(name, axis, x.ndim, (x,))
    size = x.shape[axis]
    for what, t in (("scale", step), ("zero point", zero)):
        if t.ndim > 1 or (t.ndim == 1 and t.shape[0] not in (1, size)):
            fail(
                ShapeError,
                f"{name}: the {what} must be a number or have {size} elements (axis {axis} of"
                f" {x.type}), got {t.type}",
                (x, t),
            )
    shape = (-1,) + (1,) * (x.ndim - axis - 1)
    return tuple(  # type: ignore[return-value]
        reshape(t, shape) if t.ndim else t for t in (step, cast(zero, int32))
    )
