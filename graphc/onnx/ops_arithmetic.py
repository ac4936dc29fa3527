"""Arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import Converter, OnnxNode, Result, Table


def unary(function: Callable[..., Any]) -> Converter:
    """An operator of one operand."""
    return lambda call: function(call.x())


def binary(function: Callable[..., Any]) -> Converter:
    """An operator of two operands that broadcast, in old operator sets at an axis."""
    return lambda call: function(*pair(call))


def pair(call: OnnxNode) -> tuple[Tensor, Tensor]:
    """Two operands; before opset 7 the second one may be aligned at an axis of the first."""
    x, y = call.x(0), call.x(1)
    axis = call.get("axis")
    if call.opset >= 7 or not call.get("broadcast") or axis is None or not y.ndim:
        return x, y
    trailing = x.ndim - call.normal(axis, x.ndim) - y.ndim
    return x, gx.reshape(y, y.shape + (1,) * max(0, trailing))


def variadic(function: Callable[..., Any]) -> Converter:
    """An operator of any number of operands."""
    return lambda call: reduce(function, call.tensors)


def mean(call: OnnxNode) -> Result:
    """The sum of all operands over their number."""
    return reduce(gx.add, call.tensors) / len(call.inputs)


def divide(call: OnnxNode) -> Result:
    """x / y; of integers rounded towards 0."""
    x, y = pair(call)
    if not x.dtype.is_integer:
        return gx.divide(x, y)
    quotient = gx.floor_divide(x, y)
    if x.dtype.kind == "u":
        return quotient
    rounded = (quotient * y != x) & ((x < 0) != (y < 0))
    return quotient + gx.astype(rounded, x.dtype)


def mod(call: OnnxNode) -> Result:
    """The remainder with the sign of y, or with fmod that of x."""
    x, y = pair(call)
    if not call["fmod"]:
        return gx.remainder(x, y)
    if x.dtype.is_float:
        return gx.copysign(gx.remainder(gx.abs(x), gx.abs(y)), x)
    rest = gx.remainder(x, y)  # of the least integer abs(y) would be negative
    return gx.where((rest != 0) & ((rest < 0) != (x < 0)), rest - y, rest)


def power(call: OnnxNode) -> Result:
    """x ** y in the type of x."""
    x, y = pair(call)
    number = scalar(call, 1)
    if number is not None and y.ndim <= x.ndim:
        exponent = int(number) if y.dtype.is_integer else float(number)
        if x.dtype.is_float or isinstance(exponent, int):
            return gx.pow(x, exponent)
    if x.dtype.is_float:
        return gx.pow(x, gx.astype(y, x.dtype))
    if y.dtype.is_float:
        return gx.astype(gx.pow(gx.astype(x, "float64"), gx.astype(y, "float64")), x.dtype)
    return gx.astype(gx.pow(x, y), x.dtype)


def scalar(call: OnnxNode, i: int) -> float | None:
    """Operand i as a Python number if it is known and has one element; else None."""
    array = call.value(i).array
    return array.item() if array is not None and array.size == 1 and array.dtype != object else None


def clip(call: OnnxNode) -> Result:
    """x between two bounds, each of which may be missing."""
    x = call.x()
    if call.opset < 11:
        low, high = call.get("min"), call.get("max")
        return gx.clip(x, bounded(low, x), bounded(high, x))
    low, high = (
        (scalar(call, i) if scalar(call, i) is not None else call.x(i)) if call.has(i) else None
        for i in (1, 2)
    )
    return gx.clip(x, low, high)


def bounded(bound: float | None, x: Tensor) -> float | None:
    """A bound as a number of the dtype; beyond all numbers is no bound."""
    return None if bound is None or abs(bound) > 3.4e38 else bound


def shift(call: OnnxNode) -> Result:
    """Bits moved to the left or to the right."""
    x, y = call.x(0), call.x(1)
    if call["direction"].upper() == "LEFT":
        return gx.bitwise_left_shift(x, y)
    if x.dtype.kind == "i":  # the sign fills what is left; a negative number is a large one
        y = gx.where(y < 0, x.dtype.bits - 1, gx.minimum(y, x.dtype.bits - 1))
    return gx.bitwise_right_shift(x, y)


TABLE: Table = {
    ("Abs", 1): unary(gx.abs),
    ("Neg", 1): unary(gx.negative),
    ("Sign", 9): unary(gx.sign),
    ("Add", 1): binary(gx.add),
    ("Sub", 1): binary(gx.subtract),
    ("Mul", 1): binary(gx.multiply),
    ("Div", 1): divide,
    ("Mod", 10): mod,
    ("Pow", 1): power,
    ("Sum", 1): variadic(gx.add),
    ("Max", 1): variadic(gx.maximum),
    ("Min", 1): variadic(gx.minimum),
    ("Mean", 1): mean,
    ("Clip", 1): clip,
    ("BitShift", 11): shift,
    ("BitwiseAnd", 18): binary(gx.bitwise_and),
    ("BitwiseOr", 18): binary(gx.bitwise_or),
    ("BitwiseXor", 18): binary(gx.bitwise_xor),
    ("BitwiseNot", 18): unary(gx.bitwise_invert),
}
