"""Whole numbers that stand for floats: x = (q - zero point) * scale."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.ir.types import DType, find_dtype, float32
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_conv import convolved
from graphc.onnx.proto import dtype_of


def spread(call: OnnxNode, t: Tensor, x: Tensor) -> Tensor:
    """A scale or zero point (one number, one per slice, or one per block) in the shape of x."""
    if t.ndim == 0 or t.size == 1:
        return gx.reshape(t, ())
    axis, block = call.axis(), call.get("block_size", 0)
    if t.ndim == 1 and not block:
        return gx.reshape(t, tuple(t.shape[0] if i == axis else 1 for i in range(x.ndim)))
    whole = x.shape[axis]
    count = block or -(-call.extent(axis) // call.extent(axis, 1))
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = slice(0, whole)
    return gx.repeat(t, count, axis)[tuple(key)]


def quantize(call: OnnxNode) -> Result:
    """round(x / scale) + zero point, saturated."""
    x, scale = call.x(0), call.x(1)
    zero = call.optional(2)
    number = call.get("output_dtype", 0)
    dtype = dtype_of(number, call.where) if number else None
    wanted = zero.dtype if zero is not None else dtype or find_dtype("uint8")
    assert wanted is not None
    if not wanted.is_integer:
        call.unsupported(f"quantising to {wanted.name}")
    precision = call.get("precision", 0)
    kind = dtype_of(precision, call.where) if precision else scale.dtype
    ratio = gx.astype(x, kind) / gx.astype(spread(call, scale, x), kind)
    return saturated(ratio, None if zero is None else spread(call, zero, x), wanted)


def saturated(ratio: Tensor, zero: Tensor | None, dtype: DType) -> Tensor:
    """The nearest whole numbers (even ones of two), moved by the zero point, within a dtype."""
    wide = gx.astype(gx.clip(gx.round(gx.astype(ratio, "float32")), -(2.0**30), 2.0**30), "int32")
    if zero is not None:
        wide = wide + gx.astype(zero, "int32")
    bounds = np.iinfo(dtype.numpy)
    if dtype.bits < 32:
        wide = gx.clip(wide, int(bounds.min), int(bounds.max))
    return gx.astype(wide, dtype)


def dequantize(call: OnnxNode) -> Result:
    """(x - zero point) * scale."""
    x, scale = call.x(0), call.x(1)
    number = call.get("output_dtype", 0)
    dtype = dtype_of(number, call.where) if number else scale.dtype
    wide = gx.astype(x, "int32")
    if call.has(2):
        wide = wide - gx.astype(spread(call, call.x(2), x), "int32")
    kind = scale.dtype if scale.dtype.bits >= 32 else float32
    return gx.astype(gx.astype(wide, kind) * gx.astype(spread(call, scale, x), kind), dtype)


def centred(call: OnnxNode, i: int, zero: int, axis: int | None = None) -> Tensor:
    """Operand i as int32 without its zero point, which may differ along an axis."""
    x = gx.astype(call.x(i), "int32")
    if not call.has(zero):
        return x
    return x - gx.astype(aligned(call.x(zero), x, axis), "int32")


def aligned(t: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A number, or a vector along an axis, as a term of x."""
    if t.ndim == 0 or t.size == 1:
        return gx.reshape(t, ())
    if t.ndim > 1 or axis is None:
        return t
    place = axis % x.ndim
    return gx.reshape(t, tuple(t.shape[0] if i == place else 1 for i in range(x.ndim)))


def matmul_integer(call: OnnxNode) -> Result:
    """The product of matrices of whole numbers without their zero points."""
    return gx.matmul(centred(call, 0, 2, -2), centred(call, 1, 3, -1))


def quantized_matmul(call: OnnxNode) -> Result:
    """The quantised product of quantised matrices."""
    total = gx.matmul(centred(call, 0, 2, -2), centred(call, 3, 5, -1))
    scale = wide(aligned(call.x(1), total, -2)) * wide(aligned(call.x(4), total, -1))
    return requantized(call, total, scale, 6, 7)


def requantized(call: OnnxNode, total: Tensor, scale: Tensor, to: int, zero: int) -> Tensor:
    """Whole numbers of one scale as those of another."""
    ratio = gx.astype(total, "float32") * (scale / wide(aligned(call.x(to), total, -1)))
    return saturated(ratio, aligned(call.x(zero), total, -1), call.x(zero).dtype)


def wide(t: Tensor) -> Tensor:
    """A scale as float32."""
    return gx.astype(t, "float32")


def conv_integer(call: OnnxNode) -> Result:
    """The convolution of whole numbers without their zero points."""
    return convolved(call, centred(call, 0, 2), centred(call, 1, 3, 0))


def quantized_conv(call: OnnxNode) -> Result:
    """The quantised convolution of quantised tensors."""
    total = convolved(call, centred(call, 0, 2), centred(call, 3, 5, 0), kernel_input=3)
    if call.has(8):
        total = total + aligned(call.x(8), total, 1)
    scale = wide(call.x(1)) * wide(aligned(call.x(4), total, 1))
    ratio = gx.astype(total, "float32") * (scale / wide(aligned(call.x(6), total, 1)))
    return saturated(ratio, aligned(call.x(7), total, 1), call.x(7).dtype)


TABLE: Table = {
    ("QuantizeLinear", 10): quantize,
    ("DequantizeLinear", 10): dequantize,
    ("MatMulInteger", 10): matmul_integer,
    ("QLinearMatMul", 10): quantized_matmul,
    ("ConvInteger", 10): conv_integer,
    ("QLinearConv", 10): quantized_conv,
}
