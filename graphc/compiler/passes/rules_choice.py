"""Rules of choices, truth values, bits and conversions; all of them exact."""

from __future__ import annotations

from graphc.compiler.passes.patterns import EXPONENT, MANTISSA, Rules, full, number, pairs
from graphc.ir.graph import Node, apply
from graphc.ir.ops.elementwise_logic import (
    BitAnd,
    Bitcast,
    BitNot,
    BitOr,
    BitXor,
    Cast,
    Equal,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    NotEqual,
    ShiftLeft,
    ShiftRight,
    StopGradient,
    Where,
)
from graphc.ir.ops.gather import Guard
from graphc.ir.types import DType, bool_


def where_same(node: Node) -> Node | None:
    """where(c, x, x)  ->  x"""
    _, x, y = node.inputs
    return x if x is y else None


def where_known(node: Node) -> Node | None:
    """where(true, x, y)  ->  x,   where(false, x, y)  ->  y"""
    c, x, y = node.inputs
    value = number(c)
    return None if value is None else (x if value else y)


def where_not(node: Node) -> Node | None:
    """where(not c, x, y)  ->  where(c, y, x)"""
    c, x, y = node.inputs
    return apply(Where(), c.inputs[0], y, x) if isinstance(c.op, LogicalNot) else None


def where_nested(node: Node) -> Node | None:
    """where(c, where(c, x, _), where(c, _, y))  ->  where(c, x, y)"""
    c, x, y = node.inputs
    first = x.inputs[1] if isinstance(x.op, Where) and x.inputs[0] is c else x
    second = y.inputs[2] if isinstance(y.op, Where) and y.inputs[0] is c else y
    return None if first is x and second is y else apply(Where(), c, first, second)


def where_of_truth(node: Node) -> Node | None:
    """where(c, true, false)  ->  c,   where(c, false, true)  ->  not c"""
    c, x, y = node.inputs
    if node.type.dtype != bool_ or number(x) is None or number(y) is None:
        return None
    if number(x) == number(y):  # two nodes, not merged yet
        return x
    return c if number(x) else apply(LogicalNot(), c)


def and_known(node: Node) -> Node | None:
    """x and true, x and x  ->  x,   x and false  ->  false"""
    for x, y in pairs(node):
        if x is y or number(y) is True:
            return x
        if number(y) is False:
            return y
    return None


def or_known(node: Node) -> Node | None:
    """x or false, x or x  ->  x,   x or true  ->  true"""
    for x, y in pairs(node):
        if x is y or number(y) is False:
            return x
        if number(y) is True:
            return y
    return None


def not_twice(node: Node) -> Node | None:
    """not not x  ->  x"""
    (x,) = node.inputs
    return x.inputs[0] if isinstance(x.op, LogicalNot) else None


def not_equal(node: Node) -> Node | None:
    """not x == y  ->  x != y,   not x != y  ->  x == y"""
    (x,) = node.inputs
    if isinstance(x.op, Equal):
        return apply(NotEqual(), *x.inputs)
    return apply(Equal(), *x.inputs) if isinstance(x.op, NotEqual) else None


def equal_to_itself(node: Node) -> Node | None:
    """x == x  ->  true, but for floats"""
    x, y = node.inputs
    return full(True, node.type) if x is y and not x.type.dtype.is_float else None


def bits_known(node: Node) -> Node | None:
    """x & x, x | x, x | 0, x ^ 0  ->  x,   x & 0  ->  0"""
    for x, y in pairs(node):
        if x is y and not isinstance(node.op, BitXor):
            return x
        if number(y) == 0:
            return y if isinstance(node.op, BitAnd) else x
    return None


def bits_flipped_twice(node: Node) -> Node | None:
    """~~x  ->  x"""
    (x,) = node.inputs
    return x.inputs[0] if isinstance(x.op, BitNot) else None


def shift_by_zero(node: Node) -> Node | None:
    """x << 0, x >> 0  ->  x"""
    x, y = node.inputs
    return x if number(y) == 0 else None


def bitcast_twice(node: Node) -> Node | None:
    """bitcast(bitcast(x))  ->  bitcast(x), and nothing for the dtype it has"""
    (x,) = node.inputs
    if x.type == node.type:
        return x
    return apply(node.op, x.inputs[0]) if isinstance(x.op, Bitcast) else None


def cast_to_same(node: Node) -> Node | None:
    """astype(x, the dtype of x)  ->  x"""
    (x,) = node.inputs
    return x if x.type == node.type else None


def cast_twice(node: Node) -> Node | None:
    """astype(astype(x, wide), dtype)  ->  astype(x, dtype), where wide holds every x"""
    (x,) = node.inputs
    if not isinstance(x.op, Cast):
        return None
    (source,) = x.inputs
    old, wide, new = source.type.dtype, x.type.dtype, node.type.dtype
    if not holds(wide, old):
        return None
    # integers wrap around in integers, floats saturate
    wraps = old.is_integer and new.is_integer and not holds(new, old)
    return None if wraps and wide.is_float else apply(node.op, source)


def holds(wide: DType, narrow: DType) -> bool:
    """Whether a dtype has every number of another one."""
    if wide == narrow or narrow.kind == "b":
        return True
    if wide.kind == "b":
        return False
    if narrow.is_float:
        a, b = wide.name, narrow.name
        return wide.is_float and MANTISSA[a] >= MANTISSA[b] and EXPONENT[a] >= EXPONENT[b]
    bits = narrow.bits - (narrow.kind == "i")
    if wide.is_float:
        return MANTISSA[wide.name] >= bits and 2 ** (EXPONENT[wide.name] - 1) > bits
    if narrow.kind == "i" and wide.kind == "u":
        return False
    return wide.bits - (wide.kind == "i") >= bits


def gradient_not_stopped(node: Node) -> Node | None:
    """stop_gradient(x)  ->  x, as all derivatives have been taken"""
    return node.inputs[0]


def guard_known(node: Node) -> Node | None:
    """check(x, true)  ->  x"""
    x, condition = node.inputs
    return x if number(condition) is True else None


RULES: Rules = (
    (Where, (where_same, where_known, where_not, where_nested, where_of_truth)),
    (LogicalAnd, (and_known,)),
    (LogicalOr, (or_known,)),
    (LogicalNot, (not_twice, not_equal)),
    (Equal, (equal_to_itself,)),
    (BitAnd, (bits_known,)),
    (BitOr, (bits_known,)),
    (BitXor, (bits_known,)),
    (BitNot, (bits_flipped_twice,)),
    (ShiftLeft, (shift_by_zero,)),
    (ShiftRight, (shift_by_zero,)),
    (Bitcast, (bitcast_twice,)),
    (Cast, (cast_to_same, cast_twice)),
    (StopGradient, (gradient_not_stopped,)),
    (Guard, (guard_known,)),
)
