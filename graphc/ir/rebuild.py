"""Rebuild the nodes that some roots need, rewriting or replacing nodes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from graphc import origin as origins
from graphc.ir.graph import Node, topological, with_inputs


def rebuild(
    roots: Iterable[Node],
    rewrite: Callable[[Node], Node | None],
    done: dict[Node, Node] | None = None,
) -> dict[Node, Node]:
    """Every node that the roots need, mapped to its rebuilt self.

    `rewrite` sees each node with its new inputs; None keeps it. Unchanged nodes stay themselves.
    `done` holds what was rebuilt before, and gets the rest.
    """
    new = {} if done is None else done
    for node in topological(roots):
        if node in new:
            continue
        candidate = with_inputs(node, tuple(new[i] for i in node.inputs))
        with origins.inherit(node.origin, node.step_part):
            result = rewrite(candidate)
        new[node] = candidate if result is None else result
    return new


def replace_nodes(roots: Iterable[Node], mapping: Mapping[Node, Node]) -> dict[Node, Node]:
    """Every node that the roots need, mapped to itself with the mapping applied beneath it."""
    new: dict[Node, Node] = {}
    for node in topological(roots):
        new[node] = mapping.get(node) or with_inputs(node, tuple(new[i] for i in node.inputs))
    return new
