"""Decide which values are materialised and which are recomputed by their readers."""

from __future__ import annotations

from graphc.compiler.fusion.grouping import MAX_CHEAP_FLOPS, Grouping
from graphc.ir.dims import nominal
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import base_of
from graphc.ir.ops.base import Contract, Elementwise, Gather, Join, Scatter
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.loop import Scan
from graphc.ir.ops.store import Stored

MAX_PACKING_FLOPS = 2  # per element of an operand that a contraction computes while it is packed


def materialise(graph: Graph, grouping: Grouping) -> tuple[set[Node], set[Node]]:
    """Return (stored, inlined): values with bytes, and cheap ones that readers compute again.

    A value is stored when it leaves its group and is no cheap function of one stored value.
    """
    reading = grouping.readers
    roots = {base_of(r) for r in graph.roots}
    stored: set[Node] = set()
    inlined: set[Node] = set()
    for node in graph.nodes:
        if node not in grouping.group_of:
            continue
        group = grouping.group_of[node]
        outside = [r for r in reading[node] if grouping.group_of.get(r) is not group]
        if node in roots:
            stored.add(node)
        elif outside:
            packed = any(isinstance(r.op, Contract) for r in outside)
            limit = MAX_PACKING_FLOPS if packed else MAX_CHEAP_FLOPS
            if any(_needs_bytes(r, node) for r in outside):
                stored.add(node)
            elif _is_cheap(node, stored, grouping, limit):
                inlined.add(node)
            elif (narrow := _narrower(node, grouping)) is not None:
                stored.add(narrow)
                inlined.add(node)
            else:
                _keep_less(node, limit, grouping, stored, inlined)
    return stored, inlined


def _narrower(node: Node, grouping: Grouping) -> Node | None:
    """The same numbers in fewer bytes: what was rounded to a short float and widened again."""
    if not isinstance(node.op, Cast) or not node.type.dtype.is_float:
        return None
    (source,) = node.inputs
    rounded = isinstance(source.op, Cast) and source.type.dtype.is_float
    shorter = source.type.dtype.bits < node.type.dtype.bits
    together = grouping.group_of.get(source) is grouping.group_of[node]
    return source if rounded and shorter and together else None


def _keep_less(
    node: Node, limit: int, grouping: Grouping, stored: set[Node], inlined: set[Node]
) -> None:
    """Store what a value expands by a few flops, if that is half of its bytes, else the value."""
    flops, again, kept = 0, {node: None}, dict[Node, None]()
    stack = [node]
    while stack:
        n = stack.pop()
        if not isinstance(n.op, Elementwise) or not n.op.pure:
            flops = limit + 1
            break
        flops += n.op.cost
        for base in dict.fromkeys(base_of(i) for i in n.inputs):
            same = nominal(base.type.size) == nominal(node.type.size) or base in inlined
            if same and base in grouping.group_of and base not in stored:
                stack += [] if base in again else [base]
                again[base] = None
            else:
                kept[base] = None
    if flops > limit or 2 * sum(nominal(n.type.nbytes) for n in kept) > nominal(node.type.nbytes):
        stored.add(node)
        return
    inlined.update(again)
    stored.update(n for n in kept if n in grouping.group_of)


def _needs_bytes(reader: Node, node: Node) -> bool:
    """Readers that address memory (tables, scatters, joins), and what is always stored."""
    if isinstance(reader.op, (Scatter, Join, Scan)) or isinstance(node.op, Stored):
        return True
    return isinstance(reader.op, Gather) and base_of(reader.inputs[0]) is node


def _is_cheap(node: Node, stored: set[Node], grouping: Grouping, limit: int) -> bool:
    """A few flops on one stored value of its own size, and on nothing else of that size."""
    flops, large = 0, set()
    stack, seen = [node], {node}
    while stack:
        n = stack.pop()
        if not isinstance(n.op, Elementwise) or not n.op.pure:
            return False
        flops += n.op.cost
        if flops > limit:
            return False
        for base in dict.fromkeys(base_of(i) for i in n.inputs):
            if base in grouping.group_of and base not in stored:
                if base not in seen:
                    seen.add(base)
                    stack.append(base)
            elif nominal(base.type.size) * 8 > nominal(node.type.size):
                large.add(base)
    return len(large) <= 1
