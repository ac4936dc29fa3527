"""Elementwise ops as ONNX: one operator, or a formula of several."""

from __future__ import annotations

import math

import numpy as np

from graphc.ir import ops
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.types import DType, find_dtype, float32
from graphc.onnx.writer import Rule, Writer

SAME: dict[type[Op], str] = {
    ops.Add: "Add", ops.Sub: "Sub", ops.Mul: "Mul", ops.Div: "Div", ops.Pow: "Pow",
    ops.Neg: "Neg", ops.Abs: "Abs", ops.Sign: "Sign", ops.Relu: "Relu", ops.Exp: "Exp",
    ops.Log: "Log", ops.Sqrt: "Sqrt", ops.Tanh: "Tanh", ops.Sigmoid: "Sigmoid",
    ops.Softplus: "Softplus", ops.Sin: "Sin", ops.Cos: "Cos", ops.Erf: "Erf", ops.Asin: "Asin",
    ops.Acos: "Acos", ops.Atan: "Atan", ops.Sinh: "Sinh", ops.Cosh: "Cosh", ops.Asinh: "Asinh",
    ops.Acosh: "Acosh", ops.Atanh: "Atanh", ops.Floor: "Floor", ops.Ceil: "Ceil",
    ops.Round: "Round", ops.Less: "Less", ops.LessEqual: "LessOrEqual", ops.Equal: "Equal",
    ops.LogicalAnd: "And", ops.LogicalOr: "Or", ops.LogicalNot: "Not", ops.Where: "Where",
}  # fmt: skip
BITS: dict[type[Op], tuple[str, str]] = {
    ops.BitAnd: ("BitwiseAnd", "And"), ops.BitOr: ("BitwiseOr", "Or"),
    ops.BitXor: ("BitwiseXor", "Xor"), ops.BitNot: ("BitwiseNot", "Not"),
}  # fmt: skip


def same(w: Writer, node: Node, *xs: str) -> str:
    """The equivalent ONNX operator."""
    return w.pointwise(SAME[type(node.op)], *xs, hint=node.name or None)


def given(w: Writer, node: Node, *xs: str) -> str:
    """The first input itself, in its full shape."""
    return w[node.inputs[0]]


def bits(w: Writer, node: Node, *xs: str) -> str:
    """Bit by bit; of bool the logical operator."""
    whole, logical = BITS[type(node.op)]
    return str(w.op(logical if dtype_of(node).kind == "b" else whole, *xs))


def dtype_of(node: Node) -> DType:
    """The dtype of the operands."""
    return node.inputs[0].type.dtype


def not_equal(w: Writer, node: Node, x: str, y: str) -> str:
    """not (x == y)"""
    return str(w.op("Not", w.op("Equal", x, y)))


def extreme(kind: str, logical: str) -> Rule:
    """Max or Min; of bool the logical operator."""

    def rule(w: Writer, node: Node, x: str, y: str) -> str:
        return w.pointwise(logical if dtype_of(node).kind == "b" else kind, x, y)

    return rule


def exp2(w: Writer, node: Node, x: str) -> str:
    """2 ** x"""
    return str(w.op("Pow", w.number(2, dtype_of(node)), x))


def expm1(w: Writer, node: Node, x: str) -> str:
    """2 sinh(x / 2) exp(x / 2), which is exact near 0; -1 where the factors would overflow"""
    least = w.number(-16 if dtype_of(node).bits < 32 else -80, dtype_of(node))
    x = w.op("Where", w.op("Less", x, least), least, x)
    half = w.op("Mul", x, w.number(0.5, dtype_of(node)))
    product = w.op("Mul", w.op("Sinh", half), w.op("Exp", half))
    return str(w.op("Add", product, product))


def log1p(w: Writer, node: Node, x: str) -> str:
    """log(u) x / (u - 1) for u = 1 + x, x where u is 1"""
    one = w.number(1, dtype_of(node))
    u = w.op("Add", x, one)
    rounded, is_one = w.op("Sub", u, one), w.op("Equal", u, one)
    factor = w.op("Div", x, w.op("Where", is_one, one, rounded))
    infinite = w.op("IsInf", x)
    factor = w.op("Where", infinite, one, factor)
    return str(w.op("Where", is_one, x, w.op("Mul", w.op("Log", u), factor)))


def log2(w: Writer, node: Node, x: str) -> str:
    """log(x) / log(2)"""
    return str(w.op("Mul", w.op("Log", x), w.number(1 / math.log(2), dtype_of(node))))


def erfc(w: Writer, node: Node, x: str) -> str:
    """1 - erf(x)"""
    return str(w.op("Sub", w.number(1, dtype_of(node)), w.op("Erf", x)))


def trunc(w: Writer, node: Node, x: str) -> str:
    """sign(x) floor(abs(x))"""
    return str(w.op("Mul", w.op("Sign", x), w.op("Floor", w.op("Abs", x))))


def remainder(w: Writer, node: Node, x: str, y: str) -> str:
    """Mod; of floats with the sign of the divisor."""
    dtype = dtype_of(node)
    if not dtype.is_float:
        return str(w.op("Mod", x, y))
    zero = w.number(0, dtype)
    rest = w.op("Mod", x, y, fmod=1)
    other_sign = w.op("Xor", w.op("Less", rest, zero), w.op("Less", y, zero))
    moved = w.op("And", other_sign, w.op("Not", w.op("Equal", rest, zero)))
    return str(w.op("Where", moved, w.op("Add", rest, y), rest))


