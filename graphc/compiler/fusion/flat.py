"""Whether a kernel may run over all its rows as one axis, with linear indices."""

from __future__ import annotations

from collections.abc import Container

from graphc.compiler.fusion.group import Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.ir.dims import product
from graphc.ir.graph import Node
from graphc.ir.ops.axes import base_of, through_views
from graphc.ir.ops.base import Elementwise, Reduce, View
from graphc.ir.ops.leaf import Iota, RandomBits
from graphc.ir.ops.view import Pad


def is_flat(
    group: Group, rows: tuple[int, ...], grouping: Grouping, stored: Container[Node]
) -> bool:
    """Whether every value read or written runs over all rows in order, or is a number."""
    inner = grouping.inner(group)
    for node in group.nodes:
        axes = grouping.axes(node)
        own = tuple(v for v in axes if v is not None)
        if own and own != rows:
            return False
        if not isinstance(node.op, (Reduce, Elementwise, RandomBits)):
            return False
        if isinstance(node.op, Reduce) and not inner:
            return False
        if not all(_reads_flat(i, group, grouping, stored) for i in node.inputs):
            return False
    return True


def _reads_flat(i: Node, group: Group, grouping: Grouping, stored: Container[Node]) -> bool:
    base = base_of(i)
    if base.type.size == 1:
        return not _shows_zeros(i)
    if isinstance(base.op, Iota):
        return False
    again = base not in stored and grouping.group_of.get(base) is not group
    if again and not all(_reads_flat(j, group, grouping, stored) for j in base.inputs):
        return False  # it is computed again here, with all that it reads
    chain = i
    while isinstance(chain.op, View):
        if product(chain.type.shape) != base.type.size:
            return False
        chain = chain.inputs[0]
    ids = tuple(k if s != 1 else None for k, s in enumerate(base.type.shape))
    shown = through_views(i, ids)
    return shown is not None and [k for k in shown if k is not None] == [
        k for k in ids if k is not None
    ]


def _shows_zeros(node: Node) -> bool:
    """Whether a view shows elements that its source does not have."""
    while isinstance(node.op, View):
        if isinstance(node.op, Pad):
            return True
        node = node.inputs[0]
    return False
