"""Gradients of the branch not taken are 0, whatever that branch is."""

from __future__ import annotations

from collections.abc import Callable

from graphc.graph import Graph, Node, apply
from graphc.ops.elementwise import Add, Div, Mul, Neg
from graphc.ops.elementwise_logic import Where
from graphc.origin import BACKWARD
from graphc.passes.patterns import Rules, is_zero
from graphc.passes.rewrite import apply_rules


def protect_where(graph: Graph) -> Graph:
    """Choose after multiplying, so that no 0 * infinity of a branch not taken becomes a NaN.

    A gradient that enters a branch through `where` is 0 where the branch was not taken, and so
    is everything linear in it: c ? a : 0, times b, is c ? a * b : 0.
    """
    return apply_rules(graph, RULES)


def product_of_choice(node: Node) -> Node | None:
    """where(c, a, 0) * b  ->  where(c, a * b, 0), in the backward half"""
    x, y = node.inputs
    if is_masked_gradient(x):
        return through(x, lambda a: apply(Mul(), a, y))
    return through(y, lambda a: apply(Mul(), x, a)) if is_masked_gradient(y) else None


def quotient_of_choice(node: Node) -> Node | None:
    """where(c, a, 0) / b  ->  where(c, a / b, 0), in the backward half"""
    x, y = node.inputs
    return through(x, lambda a: apply(Div(), a, y)) if is_masked_gradient(x) else None


def negative_of_choice(node: Node) -> Node | None:
    """-where(c, a, 0)  ->  where(c, -a, 0), in the backward half"""
    (x,) = node.inputs
    return through(x, lambda a: apply(Neg(), a)) if is_masked_gradient(x) else None


def sum_of_choices(node: Node) -> Node | None:
    """where(c, a, 0) + where(c, b, 0)  ->  where(c, a + b, 0), in the backward half"""
    x, y = node.inputs
    if not is_masked_gradient(x) or not is_masked_gradient(y) or x.inputs[0] is not y.inputs[0]:
        return None
    taken = 1 if is_zero(x.inputs[2]) else 2
    if not is_zero(y.inputs[3 - taken]):
        return None
    return through(x, lambda a: apply(Add(), a, y.inputs[taken]))


def is_masked_gradient(node: Node) -> bool:
    """Whether a node is a cotangent where a branch was taken and 0 elsewhere."""
    if not isinstance(node.op, Where) or node.part != BACKWARD:
        return False
    return is_zero(node.inputs[1]) or is_zero(node.inputs[2])


def through(choice: Node, change: Callable[[Node], Node]) -> Node:
    """The choice with its branch that is not 0 changed."""
    c, x, y = choice.inputs
    return apply(Where(), c, change(x), y) if is_zero(y) else apply(Where(), c, x, change(y))


RULES: Rules = (
    (Mul, (product_of_choice,)),
    (Div, (quotient_of_choice,)),
    (Neg, (negative_of_choice,)),
    (Add, (sum_of_choices,)),
)
