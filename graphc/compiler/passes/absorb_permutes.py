"""Permutations of a contraction's result become the order of its labels."""

from __future__ import annotations

from collections.abc import Callable

from graphc import origin as origins
from graphc.compiler.passes.rewrite import AppliedRule
from graphc.ir.graph import Graph, Node, apply, with_inputs
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.view import Permute


def absorb_permutes(graph: Graph) -> Graph:
    """Let a contraction write its result in the order in which its only reader wants it.

    The order of its sums stays, that of their operands.
    """
    return absorb(graph, permute_of_dot, shared=False)


def absorb(graph: Graph, rule: Callable[[Node], Node | None], shared: bool) -> Graph:
    """Apply a rule to nodes with one input, with `shared` also where others read it too.

    Where others are asked about, the rule may change no bit: these would depend on who asks.
    """
    readers = graph.users()
    roots = set(graph.roots)
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        candidate = with_inputs(node, tuple([new[i] for i in node.inputs]))
        one = len(node.inputs) == 1
        alone = one and len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in roots
        if one and (alone or shared):
            with origins.inherit(node.origin, node.step_part):
                result = rule(candidate)
            if result is not None:
                origins.note_created(AppliedRule(rule.__name__, node))
                candidate = result
        new[node] = candidate
    return graph.substitute(new)


def permute_of_dot(node: Node) -> Node | None:
    """permute(dot(a, b))  ->  dot(a, b) with its labels in another order"""
    if not isinstance(node.op, Permute) or not isinstance(node.inputs[0].op, Dot):
        return None
    dot = node.inputs[0]
    assert isinstance(dot.op, Dot)
    out = tuple(dot.op.out[i] for i in node.op.axes)
    return apply(Dot(dot.op.a, dot.op.b, out), *dot.inputs)
