"""Run graph passes: each is verified, timed and, if asked, dumped here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc import origin as origins
from graphc.compiler.passes.rewrite import AppliedRule
from graphc.errors import VerifyError
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.leaf import Parameter

GraphPass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class PassRecord:
    """The record of one pass: its time and its changes.

    `made` has the rule behind every new node that was not merely rebuilt on new inputs ("" where
    the pass has no rules). `became` has, for every node of the graph before that is no longer
    there, the node that stands for it now (None if nobody reads it any more) and the rules that
    were applied to it.
    """

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    graph: Graph
    changed: bool  # whether the graph is another one
    made: Mapping[Node, str]
    became: Mapping[Node, tuple[Node | None, tuple[str, ...]]]


Trace = tuple[PassRecord, ...]


def run_passes(graph: Graph, passes: Sequence[GraphPass]) -> tuple[Graph, Trace]:
    """Apply the passes in order; every one must preserve types, inputs and parameters."""
    steps = []
    for apply_pass in passes:
        start = time.perf_counter()
        with origins.collecting_nodes() as events:
            after = apply_pass(graph)
        seconds = time.perf_counter() - start
        name = apply_pass.__name__
        verify_graph(after, graph, name)
        changed = after.roots != graph.roots  # nodes never change: same roots, same graph
        after = after if changed else graph
        counts = len(graph.nodes), len(after.nodes)
        made = find_created(events, after) if changed else {}
        became = find_replacements(events, graph, after) if changed else {}
        steps.append(PassRecord(name, seconds, *counts, after, changed, made, became))
        graph = after
    return graph, tuple(steps)


# While a pass runs it is noted, in order, which nodes are made, which rules fire, and, whenever a
# graph has been rebuilt, the mapping from its nodes to the new ones.
Events = Sequence[Any]


def find_created(events: Events, after: Graph) -> dict[Node, str]:
    """The rule behind every new node: one that fires comes after the nodes that it has made."""
    present = set(after.nodes)
    found: dict[Node, str] = {}
    waiting: list[Node] = []
    for event in events:
        if isinstance(event, Node):
            waiting.append(event)
        elif isinstance(event, AppliedRule):
            found.update((n, event.rule) for n in waiting if n in present)
            waiting = []
    found.update((n, "") for n in waiting if n in present)
    return found


def find_replacements(
    events: Events, before: Graph, after: Graph
) -> dict[Node, tuple[Node | None, tuple[str, ...]]]:
    """The replacement of every removed node, and the rules that led to it."""
    now: dict[Node, Node | None] = {n: n for n in before.nodes}
    rules: dict[Node, list[str]] = {}
    fired: dict[Node, list[str]] = {}
    for event in events:
        if isinstance(event, AppliedRule):
            fired.setdefault(event.node, []).append(event.rule)
        elif isinstance(event, Mapping) and all(now[root] in event for root in before.roots):
            for node, image in now.items():
                if image in fired:
                    rules.setdefault(node, []).extend(fired[image])
                now[node] = event.get(image)
            fired = {}
    present = set(after.nodes)
    gone = [n for n in before.nodes if n not in present]
    return {n: (now[n] if now[n] in present else None, tuple(rules.get(n, ()))) for n in gone}


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
