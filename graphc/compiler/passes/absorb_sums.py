"""Sums over a contraction's result become sums inside it."""

from __future__ import annotations

from graphc.compiler.passes.absorb_permutes import absorb
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.reduce import Sum


def absorb_sums(graph: Graph) -> Graph:
    """Let a contraction sum over what a reader sums over; who else reads it does not matter.

    The sum gets another order of its terms, so it is always done: where the product is asked for
    too, both are computed.
    """
    return absorb(graph, sum_of_dot, shared=True)


def sum_of_dot(node: Node) -> Node | None:
    """sum_t(dot(a, b)[t, ...])  ->  dot over t too, where a and b both have t"""
    if not isinstance(node.op, Sum) or not isinstance(node.inputs[0].op, Dot):
        return None
    dot = node.inputs[0]
    assert isinstance(dot.op, Dot)
    summed = {dot.op.out[axis] for axis in node.op.axes}
    if not summed <= set(dot.op.a) & set(dot.op.b):
        return None
    out = tuple(label for label in dot.op.out if label not in summed)
    return apply(Dot(dot.op.a, dot.op.b, out), *dot.inputs)
