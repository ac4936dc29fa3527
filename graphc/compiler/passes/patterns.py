"""Predicates and constructors that rewrite rules share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from graphc.ir.dims import Dim, Size, Sizes, dims_of
from graphc.ir.graph import Node, apply
from graphc.ir.ops.base import Op
from graphc.ir.ops.leaf import Literal
from graphc.ir.ops.view import BroadcastTo, Reshape
from graphc.ir.types import Array, DType, TensorType
from graphc.origin import BACKWARD

Rule = Callable[[Node], "Node | None"]
Rules = tuple[tuple[type[Op], tuple[Rule, ...]], ...]

# Bits that a number has and that its exponent has.
MANTISSA = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
EXPONENT = {"bfloat16": 8, "float16": 5, "float32": 8, "float64": 11}


# ----------------------------------------------------------------------- what is there


def number(node: Node) -> Any:
    """The Python number that every element of a node is, or None when it is no literal."""
    if isinstance(node.op, BroadcastTo):
        node = node.inputs[0]
    return python_number(node.op.evaluate()) if isinstance(node.op, Literal) else None


def is_zero(node: Node) -> bool:
    """Whether a node is the literal 0, of either sign."""
    value = number(node)
    return value is not None and value == 0


def is_added_nothing(zero: Node, part: str) -> bool:
    """Whether adding a literal changes nothing: 0 of integers, -0.0 of floats.

    0.0 does change -0.0. In the backward half it is dropped all the same: adding nothing is
    common there, and no gradient depends on the sign of a zero.
    """
    value = number(zero)
    if value is None or value != 0:
        return False
    return zero.type.dtype.is_integer or part == BACKWARD or math.copysign(1.0, value) < 0


def is_power_of_two(value: float) -> bool:
    """Whether multiplying by a number is exact (as long as the result is normal)."""
    return math.isfinite(value) and abs(math.frexp(value)[0]) == 0.5


def pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """The operands of a commutative op in both orders."""
    x, y = node.inputs
    yield x, y
    yield y, x


def at_least_one(size: Size) -> bool:
    """Whether a size is known not to be 0."""
    if isinstance(size, int):
        return size >= 1
    terms = size.terms
    return all(
        count > 0 and all(isinstance(atom, Dim) and atom.min >= 1 for atom in monomial)
        for monomial, count in terms
    )


def largest(size: Size) -> int | None:
    """A number that a size never exceeds, or None."""
    if isinstance(size, int):
        return size
    bounds = {d.name: d.max for d in dims_of(size)}
    total = 0
    for monomial, count in size.terms:
        for atom in monomial:
            bound = bounds[atom.name] if isinstance(atom, Dim) else None
            if bound is None:
                return None
            count *= bound
        total += max(count, 0)
    return total


# ---------------------------------------------------------------------- what is built


def python_number(array: Array) -> float:
    """The Python number of a rank-0 array, as short as it can be written."""
    if array.dtype.kind in "b":
        return bool(array)
    if array.dtype.kind in "iu":
        return int(array)
    short = float(str(array))
    with np.errstate(all="ignore"):
        same = np.asarray(short, array.dtype).tobytes() == array.tobytes()
    return short if same or math.isnan(short) else float(array)


def literal(value: ArrayLike, dtype: DType) -> Node:
    """A literal: the number nearest to a value that the dtype has."""
    with np.errstate(all="ignore"):
        return apply(Literal(python_number(np.asarray(value).astype(dtype.numpy)), dtype))


def full(value: ArrayLike, type: TensorType) -> Node:
    """A literal of a type's dtype, repeated over its shape."""
    return broadcast(literal(value, type.dtype), type.shape)


def broadcast(x: Node, shape: Sizes) -> Node:
    """x repeated over a shape; x itself when it has it."""
    return x if x.type.shape == shape else apply(BroadcastTo(shape), x)


def reshape(x: Node, shape: Sizes) -> Node:
    """x in another shape; x itself when it has it."""
    return x if x.type.shape == shape else apply(Reshape(shape), x)


def rounded(value: float, dtype: DType) -> float:
    """The number of a dtype that is nearest to a value."""
    with np.errstate(all="ignore"):
        return float(np.asarray(value).astype(dtype.numpy))


def smallest_normal(dtype: str) -> float:
    """The smallest positive number of a dtype that has its full precision."""
    return math.ldexp(1.0, 2 - 2 ** (EXPONENT[dtype] - 1))
