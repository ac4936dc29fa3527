"""Rules of arithmetic: exact, but for the sign of zeros in the backward half.

Nothing is reassociated but factors that are powers of two, and integers (which wrap around in
any order). x * 0 is no 0 and x - x is no 0 where x is NaN or infinite, so floats keep both.
"""

from __future__ import annotations

import math

from graphc.compiler.passes.patterns import (
    Rules,
    broadcast,
    full,
    is_added_nothing,
    is_power_of_two,
    number,
    pairs,
    rounded,
    smallest_normal,
)
from graphc.ir.graph import Node, apply
from graphc.ir.ops.activation import Relu
from graphc.ir.ops.elementwise import (
    Abs,
    Add,
    Div,
    FloorDivide,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Remainder,
    Sub,
)
from graphc.ir.ops.elementwise_math import Exp, Sigmoid, Softplus, Sqrt
from graphc.ir.ops.elementwise_power import Pow
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.types import DType
from graphc.origin import BACKWARD

# ------------------------------------------------------------------ sums and differences


def add_zero(node: Node) -> Node | None:
    """x + 0  ->  x"""
    for x, zero in pairs(node):
        if is_added_nothing(zero, node.step_part):
            return x
    return None


def add_negative(node: Node) -> Node | None:
    """x + -y  ->  x - y"""
    for x, y in pairs(node):
        positive = without_sign(y)
        if positive is not None:
            return apply(Sub(), x, positive)
    return None


def without_sign(node: Node) -> Node | None:
    """The x of -x, also where -x is repeated."""
    if isinstance(node.op, BroadcastTo):
        (x,) = node.inputs
        return broadcast(x.inputs[0], node.type.shape) if isinstance(x.op, Neg) else None
    return node.inputs[0] if isinstance(node.op, Neg) else None


def add_number_twice(node: Node) -> Node | None:
    """(x + a) + b  ->  x + (a + b), for integers"""
    if not node.type.dtype.is_integer:
        return None
    for sum_, b in pairs(node):
        if number(b) is not None and isinstance(sum_.op, Add):
            for x, a in pairs(sum_):
                if number(a) is not None:
                    return apply(Add(), x, apply(Add(), a, b))
    return None


def add_product_twice(node: Node) -> Node | None:
    """x * a + x * a  ->  x * 2a"""
    x, y = node.inputs
    if x is y and isinstance(x.op, Mul) and node.type.dtype.is_float:
        for factor, a in pairs(x):
            twice = scaled(number(a), 2.0, node.type.dtype)
            if twice is not None:
                return apply(Mul(), factor, full(twice, node.type))
    return None


def sub_zero(node: Node) -> Node | None:
    """x - 0  ->  x"""
    x, zero = node.inputs
    value = number(zero)
    if value is None or value != 0:
        return None
    exact = x.type.dtype.is_integer or math.copysign(1.0, value) > 0
    return x if exact or node.step_part == BACKWARD else None


def sub_from_zero(node: Node) -> Node | None:
    """0 - x  ->  -x"""
    zero, x = node.inputs
    return apply(Neg(), x) if is_added_nothing(zero, node.step_part) else None


def sub_negative(node: Node) -> Node | None:
    """x - -y  ->  x + y"""
    x, y = node.inputs
    positive = without_sign(y)
    return None if positive is None else apply(Add(), x, positive)


def sub_from_negative(node: Node) -> Node | None:
    """-x - y  ->  -(x + y), for integers and in the backward half (0 gets another sign)"""
    x, y = node.inputs
    if not isinstance(x.op, Neg) or not (node.type.dtype.is_integer or node.step_part == BACKWARD):
        return None
    return apply(Neg(), apply(Add(), x.inputs[0], y))


def sub_same(node: Node) -> Node | None:
    """x - x  ->  0, for integers"""
    x, y = node.inputs
    return full(0, node.type) if x is y and x.type.dtype.is_integer else None


def negate_twice(node: Node) -> Node | None:
    """--x  ->  x"""
    (x,) = node.inputs
    return x.inputs[0] if isinstance(x.op, Neg) else None


def negate_product(node: Node) -> Node | None:
    """-(x * a)  ->  x * -a"""
    (product,) = node.inputs
    if isinstance(product.op, Mul) and product.type.dtype.kind != "u":
        for x, a in pairs(product):
            if number(a) is not None:
                return apply(Mul(), x, full(-number(a), node.type))
    return None


# ---------------------------------------------------------------- products and quotients


def mul_by_one(node: Node) -> Node | None:
    """x * 1  ->  x"""
    return next((x for x, one in pairs(node) if number(one) == 1), None)


def mul_by_minus_one(node: Node) -> Node | None:
    """x * -1  ->  -x"""
    return next((apply(Neg(), x) for x, a in pairs(node) if number(a) == -1), None)


def mul_by_zero(node: Node) -> Node | None:
    """x * 0  ->  0, for integers"""
    if not node.type.dtype.is_integer:
        return None
    return next((full(0, node.type) for _, zero in pairs(node) if number(zero) == 0), None)


def mul_negative_by_number(node: Node) -> Node | None:
    """-x * a  ->  x * -a"""
    for x, a in pairs(node):
        if isinstance(x.op, Neg) and number(a) is not None and a.type.dtype.kind != "u":
            return apply(Mul(), x.inputs[0], full(-number(a), node.type))
    return None


def mul_by_negative(node: Node) -> Node | None:
    """x * -y  ->  -(x * y)"""
    for x, y in pairs(node):
        positive = without_sign(y)
        if positive is not None:
            return apply(Neg(), apply(Mul(), x, positive))
    return None


