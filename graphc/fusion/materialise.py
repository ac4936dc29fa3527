"""Decide which values get bytes, and which are computed again where they are read."""

from __future__ import annotations

from graphc.dims import Poly, Size, evaluate
from graphc.fusion.axes import base_of
from graphc.fusion.grouping import Grouping, is_computed
from graphc.graph import Graph, Node
from graphc.ops.base import Contract, Elementwise, Gather, Join, Scatter
from graphc.ops.gather import Guard

NOMINAL = 64  # what an unbounded dim counts as when costs are weighed
CHEAP = 4  # flops per element that are not worth a round trip through memory


def nominal(size: Size) -> int:
    """A number for a size: dims count as their maximum, or `NOMINAL`."""
    if not isinstance(size, Poly):
        return size
    dims = {atom.name: atom.max or NOMINAL for atom in _dims(size)}
    return evaluate(size, dims)


def _dims(size: Size) -> tuple[object, ...]:
    from graphc.dims import dims_of

    return dims_of(size)


def readers(graph: Graph) -> dict[Node, list[Node]]:
    """For every computed node or leaf, the computed nodes that read it, directly or as a view."""
    result: dict[Node, list[Node]] = {n: [] for n in graph.nodes}
    for node in graph.nodes:
        if is_computed(node):
            for base in dict.fromkeys(base_of(i) for i in node.inputs):
                result[base].append(node)
    return result


def materialise(graph: Graph, grouping: Grouping) -> tuple[set[Node], set[Node]]:
    """Return (stored, inlined): values with bytes, and cheap ones that readers compute again.

    A value is stored when it leaves its group and is no cheap function of one stored value.
    """
    reading = readers(graph)
    roots = {base_of(r) for r in graph.roots}
    stored: set[Node] = set()
    inlined: set[Node] = set()
    for node in graph.nodes:
        if not is_computed(node):
            continue
        group = grouping.group_of[node]
        outside = [r for r in reading[node] if grouping.group_of[r] is not group]
        if node in roots:
            stored.add(node)
        elif outside:
            cheap = _is_cheap(node, stored, inlined) and not any(map(_needs_bytes(node), outside))
            (inlined if cheap else stored).add(node)
    return stored, inlined


def _needs_bytes(node: Node):  # type: ignore[no-untyped-def]
    """Readers that address memory: contractions, tables, scatters, joins."""

    def check(reader: Node) -> bool:
        if isinstance(reader.op, (Contract, Scatter, Join)):
            return True
        return isinstance(reader.op, Gather) and base_of(reader.inputs[0]) is node

    return check


def _is_cheap(node: Node, stored: set[Node], inlined: set[Node]) -> bool:
    """An elementwise function of one stored value of its own size, and of nothing larger."""
    if not isinstance(node.op, Elementwise) or isinstance(node.op, Guard) or node.op.cost > CHEAP:
        return False
    large = 0
    for base in dict.fromkeys(base_of(i) for i in node.inputs):
        if is_computed(base) and base not in stored:
            return False
        if nominal(base.type.size) * 8 > nominal(node.type.size):
            large += 1
    return large <= 1
