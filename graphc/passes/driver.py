"""Run graph passes: each is verified, timed and, if asked, dumped here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.errors import VerifyError
from graphc.graph import Graph
from graphc.ops.leaf import Parameter

GraphPass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Step:
    """What one pass did."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    graph: Graph
    changed: bool  # whether the graph is another one


Trace = tuple[Step, ...]


def run_passes(graph: Graph, passes: Sequence[GraphPass]) -> tuple[Graph, Trace]:
    """Apply the passes in order; every one must preserve types, inputs and parameters."""
    steps = []
    for apply_pass in passes:
        start = time.perf_counter()
        after = apply_pass(graph)
        seconds = time.perf_counter() - start
        name = apply_pass.__name__
        verify_graph(after, graph, name)
        changed = after.roots != graph.roots  # nodes never change: same roots, same graph
        after = after if changed else graph
        steps.append(Step(name, seconds, len(graph.nodes), len(after.nodes), after, changed))
        graph = after
    return graph, tuple(steps)


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
