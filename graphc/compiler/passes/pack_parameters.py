"""Store once, in the order in which products read it, what depends on parameters alone."""

from __future__ import annotations

from graphc import origin as origins
from graphc.ir.dims import nominal, product
from graphc.ir.graph import Graph, Node, apply, with_inputs
from graphc.ir.ops.base import Leaf
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.conv import Conv
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.ops.store import Stored
from graphc.ir.ops.view import Pad, Permute, Reshape, Slice

PANEL_COLUMNS = 64  # every target's vectors divide it
MIN_COLUMNS = 16  # that are worth panels
MAX_PACKED_ROWS = 256  # with more of them the time is that of the arithmetic in any order


def pack_parameters(graph: Graph) -> Graph:
    """Let products of few rows read parameters in panels that are stored ahead of time.

    A function that updates parameters would store them again at every call.
    """
    if graph.updates:
        return graph
    fixed: dict[Node, bool] = {}
    packed: dict[tuple[Node, tuple[int, ...]], Node] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        fixed[node] = is_fixed(node, fixed)
        inputs = [new[i] for i in node.inputs]
        if isinstance(node.op, (Dot, Conv)) and not fixed[node]:
            for i, given in enumerate(node.inputs):
                order = panel_order(node, i) if fixed[given] else None
                if order is not None:
                    with origins.inherit(node.origin, node.step_part):
                        found = packed.get((given, order)) or in_panels(inputs[i], order)
                    packed[given, order] = inputs[i] = found
        new[node] = with_inputs(node, tuple(inputs))
    return graph.substitute(new)


def is_fixed(node: Node, fixed: dict[Node, bool]) -> bool:
    """Whether a value depends on parameters and constants alone."""
    if isinstance(node.op, Leaf):
        return isinstance(node.op, (Parameter, Constant))
    return node.op.pure and bool(node.inputs) and all(fixed[i] for i in node.inputs)


def panel_order(node: Node, side: int) -> tuple[int, ...] | None:
    """The axes of an operand with those summed over last but one, and the columns last.

    None where the product has many rows, or few columns.
    """
    op, own = node.op, node.inputs[side]
    assert isinstance(op, (Dot, Conv))
    labels, other = (op.a, op.b) if side == 0 else (op.b, op.a)
    free = [x for x in op.out if x in labels and x not in other]
    rows = product(s for x, s in zip(op.out, node.type.shape) if x not in labels)
    if not free or nominal(rows) > MAX_PACKED_ROWS:
        return None
    column = labels.index(free[-1])
    size = own.type.shape[column]
    if not isinstance(size, int) or size < MIN_COLUMNS or any(x == 0 for x in own.type.shape):
        return None
    summed = [labels.index(x) for x in op.reduced if x in labels]
    rest = [i for i in range(len(labels)) if i != column and i not in summed]
    order = (*rest, *summed, column)
    is_there = isinstance(own.op, Parameter) and order == tuple(range(len(labels)))
    return None if is_there and size <= PANEL_COLUMNS else order


def in_panels(x: Node, order: tuple[int, ...]) -> Node:
    """The same value, read from memory of shape (rest..., panels, summed..., PANEL_COLUMNS)."""
    transposed = apply(Permute(order), x)
    *outer, size = transposed.type.shape
    assert isinstance(size, int)
    back = tuple(order.index(i) for i in range(len(order)))
    if size <= PANEL_COLUMNS:
        return apply(Permute(back), apply(Stored(), transposed))
    n, panels = len(outer), -(-size // PANEL_COLUMNS)
    none = (0,) * n
    padded = apply(
        Pad((*none, 0), (*none, panels * PANEL_COLUMNS - size), (1,) * (n + 1)), transposed
    )
    cut = apply(Reshape((*outer, panels, PANEL_COLUMNS)), padded)
    apart = apply(Stored(), apply(Permute((n, *range(n), n + 1)), cut))
    joined = apply(Permute((*range(1, n + 1), 0, n + 1)), apart)
    whole = apply(Reshape((*outer, panels * PANEL_COLUMNS)), joined)
    kept = apply(Slice((*none, 0), (*outer, size), (1,) * (n + 1)), whole)
    return apply(Permute(back), kept)
