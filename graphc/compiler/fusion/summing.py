"""The summation order of a reduction, which depends on its own expression alone.

The order decides the last bits of a sum. So all of it (whether lanes run along the sum or side by
side over several, which of several axes is innermost, whether there are chunks) follows from the
shape and from where the elements come from: what is read in memory through elementwise ops and
views, down to inputs, contractions and other reductions. Reductions share a kernel only where it
can run in the order of each. Those that give the same bits in any order (maxima, truth values,
whole numbers) take that of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.compiler.fusion.group import SumOrder, is_divided
from graphc.compiler.fusion.one_hot_sum import find_one_hot_sum
from graphc.ir.dims import Size, nominal, product
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import Axes, base_of, through_views
from graphc.ir.ops.base import Contract, Elementwise, Reduce
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.leaf import Iota
from graphc.ir.ops.reduce import Prod, Sum

MAX_SERIAL_ELEMENTS = 16384  # not worth a second kernel
MAX_SHORT_AXIS = 4  # elements of a reduced axis that leaves the lanes to the rows
MAX_VISITED_VALUES = 100  # that are looked through for what a sum reads

Read = tuple[Node, Axes | None]  # a value, and which axis each of its axes is; None: not whole


@dataclass(frozen=True)
class AxisOrder:
    """The summation order of a reduction over the axes of its input, by number."""

    free: bool  # any order gives the same bits
    chunked: bool  # in fixed chunks, then over their results
    joined: bool  # in chunks: all reduced axes as one
    inside: bool  # the lanes run along the sum, not over several sums
    lane: int | None  # the axis with the lanes


class SumOrders:
    """The summation orders of a graph's reductions."""

    def __init__(self, graph: Graph) -> None:
        self._epilogues: set[Node] = set()
        for node in graph.nodes:
            if self._is_epilogue(node):
                self._epilogues.add(node)
        self._known: dict[Node, AxisOrder] = {}
        self._scattered: dict[Node, bool] = {}

    def _is_epilogue(self, node: Node) -> bool:
        """Whether a node is a contraction with little more: its kernel will compute that too."""
        if not isinstance(node.op, Elementwise):
            return False
        others = [i for i in node.inputs if not self._is_contracted(i)]
        few = all(nominal(base_of(i).type.size) < nominal(node.type.size) for i in others)
        return few and len(others) < len(node.inputs)

    def _is_contracted(self, node: Node) -> bool:
        return isinstance(node.op, Contract) or node in self._epilogues

    def sum_order(self, node: Node, axes: Axes) -> SumOrder | None:
        """The order by loop variables; None where a node has no requirement."""
        if not isinstance(node.op, Reduce):
            if node not in self._scattered:
                self._scattered[node] = is_scattered(node)
            return SumOrder(True, scattered=True) if self._scattered[node] else None
        reduced = tuple(v for a, v in enumerate(axes) if v is not None and a in node.op.axes)
        if not reduced:
            return None
        order = self.of(node)
        if not order.chunked:
            return SumOrder(True) if order.free else SumOrder(False, inside=order.inside)
        column = None if order.inside or order.lane is None else axes[order.lane]
        return SumOrder(
            False, chunked=True, joined=order.joined, inside=order.inside, column=column,
            reduced=reduced,
        )  # fmt: skip

    def of(self, node: Node) -> AxisOrder:
        """The order of a reduction, by the axes of its input."""
        if node not in self._known:
            self._known[node] = self._find(node)
        return self._known[node]

    def _find(self, node: Node) -> AxisOrder:
        assert isinstance(node.op, Reduce)
        shape, axes = node.inputs[0].type.shape, node.op.axes
        long = [a for a, s in enumerate(shape) if s != 1]
        kept, reduced = [a for a in long if a not in axes], [a for a in long if a in axes]
        read = self._read(node)
        lane = choose_lane(read, shape, kept, reduced)
        inside = lane is None or lane in reduced
        free = isinstance(node.op, (Sum, Prod)) is False or not node.type.dtype.is_float
        if not reduced or find_one_hot_sum(node) is not None:
            return AxisOrder(True, False, False, inside, lane)
        sizes = [shape[a] for a in reduced]
        if kept:
            chunked = is_divided([shape[a] for a in kept], sizes, long[-1] in reduced)
        else:
            chunked = nominal(product(sizes)) > MAX_SERIAL_ELEMENTS
        joined = chunked and is_joined(read, long, kept, reduced, lane)
        return AxisOrder(free, chunked, joined, inside, lane)

    def _read(self, node: Node) -> list[Read]:
        """What a reduction reads, going through elementwise ops, with the axes of its input.

        What is all reduced to one number ends at a contraction's epilogue: that is rather stored,
        and read straight through.
        """
        (x,) = node.inputs
        stored = set[Node]() if node.type.ndim else self._epilogues
        own = tuple(None if s == 1 else a for a, s in enumerate(x.type.shape))
        waiting, seen, found = [through_view_chain(x, own)], set[Read](), list[Read]()
        while waiting:
            read = waiting.pop()
            if read in seen:
                continue
            seen.add(read)
            base, axes = read
            open_ = isinstance(base.op, Elementwise) and base not in stored
            if open_ and axes is not None and len(seen) < MAX_VISITED_VALUES:
                waiting += [through_view_chain(i, axes) for i in reversed(base.inputs)]
            else:
                found.append(in_memory(base, axes))
        return found


