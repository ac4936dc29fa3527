"""The same graph for one choice of sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.errors import GraphcError
from graphc.graph import Graph, Node, describe
from graphc.interpret import concretise


def specialize(graph: Graph, dims: Mapping[str, int]) -> Graph:
    """Put integers for dims everywhere and infer every type again.

    Parameters stay themselves. Raises what the ops raise (the maximum of nothing, say), with the
    user's line.
    """
    new: dict[Node, Node] = {}
    for node in (*graph.inputs, *graph.nodes):
        if node not in new:
            new[node] = _specialized(node, tuple(new[i] for i in node.inputs), dims)
    return replace(
        graph,
        inputs=tuple(new[n] for n in graph.inputs),
        outputs=tuple((name, new[n]) for name, n in graph.outputs),
        updates=tuple((p, new[n]) for p, n in graph.updates),
        _order=[],
    )


def _specialized(node: Node, inputs: tuple[Node, ...], dims: Mapping[str, int]) -> Node:
    op = concretise(node.op, dims)
    if op is node.op and all(a is b for a, b in zip(inputs, node.inputs)):
        return node
    try:
        type = op.infer(*(n.type for n in inputs))
    except GraphcError as error:
        error.operands = error.operands or describe(inputs)
        error.origin = error.origin or node.origin
        raise
    return Node(op, inputs, type, node.origin, node.part, node.name)
