"""Training or inference: resolve the markers of `graphc.ir.ops.training`."""

from __future__ import annotations

from dataclasses import replace

from graphc.compiler.deep_rebuild import DeepRebuild
from graphc.errors import UnsupportedError
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.ops.training import CustomGradient, ModeSwitch, StateUpdate
from graphc.ir.rebuild import replace_nodes

TRAINING, INFERENCE = 0, 1  # the inputs of a ModeSwitch
MARKER_OPS = (ModeSwitch, StateUpdate, CustomGradient)


def resolve_mode(graph: Graph, mode: str) -> Graph:
    """Resolve the markers of a graph for one mode.

    In training the updates that marks stand for are added, except of parameters that the user
    updates. Several marks of one parameter are chained in their order.
    """
    marks = [n for n in graph.nodes if isinstance(n.op, MARKER_OPS)]
    if not marks and not any(isinstance(n.op, Scan) for n in graph.nodes):
        return graph
    new = _marker_removal(TRAINING if mode == "train" else INFERENCE).run(graph.roots)
    resolved = graph.substitute(new)
    if mode != "train":
        return resolved
    taken = {p for p, _ in graph.updates}
    pending = [n for n in marks if isinstance(n.op, StateUpdate) and n.inputs[1] not in taken]
    return replace(resolved, updates=resolved.updates + _chain(pending, new), _order=[])


def _marker_removal(branch: int) -> DeepRebuild:
    """What removes markers from graphs and from the bodies of their loops."""

    def choose(node: Node) -> Node | None:
        if isinstance(node.op, ModeSwitch):
            return node.inputs[branch]
        return node.inputs[0] if isinstance(node.op, MARKER_OPS) else None

    return DeepRebuild(choose, _check_stateless if branch == TRAINING else None)


def _check_stateless(body: Body) -> None:
    for n in body.nodes:
        if isinstance(n.op, StateUpdate):
            raise UnsupportedError(
                "scan: a layer in the body updates its statistics at every iteration",
                origin=n.origin,
                hint="use it outside the loop (a line search, as of LBFGS, is one), or at inference"
                " only",
            )


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
