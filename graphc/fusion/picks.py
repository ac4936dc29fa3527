"""Sums of which one element alone is not zero: a label's own logit, say."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.graph import Node
from graphc.ops.elementwise_logic import Equal, Where
from graphc.ops.leaf import Iota
from graphc.ops.reduce import Sum
from graphc.ops.view import BroadcastTo
from graphc.passes.patterns import number, pairs


@dataclass(frozen=True)
class Pick:
    """A sum of `source` where the index along `axis` is `place`, and of zeros elsewhere."""

    source: Node
    axis: int
    place: Node


def find_pick(node: Node) -> Pick | None:
    """sum(where(index == place, source, 0)), where the place is the same along the axis."""
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
        if isinstance(index.op, Iota) and index.op.axis == axis and repeated:
            return Pick(source, axis, place)
    return None
