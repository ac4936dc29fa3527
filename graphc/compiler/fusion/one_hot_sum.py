"""Sums over a one-hot mask, which are lowered to a single load."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.compiler.passes.patterns import number, pairs
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise_logic import Equal, Where
from graphc.ir.ops.leaf import Iota
from graphc.ir.ops.reduce import Sum
from graphc.ir.ops.view import BroadcastTo


@dataclass(frozen=True)
class OneHotSum:
    """The element of `source` at index `place` along `axis`, written as a masked sum."""

    source: Node
    axis: int
    place: Node


def find_one_hot_sum(node: Node) -> OneHotSum | None:
    """sum(where(index == place, source, 0)), where the place is the same along the axis.

    The axes are compared by number, not by size: the index is that of the summed axis, and the
    place is repeated along it. Both are integers, since a place of 2.5 or NaN is no element.
    """
    if not isinstance(node.op, Sum) or len(node.op.axes) != 1:
        return None
    (axis,) = node.op.axes
    chosen = node.inputs[0]
    if not isinstance(chosen.op, Where) or number(chosen.inputs[2]) != 0:
        return None
    condition, source, _ = chosen.inputs
    if not isinstance(condition.op, Equal):
        return None
    for index, place in pairs(condition):
        repeated = isinstance(place.op, BroadcastTo) and axis in place.op.repeated(
            place.inputs[0].type.shape
        )
        if is_index(index, axis) and repeated:
            return OneHotSum(source, axis, place)
    return None


def is_index(node: Node, axis: int) -> bool:
    """Whether a node counts the elements along an axis, in integers that do not wrap around."""
    dtype = node.type.dtype
    counts = isinstance(node.op, Iota) and node.op.axis == axis
    return counts and dtype.is_integer and dtype.bits >= 32
