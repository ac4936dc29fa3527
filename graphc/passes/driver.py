"""Run graph passes: each is verified, timed and, if asked, dumped here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc import origin as origins
from graphc.errors import VerifyError
from graphc.graph import Graph, Node
from graphc.ops.leaf import Parameter
from graphc.passes.rewrite import Fired

GraphPass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Step:
    """What one pass did.

    `rules` names the rule behind nodes: those that are new in the graph, and those of the graph
    before that a rule replaced. A new node that is not among them is an old one on new inputs, or
    made by a pass that has no rules; "" tells the latter.
    """

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    graph: Graph
    changed: bool  # whether the graph is another one
    rules: Mapping[Node, str]


Trace = tuple[Step, ...]


def run_passes(graph: Graph, passes: Sequence[GraphPass]) -> tuple[Graph, Trace]:
    """Apply the passes in order; every one must preserve types, inputs and parameters."""
    steps = []
    for apply_pass in passes:
        start = time.perf_counter()
        with origins.making() as made:
            after = apply_pass(graph)
        seconds = time.perf_counter() - start
        name = apply_pass.__name__
        verify_graph(after, graph, name)
        changed = after.roots != graph.roots  # nodes never change: same roots, same graph
        after = after if changed else graph
        rules = find_rules(made, graph, after) if changed else {}
        steps.append(Step(name, seconds, len(graph.nodes), len(after.nodes), after, changed, rules))
        graph = after
    return graph, tuple(steps)


def find_rules(made: Sequence[Any], before: Graph, after: Graph) -> dict[Node, str]:
    """The rule behind every new and every replaced node: rules that fired follow what they made."""
    old, new = set(before.nodes), set(after.nodes)
    found: dict[Node, str] = {}
    waiting: list[Node] = []
    for item in made:
        if not isinstance(item, Fired):
            waiting.append(item)
            continue
        if item.node in old and item.node not in new:
            found[item.node] = item.rule
        found.update((n, item.rule) for n in waiting if n in new)
        waiting = []
    found.update((n, "") for n in waiting if n in new)
    return found


def verify_graph(graph: Graph, before: Graph, name: str) -> None:
    """Raise VerifyError unless every type follows from its inputs and the roots kept theirs."""
    checked = set(before.nodes)
    for node in graph.nodes:
        if node in checked:
            continue
        inferred = node.op.infer(*(i.type for i in node.inputs))
        if inferred != node.type:
            raise VerifyError(f"{name}: {node} should have type {inferred}")
    if graph.inputs != before.inputs or [p for p, _ in graph.updates] != [
        p for p, _ in before.updates
    ]:
        raise VerifyError(f"{name}: the inputs or the updated parameters changed")
    for old, new in zip(before.roots, graph.roots):
        if old.type != new.type:
            raise VerifyError(f"{name}: a root changed from {old.type} to {new.type}")
    known = set(before.leaves(Parameter))
    for p in graph.leaves(Parameter):
        if p not in known:
            raise VerifyError(f"{name}: parameter {p} was not there before")
