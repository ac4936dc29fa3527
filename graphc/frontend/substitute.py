"""Replace tensors by others in what was computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.arguments import tensor
from graphc.frontend.tensor import Tensor, handle
from graphc.ir import graph as graphs
from graphc.ir.graph import Node
from graphc.ir.rebuild import replace_nodes
from graphc.ir.structure import flatten


def substitute(tensors: Any, mapping: Mapping[Tensor, Any]) -> Any:
    """The same tensors (any structure) with the mapping's keys replaced by its values.

    Raises ShapeError where a replacement has another type than what it replaces.
    """
    nodes: dict[Node, Node] = {}
    for old, value in mapping.items():
        if not isinstance(old, Tensor) or not isinstance(value, Tensor):
            raise ArgumentError(
                f"substitute: needs a mapping of tensors to tensors,"
                f" got {type(old).__name__}: {type(value).__name__}",
                origin=origins.find_origin(),
            )
        if old.type != value.type:
            raise ShapeError(
                f"substitute: {old.name or old.node.op.name} is {old.type},"
                f" its replacement is {value.type}",
                operands=graphs.describe((old.node, value.node)),
                origin=origins.find_origin(),
            )
        nodes[old.node] = value.node
    leaves, structure = flatten(tensors)
    roots = [tensor("substitute", "tensors", t).node for t in leaves]
    new = replace_nodes(roots, nodes)
    return structure.build([handle(new[node]) for node in roots])