def is_scattered(node: Node) -> bool:
    """Whether an elementwise node reads something that does not run over its axes in order."""
    own = tuple(None if s == 1 else a for a, s in enumerate(node.type.shape))
    read = [through_view_chain(i, own)[1] for i in node.inputs]
    return any(axes is None for axes in read)


def through_view_chain(node: Node, axes: Axes) -> Read:
    """The base of views, and which of the axes that the views have its own axes are."""
    base = base_of(node)
    labels = tuple(None if s == 1 else a for a, s in enumerate(base.type.shape))
    shown = through_views(node, labels)
    if shown is None:
        return base, None
    where = {label: v for label, v in zip(shown, axes) if label is not None}
    if any(label is not None and label not in where for label in labels):
        return base, None
    return base, tuple(None if label is None else where[label] for label in labels)


def in_memory(base: Node, axes: Axes | None) -> Read:
    """The axes of a value in the order of memory.

    A product of matrices may yet be written in another order for the sake of who reads it, so
    that of its operands counts.
    """
    if axes is None or not isinstance(base.op, Dot):
        return base, axes
    op = base.op
    labels = [*op.a, *op.b]
    order = sorted(range(len(op.out)), key=lambda k: labels.index(op.out[k]))
    return base, tuple(axes[k] for k in order)


def choose_lane(
    read: list[Read], shape: tuple[Size, ...], kept: list[int], reduced: list[int]
) -> int | None:
    """The axis that runs over neighbouring elements of most of what is read."""
    votes: dict[int, int] = {}
    for base, axes in read:
        last = [a for a in axes or () if a is not None]
        if last:
            votes[last[-1]] = votes.get(last[-1], 0) + nominal(base.type.size)
    if not votes:
        return next(reversed(kept or reduced), None)
    best = max(votes, key=lambda a: (votes[a], a))
    if kept and best in reduced and is_short(shape[best]):
        long = [a for a in kept if not is_short(shape[a])]
        return long[-1] if long else best
    return best


def is_short(size: Size) -> bool:
    """Whether elements so far apart are still neighbours: several rows are summed at once then."""
    return isinstance(size, int) and size <= MAX_SHORT_AXIS


def is_joined(
    read: list[Read], long: list[int], kept: list[int], reduced: list[int], lane: int | None
) -> bool:
    """Whether all reduced axes are one: what is read runs over all axes in order, or over rows."""
    if kept:
        outer = [a for a in kept if a != lane]
        if lane not in kept or long != [*outer, *reduced, lane]:
            return False
    elif len(long) < 2:
        return False
    return all(is_in_order(base, axes, long, kept) for base, axes in read)


def is_in_order(base: Node, axes: Axes | None, long: list[int], kept: list[int]) -> bool:
    """Whether a value's memory runs over all axes in order, over the first, or over kept ones."""
    if axes is None:
        return False
    own = [a for a in axes if a is not None]
    if set(own) <= set(kept):
        return True
    return not isinstance(base.op, Iota) and own in (long, long[:-1])
