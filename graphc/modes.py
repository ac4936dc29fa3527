"""Training or inference: resolve the markers of `graphc.ops.training`."""

from __future__ import annotations

from dataclasses import replace

from graphc.graph import Graph, Node
from graphc.ops.training import CustomGradient, ModeSwitch, StateUpdate
from graphc.rebuild import rebuild, replace_nodes


def resolve_mode(graph: Graph, mode: str) -> Graph:
    """The graph for one mode, without markers.

    In training the updates that marks stand for are added, except of parameters that the user
    updates. Several marks of one parameter are chained in their order.
    """
    marks = [n for n in graph.nodes if isinstance(n.op, (ModeSwitch, StateUpdate, CustomGradient))]
    if not marks:
        return graph
    branch = 0 if mode == "train" else 1

    def choose(node: Node) -> Node | None:
        if isinstance(node.op, ModeSwitch):
            return node.inputs[branch]
        kept = isinstance(node.op, (StateUpdate, CustomGradient))
        return node.inputs[0] if kept else None

    new = rebuild(graph.roots, choose)
    resolved = graph.substitute(new)
    if mode != "train":
        return resolved
    taken = {p for p, _ in graph.updates}
    pending = [n for n in marks if isinstance(n.op, StateUpdate) and n.inputs[1] not in taken]
    return replace(resolved, updates=resolved.updates + _chain(pending, new), _order=[])


def _chain(marks: list[Node], new: dict[Node, Node]) -> tuple[tuple[Node, Node], ...]:
    """One update for each parameter, in order of first appearance."""
    latest: dict[Node, Node] = {}
    parameters = dict.fromkeys(m.inputs[1] for m in marks)
    for mark in sorted(marks, key=_order):
        parameter, value = mark.inputs[1], new[mark.inputs[2]]
        if parameter in latest:
            value = replace_nodes([value], {parameter: latest[parameter]})[value]
        latest[parameter] = value
    return tuple((p, latest[p]) for p in parameters)


def _order(mark: Node) -> int:
    assert isinstance(mark.op, StateUpdate)
    return mark.op.order