def floor_divide(w: Writer, node: Node, x: str, y: str) -> str:
    """Rounded down; ONNX rounds whole numbers towards 0."""
    dtype = dtype_of(node)
    if dtype.is_float:
        return str(w.op("Floor", w.op("Div", x, y)))
    return str(w.op("Div", w.op("Sub", x, w.op("Mod", x, y)), y))


def hypot(w: Writer, node: Node, x: str, y: str) -> str:
    """larger * sqrt(1 + (smaller / larger)^2)"""
    a, b = w.op("Abs", x), w.op("Abs", y)
    larger, smaller = w.op("Max", a, b), w.op("Min", a, b)
    one = w.number(1, dtype_of(node))
    none = w.op("Equal", larger, w.number(0, dtype_of(node)))
    ratio = w.op("Div", smaller, w.op("Where", none, one, larger))
    return str(w.op("Mul", larger, w.op("Sqrt", w.op("Add", one, w.op("Mul", ratio, ratio)))))


def atan2(w: Writer, node: Node, y: str, x: str) -> str:
    """atan(y / x), moved by half a turn where x is negative"""
    dtype = dtype_of(node)
    zero, one, pi = (w.number(v, dtype) for v in (0, 1, math.pi))
    upright = w.op("Equal", x, zero)
    slope = w.op("Atan", w.op("Div", y, w.op("Where", upright, one, x)))
    half = w.op("Where", w.op("Less", y, zero), w.op("Neg", pi), pi)
    turned = w.op("Where", w.op("Less", x, zero), w.op("Add", slope, half), slope)
    quarter = w.op("Mul", w.op("Sign", y), w.number(math.pi / 2, dtype))
    return str(w.op("Where", upright, quarter, turned))


def copysign(w: Writer, node: Node, x: str, y: str) -> str:
    """abs(x), or -abs(x) where y is below 0 (1 / y where y is 0)"""
    dtype = dtype_of(node)
    zero, size = w.number(0, dtype), w.op("Abs", x)
    none = w.op("Equal", y, zero)
    sign = w.op("Where", none, w.op("Div", w.number(1, dtype), y), y)
    return str(w.op("Where", w.op("Less", sign, zero), w.op("Neg", size), size))


def cast(w: Writer, node: Node, x: str) -> str:
    """Elements of another type; from floats to integers NaN gives 0 and the ends stay."""
    given, dtype = dtype_of(node), node.type.dtype
    if not (given.is_float and dtype.is_integer):
        return w.cast(x, dtype)
    if given.bits < 32:
        x, given = w.cast(x, float32), float32
    ends = np.iinfo(dtype.numpy)
    # the numbers of the float type that are nearest to the ends, inside
    low, high = (given.numpy.type(end) for end in (ends.min, ends.max))
    high = high if int(high) <= ends.max else np.nextafter(high, given.numpy.type(0))
    least, most = w.number(low, given), w.number(high, given)
    known = w.op("Where", w.op("IsNaN", x), w.number(0, given), x)
    found = w.cast(w.op("Min", w.op("Max", known, least), most), dtype)
    return str(w.op("Where", w.op("Less", most, x), w.number(ends.max, dtype), found))


def shift(direction: str) -> Rule:
    """Shifts by the width or more give 0; ONNX shifts unsigned numbers only."""

    def rule(w: Writer, node: Node, x: str, y: str) -> str:
        dtype = dtype_of(node)
        if dtype.kind != "u" and direction == "RIGHT":
            w.unsupported(node, f"of {dtype.name} has no counterpart in ONNX")
        unsigned = find_dtype(f"uint{dtype.bits}")
        assert unsigned is not None
        if dtype != unsigned:
            x, y = w.cast(x, unsigned), w.cast(y, unsigned)
        inside = w.op("Less", y, w.number(dtype.bits, unsigned))
        zero = w.number(0, unsigned)
        moved = w.op("BitShift", x, w.op("Where", inside, y, zero), direction=direction)
        moved = w.op("Where", inside, moved, zero)
        return str(moved if dtype == unsigned else w.cast(moved, dtype))

    return rule


RULES: dict[type[Op], Rule] = {
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(BITS, bits),
    ops.NotEqual: not_equal,
    ops.Maximum: extreme("Max", "Or"),
    ops.Minimum: extreme("Min", "And"),
    ops.Exp2: exp2,
    ops.Expm1: expm1,
    ops.Log1p: log1p,
    ops.Log2: log2,
    ops.Erfc: erfc,
    ops.Trunc: trunc,
    ops.Remainder: remainder,
    ops.FloorDivide: floor_divide,
    ops.Hypot: hypot,
    ops.Atan2: atan2,
    ops.CopySign: copysign,
    ops.Cast: cast,
    ops.ShiftLeft: shift("LEFT"),
    ops.ShiftRight: shift("RIGHT"),
    ops.StopGradient: given,
    ops.Stored: given,
    ops.Guard: given,
}
