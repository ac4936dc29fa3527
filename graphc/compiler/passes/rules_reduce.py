"""Rules of reductions and contractions; the order of summation stays."""

from __future__ import annotations

import math

from graphc.compiler.passes.patterns import (
    MANTISSA,
    Rules,
    at_least_one,
    broadcast,
    full,
    is_power_of_two,
    largest,
    number,
    reshape,
    rounded,
    smallest_normal,
)
from graphc.ir.dims import Size, product
from graphc.ir.graph import Node, apply
from graphc.ir.ops.base import Reduce
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.elementwise import Mul, Neg
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.leaf import SizeOf
from graphc.ir.ops.reduce import All, Any_, ArgReduce, Max, Min, Prod, Sum
from graphc.ir.ops.view import BroadcastTo, Permute
from graphc.ir.types import DType, bool_

EXTREMES = (Max, Min, Any_, All)


def reduce_nothing(node: Node) -> Node | None:
    """reduce(x) over axes of size 1  ->  reshape(x),   its position  ->  0"""
    (x,) = node.inputs
    assert isinstance(node.op, Reduce)
    if any(x.type.shape[a] != 1 for a in node.op.axes):
        return None
    position = isinstance(node.op, ArgReduce)
    return full(0, node.type) if position else reshape(x, node.type.shape)


def reduce_empty(node: Node) -> Node | None:
    """sum(nothing)  ->  0,   prod(nothing)  ->  1"""
    (x,) = node.inputs
    assert isinstance(node.op, Reduce)
    if not node.op.empty or all(x.type.shape[a] != 0 for a in node.op.axes):
        return None
    neutral = isinstance(node.op, (Prod, All))
    return full(neutral if node.type.dtype == bool_ else int(neutral), node.type)


def sum_of_negative(node: Node) -> Node | None:
    """sum(-x)  ->  -sum(x)"""
    (x,) = node.inputs
    return apply(Neg(), apply(node.op, x.inputs[0])) if isinstance(x.op, Neg) else None


def extreme_twice(node: Node) -> Node | None:
    """max(max(x))  ->  max(x), over the axes of both; also min, any and all"""
    (x,) = node.inputs
    assert isinstance(node.op, Reduce)
    if type(x.op) is not type(node.op):
        return None
    source = x.inputs[0]
    kept = [a for a in range(source.type.ndim) if a not in x.op.axes]
    axes = (*x.op.axes, *(kept[a] for a in node.op.axes))
    return apply(type(node.op)(tuple(sorted(axes))), source)


def extreme_of_broadcast(node: Node) -> Node | None:
    """max(broadcast_to(x)) over the repeated axes  ->  x; also min, any and all"""
    found = repeated(node)
    if found is None or not all(map(at_least_one, found[1])):
        return None
    return broadcast(reshape_to(found[0], node), node.type.shape)


def sum_of_broadcast(node: Node) -> Node | None:
    """sum(broadcast_to(x)) over the repeated axes  ->  x * count

    For integers, and for literals that are 0 or a power of two with a count so small that every
    partial sum is exact; negative ones only if there is any, and no -0.0 (sums start from 0.0).
    """
    found = repeated(node)
    if found is None:
        return None
    source, sizes = found
    count, dtype = product(sizes), node.type.dtype
    if dtype.is_float and not sums_exactly(number(source), count, dtype):
        return None
    if dtype.is_float and is_negative(number(source)) and not are_some(number(source), sizes):
        return None
    times = apply(Cast(dtype), apply(SizeOf(count)))
    x = reshape_to(source, node)
    return broadcast(apply(Mul(), x, broadcast(times, x.type.shape)), node.type.shape)


def are_some(value: float, sizes: tuple[Size, ...]) -> bool:
    """Whether there is any term, and one that is not 0."""
    return value != 0 and all(map(at_least_one, sizes))


def is_negative(value: float) -> bool:
    """Whether a number has a sign, -0.0 included."""
    return math.copysign(1.0, value) < 0


def sums_exactly(value: float | None, count: Size, dtype: DType) -> bool:
    """Whether every sum of up to `count` terms equal to a value is exact."""
    most = largest(count)
    if value is None or most is None or not is_power_of_two(value):
        return value == 0
    if most > 2 ** MANTISSA[dtype.name] or abs(value) < smallest_normal(dtype.name):
        return False
    return math.isfinite(rounded(value * most, dtype))


def repeated(node: Node) -> tuple[Node, tuple[Size, ...]] | None:
    """What is repeated along all axes that a node reduces, and the sizes of these axes."""
    (x,) = node.inputs
    assert isinstance(node.op, Reduce)
    if not isinstance(x.op, BroadcastTo) or not node.op.axes:
        return None
    (source,) = x.inputs
    own = (1,) * (x.type.ndim - source.type.ndim) + source.type.shape
    if any(own[a] != 1 for a in node.op.axes):
        return None
    return source, tuple(x.type.shape[a] for a in node.op.axes)


def reshape_to(source: Node, node: Node) -> Node:
    """The source of a broadcast without the axes that a node reduces."""
    assert isinstance(node.op, Reduce)
    missing = node.inputs[0].type.ndim - source.type.ndim
    axes = {a - missing for a in node.op.axes}
    kept = tuple(s for a, s in enumerate(source.type.shape) if a not in axes)
    # axes of the result that the source lacks are before all that it has
    return reshape(source, kept)


# ---------------------------------------------------------------------------- contractions


def dot_of_permuted(node: Node) -> Node | None:
    """dot(permute(a), permute(b))  ->  dot(a, b) with other labels"""
    op = node.op
    assert isinstance(op, Dot)
    labels, sources = [], []
    for mine, x in zip((op.a, op.b), node.inputs):
        if isinstance(x.op, Permute):
            mine = tuple(mine[i] for i in x.op.inverse)
            x = x.inputs[0]
        labels.append(mine)
        sources.append(x)
    if all(a is b for a, b in zip(sources, node.inputs)):
        return None
    return apply(Dot(labels[0], labels[1], op.out), *sources)


def dot_of_one(node: Node) -> Node | None:
    """dot(a, b) summed over axes of size 1  ->  a * b"""
    op = node.op
    assert isinstance(op, Dot)
    sizes = op.sizes(*(i.type for i in node.inputs))
    if any(sizes[label] != 1 for label in op.reduced):
        return None
    spread = []
    for mine, x in zip((op.a, op.b), node.inputs):
        order = tuple(mine.index(label) for label in op.out if label in mine)
        rest = tuple(i for i in range(len(mine)) if i not in order)
        moved = apply(Permute(order + rest), x)
        shape = tuple(sizes[label] if label in mine else 1 for label in op.out)
        spread.append(broadcast(reshape(moved, shape), node.type.shape))
    return apply(Mul(), *spread)


RULES: Rules = (
    (Reduce, (reduce_nothing, reduce_empty)),
    *((extreme, (extreme_twice, extreme_of_broadcast)) for extreme in EXTREMES),
    (Sum, (sum_of_broadcast, sum_of_negative)),
    (Dot, (dot_of_permuted, dot_of_one)),
)
