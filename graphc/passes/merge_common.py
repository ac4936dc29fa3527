"""Compute equal things once."""

from __future__ import annotations

from collections.abc import Hashable

from graphc.graph import Graph, Node
from graphc.ops.base import Op
from graphc.ops.elementwise import Add, Mul
from graphc.ops.elementwise_logic import (
    BitAnd,
    BitOr,
    BitXor,
    Equal,
    LogicalAnd,
    LogicalOr,
    NotEqual,
)
from graphc.ops.leaf import Constant, Input, Literal, Parameter

# x op y and y op x have the same bits (those of maximum and minimum may differ: -0.0 and 0.0).
COMMUTATIVE = (Add, Mul, Equal, NotEqual, LogicalAnd, LogicalOr, BitAnd, BitOr, BitXor)


def merge_common(graph: Graph) -> Graph:
    """Keep the first of nodes that apply equal ops to the same inputs."""
    first: dict[Hashable, Node] = {}
    position: dict[Node, int] = {}

    def merge(node: Node) -> Node:
        if not node.op.pure or isinstance(node.op, (Input, Parameter)):
            position.setdefault(node, len(position))
            return node
        places = tuple(position[i] for i in node.inputs)
        if isinstance(node.op, COMMUTATIVE):
            places = tuple(sorted(places))
        found = first.setdefault((meaning(node.op), places), node)
        position.setdefault(found, len(position))
        return found

    return graph.map(merge)


def meaning(op: Op) -> Hashable:
    """What tells two ops apart: constants and literals by their bits, others by themselves."""
    if isinstance(op, Constant):
        return (Constant, op.type, op.value.tobytes())
    if isinstance(op, Literal):
        return (Literal, op.dtype, op.evaluate().tobytes())
    return op
