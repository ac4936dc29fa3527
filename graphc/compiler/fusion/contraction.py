"""Lower a contraction group: sums of products, and an epilogue on each finished element."""

from __future__ import annotations

from graphc.compiler.fusion.group import Group
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.rows import AXIS_NAMES, Lowering
from graphc.ir.graph import Node
from graphc.ir.loops.combine import DOT
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Expr,
    Loop,
    Ref,
    all_of,
)  # fmt: skip
from graphc.ir.ops.base import Contract
from graphc.ir.ops.nest import AffineIndex, Label, Nest
from graphc.ir.ops.reduce import widened
from graphc.ir.types import int64


def lower_contraction(group: Group, lowering: Lowering, builder: KernelBuilder) -> None:
    """Emit, for each nest, loops over the result, the reduction inside, the epilogue after it."""
    node = next(n for n in group.nodes if isinstance(n.op, Contract))
    assert isinstance(node.op, Contract)
    for nest in node.op.nests(*(i.type for i in node.inputs)):
        _NestLowering(nest, node, lowering, builder).emit(group)


class _NestLowering:
    """One nest being emitted."""

    def __init__(self, nest: Nest, node: Node, lowering: Lowering, builder: KernelBuilder) -> None:
        self.nest, self.node, self.lowering, self.builder = nest, node, lowering, builder
        e = builder.e
        extents = nest.result + nest.reduced
        self.axis = {label: Axis(AXIS_NAMES[k]) for k, (label, _) in enumerate(extents)}
        self.index: dict[Label, Expr] = {label: e.index(a) for label, a in self.axis.items()}
        self.index |= {label: e.const(0, int64) for label, size in nest.result if size == 1}

    def emit(self, group: Group) -> None:
        """Emit the loops of the result and everything in them."""
        builder, looped = self.builder, [(k, s) for k, s in self.nest.result if s != 1]
        for _ in looped:
            builder.open()
        at = tuple(self._position(place) for place in self.nest.out)
        builder.bind(self.node, at, self._reduction())
        for member in group.nodes:
            if member in self.lowering.targets:
                own = self._index_of(member, at)
                value = builder.at(member, own)
                builder.store_later(member, self.lowering.targets[member], own, value)
        for label, size in reversed(looped):
            body, lanes = builder.close(), label == looped[-1][0]
            loop = Loop(self.axis[label], builder.e.extent(size), PARALLEL, body, lanes=lanes)
            builder.emit(loop)

    def _position(self, place: AffineIndex) -> Expr:
        e, total = self.builder.e, None
        for label, factor in place.terms:
            term = e.times(self.index[label], factor)
            total = term if total is None else e.add(total, term)
        offset = e.extent(place.offset)
        return offset if total is None else e.add(total, offset)

    def _factors(self) -> tuple[Expr, Expr]:
        """An element of each operand; both are 0 where a position of one lies outside.

        So the product is left out, even if the other factor is no finite number.
        """
        e, nest, (a, b) = self.builder.e, self.nest, self.node.inputs
        left, right = (tuple(map(self._position, places)) for places in (nest.a, nest.b))
        zero, inside = e.const(0, int64), list[Expr]()
        for place, position in zip(nest.a + nest.b, left + right):
            if place.size is not None:
                inside += [e.le(zero, position), e.lt(position, e.extent(place.size))]
        where = all_of(inside)
        return self.builder.inside(a, left, where), self.builder.inside(b, right, where)

    def _reduction(self) -> Expr:
        """The sum of products for one element; loops over what is summed, outermost first."""
        builder, nest = self.builder, self.nest
        for _ in nest.reduced:
            builder.open()
        x, y = self._factors()
        if not nest.reduced:
            return builder.e.apply("mul", x, y)
        x, y = widened(builder.e, x), widened(builder.e, y)
        ref = Ref(x.dtype, builder.name("acc"))
        accumulator = Accumulator(DOT, (ref,))
        builder.emit(Accumulate(accumulator, (x, y)))
        for position, (label, size) in reversed(list(enumerate(nest.reduced))):
            accumulators = () if position else (accumulator,)
            extent, body = builder.e.extent(size), builder.close()
            builder.emit(Loop(self.axis[label], extent, SEQUENTIAL, body, accumulators))
        dtype = self.node.type.dtype
        return ref if ref.dtype == dtype else builder.e.cast(ref, dtype)

    def _index_of(self, member: Node, at: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The index of an epilogue's element: the contraction's under the member's axes."""
        grouping, zero = self.lowering.grouping, self.builder.e.const(0, int64)
        where = dict(zip(grouping.axes(self.node), at))
        axes = grouping.result_axes(member)
        return tuple(zero if v is None else where[v] for v in axes)
