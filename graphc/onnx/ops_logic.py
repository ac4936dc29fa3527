"""Comparisons, logic, choice and conversion."""

from __future__ import annotations

from onnx import TensorProto

import graphc as gx
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir.ops.elementwise_logic import Bitcast
from graphc.ir.types import DType, bool_
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_arithmetic import binary, unary
from graphc.onnx.proto import dtype_of


def equal(call: OnnxNode) -> Result:
    """x == y."""
    return binary(gx.equal)(call)


def is_inf(call: OnnxNode) -> Result:
    """Whether infinite, with a choice of signs."""
    x = call.x()
    positive = x == float("inf") if call["detect_positive"] else gx.zeros_like(x, dtype="bool")
    negative = x == float("-inf") if call["detect_negative"] else gx.zeros_like(x, dtype="bool")
    return positive | negative


def where(call: OnnxNode) -> Result:
    """One of two, by a condition."""
    return gx.where(call.x(0), call.x(1), call.x(2))


def cast(call: OnnxNode) -> Result:
    """Another element type."""
    return converted(call, call.x(), dtype_of(number_to(call), call.where))


def number_to(call: OnnxNode) -> int:
    """The wanted element type; in old files a word."""
    to = call["to"]
    return TensorProto.DataType.Value(to) if isinstance(to, str) else int(to)


def cast_like(call: OnnxNode) -> Result:
    """The element type of another operand."""
    return converted(call, call.x(), call.x(1).dtype)


def converted(call: OnnxNode, x: Tensor, dtype: DType) -> Tensor:
    """x as another dtype; integers keep their low bits, floats to integers are truncated."""
    return gx.astype(x, dtype)


def bit_cast(call: OnnxNode) -> Result:
    """The same bits as another type of the same width."""
    x, dtype = call.x(), dtype_of(number_to(call), call.where)
    if dtype == x.dtype:
        return x
    if bool_ in (x.dtype, dtype):  # one byte, 0 or 1
        return gx.astype(x, dtype)
    return lift_op(Bitcast(dtype), x)


TABLE: Table = {
    ("And", 1): binary(gx.logical_and),
    ("Or", 1): binary(gx.logical_or),
    ("Xor", 1): binary(gx.logical_xor),
    ("Not", 1): unary(gx.logical_not),
    ("Equal", 1): equal,
    ("Less", 1): binary(gx.less),
    ("Greater", 1): binary(gx.greater),
    ("LessOrEqual", 12): binary(gx.less_equal),
    ("GreaterOrEqual", 12): binary(gx.greater_equal),
    ("IsNaN", 9): unary(gx.isnan),
    ("IsInf", 10): is_inf,
    ("Where", 9): where,
    ("Cast", 1): cast,
    ("CastLike", 15): cast_like,
    ("BitCast", 26): bit_cast,
}
