"""Row-sparse parameter updates, scattered in place without a copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.nests import close_loops, open_loops
from graphc.compiler.fusion.scatter import checked_index, scatter_along, scatter_rows
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import base_of
from graphc.ir.ops.base import Gather, Scatter
from graphc.ir.ops.indexing import PutAlong
from graphc.ir.schedule import Storage


@dataclass(frozen=True, eq=False)
class InPlaceScatters:
    """A parameter and the scatters into it, in order."""

    parameter: Node
    nodes: tuple[Node, ...]


def find_in_place_scatters(
    graph: Graph, grouping: Grouping, inlined: set[Node]
) -> dict[Node, InPlaceScatters]:
    """Find new parameter values that are scatters into the parameter itself.

    Nothing else reads such a value, and neither its indices nor its updates are read from the
    parameter by the kernel that writes.
    """
    outputs = {base_of(n) for _, n in graph.outputs}
    values = [value for _, value in graph.updates]
    found: dict[Node, InPlaceScatters] = {}
    for parameter, value in graph.updates:
        if grouping.readers[value] or values.count(value) > 1 or {value, parameter} & outputs:
            continue
        nodes = _chain(parameter, value, grouping, outputs | set(values))
        if nodes and parameter not in _read_by(nodes, inlined | grouping.uniform):
            found[value] = InPlaceScatters(parameter, nodes)
    return found


def _chain(parameter: Node, value: Node, grouping: Grouping, roots: set[Node]) -> tuple[Node, ...]:
    """The scatters between a parameter and a value, the first one first; () if there is more."""
    nodes = [value]
    while isinstance(nodes[0].op, Scatter):
        inner = nodes[0].inputs[0]
        if inner is parameter:
            return tuple(nodes)
        if inner in roots or grouping.readers.get(inner, []) != [nodes[0]]:
            break
        nodes.insert(0, inner)
    return ()


def _read_by(nodes: tuple[Node, ...], inlined: set[Node]) -> set[Node]:
    """What the kernel reads for indices and updates."""
    seen: set[Node] = set()
    stack = [base_of(i) for node in nodes for i in node.inputs[1:]]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [base_of(i) for i in node.inputs] if node in inlined else []
    return seen


def lower_index_check(node: Node, builder: KernelBuilder) -> None:
    """Check the indices, before anything is written."""
    x, indices = node.inputs[:2]
    axis = node.op.axis if isinstance(node.op, PutAlong) else 0
    at = open_loops(builder, indices.type.shape)
    checked_index(node, indices, at, x.type.shape[axis], builder)
    close_loops(builder, at, indices.type.shape)


def lower_in_place_scatter(node: Node, storage: Storage, builder: KernelBuilder) -> None:
    """Put the updates into the parameter; indices outside, which were checked, are left out."""
    if isinstance(node.op, PutAlong):
        scatter_along(node, node.op, storage, builder, check=False)
    else:
        scatter_rows(node, storage, builder, check=False)


def moved_bytes(calls: Iterable[tuple[Storage, int]], nodes: Iterable[Node], puts: bool) -> Size:
    """The bytes that a kernel goes through, given how often it does so with each storage.

    Of a table that is only read at indices, and (with `puts`) of what rows are put into, what
    the indices name counts.
    """
    named: dict[Node, Size] = {}
    whole: set[Node] = set()
    for node in nodes:
        for k, base in enumerate(map(base_of, node.inputs)):
            if k == 0 and (isinstance(node.op, Gather) or puts):
                part = node.inputs[2] if puts else node
                named[base] = named.get(base, 0) + part.type.nbytes
            else:
                whole.add(base)
    total: Size = 0
    for storage, times in calls:
        table = storage.node
        if table is None or table in whole or table not in named:
            total = total + storage.type.nbytes * times
        else:
            total = total + named[table] * times
    return total