def mul_number_twice(node: Node) -> Node | None:
    """(x * a) * b  ->  x * (a * b), for integers and where a or b is a power of two

    Where x * a alone over- or underflows, the result is nearer to the true product.
    """
    dtype = node.type.dtype
    for product, b in pairs(node):
        if number(b) is None or not isinstance(product.op, Mul):
            continue
        for x, a in pairs(product):
            if number(a) is None:
                continue
            if dtype.is_integer:
                return apply(Mul(), x, apply(Mul(), a, b))
            both = scaled(number(a), number(b), dtype)
            if both is not None:
                return apply(Mul(), x, full(both, node.type))
    return None


def div_by_one(node: Node) -> Node | None:
    """x / 1  ->  x"""
    x, y = node.inputs
    return x if number(y) == 1 else None


def div_by_power_of_two(node: Node) -> Node | None:
    """x / a  ->  x * (1 / a), where a is a power of two"""
    x, y = node.inputs
    a = number(y)
    inverse = None if a is None or a == 0 else scaled(1.0, 1.0 / a, node.type.dtype)
    if inverse is None or not is_power_of_two(a):
        return None
    return apply(Mul(), x, full(inverse, node.type))


def div_negative_by_number(node: Node) -> Node | None:
    """-x / a  ->  x / -a,   a / -x  ->  -a / x"""
    x, y = node.inputs
    if isinstance(x.op, Neg) and number(y) is not None:
        return apply(Div(), x.inputs[0], full(-number(y), node.type))
    if isinstance(y.op, Neg) and number(x) is not None:
        return apply(Div(), full(-number(x), node.type), y.inputs[0])
    return None


def div_of_negative(node: Node) -> Node | None:
    """-x / y, x / -y  ->  -(x / y),   -x / -y  ->  x / y"""
    x, y = node.inputs
    above, below = without_sign(x), without_sign(y)
    if above is None and below is None:
        return None
    if above is not None and below is not None:
        return apply(Div(), above, below)
    return apply(Neg(), apply(Div(), x if above is None else above, y if below is None else below))


def scaled(a: float | None, b: float | None, dtype: DType) -> float | None:
    """a * b where one of them is a power of two and the product is exact and normal."""
    if a is None or b is None or not (is_power_of_two(a) or is_power_of_two(b)):
        return None
    product = rounded(a, dtype) * rounded(b, dtype)
    if rounded(product, dtype) != product or abs(product) < smallest_normal(dtype.name):
        return None
    return product if math.isfinite(product) else None


def floor_divide_by_one(node: Node) -> Node | None:
    """x // 1  ->  x, for integers"""
    x, y = node.inputs
    assert isinstance(node.op, FloorDivide)
    return x if x.type.dtype.is_integer and number(y) == 1 else None


def remainder_of_one(node: Node) -> Node | None:
    """x % 1  ->  0, for integers"""
    x, y = node.inputs
    assert isinstance(node.op, Remainder)
    return full(0, node.type) if x.type.dtype.is_integer and number(y) == 1 else None


# ------------------------------------------------------------------- powers and others


def pow_of_number(node: Node) -> Node | None:
    """x ** 0, 1, 2, 3, -1  ->  1, x, x * x, x * x * x, 1 / x"""
    x, y = node.inputs
    power = number(y)
    if power == 0:
        return full(1, node.type)
    if power == 1:
        return x
    if power == 2:
        return apply(Mul(), x, x)
    if power == 3:
        return apply(Mul(), apply(Mul(), x, x), x)
    if power == -1 and x.type.dtype.is_float:
        return apply(Div(), full(1.0, x.type), x)
    return None


def pow_of_half(node: Node) -> Node | None:
    """x ** 0.5  ->  sqrt(x), where x is positive or 0.0"""
    x, y = node.inputs
    square = isinstance(x.op, Mul) and x.inputs[0] is x.inputs[1]
    positive = square or isinstance(x.op, (Abs, Exp, Sigmoid, Softplus))
    return apply(Sqrt(), x) if positive and number(y) == 0.5 else None


def abs_of_sign(node: Node) -> Node | None:
    """|-x|, ||x||  ->  |x|, but for -x without a sign, which is another number"""
    (x,) = node.inputs
    signed = x.type.dtype.kind != "u" or isinstance(x.op, Abs)
    return apply(Abs(), x.inputs[0]) if signed and isinstance(x.op, (Neg, Abs)) else None


def relu_twice(node: Node) -> Node | None:
    """relu(relu(x))  ->  relu(x)"""
    (x,) = node.inputs
    return x if isinstance(x.op, Relu) else None


def extreme_of_same(node: Node) -> Node | None:
    """max(x, x), min(x, x)  ->  x"""
    x, y = node.inputs
    assert isinstance(node.op, (Maximum, Minimum))
    return x if x is y else None


RULES: Rules = (
    (Add, (add_zero, add_negative, add_number_twice, add_product_twice)),
    (Sub, (sub_zero, sub_from_zero, sub_negative, sub_from_negative, sub_same)),
    (Neg, (negate_twice, negate_product)),
    (Mul, (mul_by_one, mul_by_minus_one, mul_by_zero, mul_negative_by_number,
           mul_by_negative, mul_number_twice)),
    (Div, (div_by_one, div_by_power_of_two, div_negative_by_number, div_of_negative)),
    (FloorDivide, (floor_divide_by_one,)),
    (Remainder, (remainder_of_one,)),
    (Pow, (pow_of_number, pow_of_half)),
    (Abs, (abs_of_sign,)),
    (Relu, (relu_twice,)),
    (Maximum, (extreme_of_same,)),
    (Minimum, (extreme_of_same,)),
)  # fmt: skip
