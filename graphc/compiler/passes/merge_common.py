"""Common subexpression elimination."""

from __future__ import annotations

from collections.abc import Hashable

from graphc.compiler.passes.patterns import is_zero
from graphc.ir.graph import Graph, Node, with_inputs
from graphc.ir.ops.base import Op
from graphc.ir.ops.elementwise import Add, Mul, Neg, Sub
from graphc.ir.ops.elementwise_logic import (
    BitAnd,
    BitOr,
    BitXor,
    Equal,
    LogicalAnd,
    LogicalOr,
    NotEqual,
)
from graphc.ir.ops.leaf import Constant, Input, Literal, Parameter

# x op y and y op x have the same bits (those of maximum and minimum may differ: -0.0 and 0.0).
COMMUTATIVE = (Add, Mul, Equal, NotEqual, LogicalAnd, LogicalOr, BitAnd, BitOr, BitXor)


def merge_common(graph: Graph) -> Graph:
    """Keep the first of nodes that apply equal ops to the same inputs."""
    first: dict[Hashable, Node] = {}
    position: dict[Node, int] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        candidate = with_inputs(node, tuple([new[i] for i in node.inputs]))
        if candidate.op.pure and not isinstance(candidate.op, (Input, Parameter)):
            places = [position[i] for i in candidate.inputs]
            if isinstance(candidate.op, COMMUTATIVE):
                places.sort()
            half = candidate.step_part if depends_on_step_part(candidate) else ""
            key = (op_key(candidate.op), half, *places)
            candidate = first.setdefault(key, candidate)
        position.setdefault(candidate, len(position))
        new[node] = candidate
    return graph.substitute(new)


def depends_on_step_part(node: Node) -> bool:
    """Whether rules tell by a node's half of the step if the sign of a zero matters.

    Merged with an equal node of the other half it would be what that one is.
    """
    if not isinstance(node.op, (Add, Sub)) or not node.type.dtype.is_float:
        return False
    return any(isinstance(i.op, Neg) or is_zero(i) for i in node.inputs)


def op_key(op: Op) -> Hashable:
    """What tells two ops apart: constants and literals by their bits, others by themselves."""
    if isinstance(op, Constant):
        return (Constant, op.type, op.value.tobytes())
    if isinstance(op, Literal):
        return (Literal, op.dtype, op.evaluate().tobytes())
    return op
