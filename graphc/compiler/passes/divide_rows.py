"""Divide every element of a softmax by its row's sum through one reciprocal."""

from __future__ import annotations

from graphc.compiler.passes.patterns import Rules, full
from graphc.compiler.passes.rewrite import apply_rules
from graphc.compiler.passes.stabilise import is_softmax, row_sum, views_above
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.elementwise import Div, Mul


def divide_rows(graph: Graph) -> Graph:
    """Divide once a row, and multiply its elements, where a softmax divides each of them."""
    return apply_rules(graph, RULES)


def reciprocal_of_sum(node: Node) -> Node | None:
    """exp(x) / sum(exp(x))  ->  exp(x) * (1 / sum(exp(x)))"""
    if not is_softmax(node):
        return None
    powers, repeated = node.inputs
    total = row_sum(repeated)
    assert total is not None
    share = apply(Div(), full(1.0, total.type), total)
    for view in reversed(views_above(repeated)):
        share = apply(view.op, share)
    return apply(Mul(), powers, share)


RULES: Rules = ((Div, (reciprocal_of_sum,)),)
