"""Passes over loops: one loop for all its results, and bodies as good as graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.ir.graph import Graph, Node
from graphc.ir.ops.loop import Body, Scan, loop_key, merged


def merge_loops(graph: Graph) -> Graph:
    """Run a loop once for all its results, and drop results that nobody reads."""
    if not any(isinstance(n.op, Scan) for n in graph.nodes):
        return graph
    groups: dict[object, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Scan):
            groups.setdefault(loop_key(node), []).append(node)
    new: dict[Node, Scan] = {}
    for nodes in groups.values():
        ops = [n.op for n in nodes if isinstance(n.op, Scan)]
        body, indices = merged(ops)
        if all(op.body is ops[0].body for op in ops) and ops[0].body.outputs == body.outputs:
            continue
        for node, op, index in zip(nodes, ops, indices):
            new[node] = replace(op, body=body, index=index)
    return _with_ops(graph, new)


def with_bodies(graph: Graph, improve: Callable[[Graph], Graph]) -> Graph:
    """Improve the body of every loop as a graph of its own."""
    bodies: dict[Body, Body] = {}
    new: dict[Node, Scan] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Scan):
            continue
        body = node.op.body
        if body not in bodies:
            outputs = tuple((str(i), n) for i, n in enumerate(body.outputs))
            better = improve(Graph(body.inputs, outputs, name=graph.name))
            same = better.roots == body.outputs
            bodies[body] = body if same else Body(body.inputs, better.roots)
        if bodies[body] is not body:
            new[node] = replace(node.op, body=bodies[body])
    return _with_ops(graph, new) if new else graph


def _with_ops(graph: Graph, new: dict[Node, Scan]) -> Graph:
    """The graph with other ops in some nodes."""
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        op, inputs = new.get(node, node.op), tuple(made[i] for i in node.inputs)
        same = op is node.op and all(a is b for a, b in zip(inputs, node.inputs))
        kept = (node.type, node.origin, node.step_part, node.name)
        made[node] = node if same else Node(op, inputs, *kept)
    return graph.substitute(made)
