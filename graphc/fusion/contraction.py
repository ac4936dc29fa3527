"""Lower a contraction group: a sum of products, and an epilogue on each finished element."""

from __future__ import annotations

from graphc.fusion.grouping import Group
from graphc.fusion.rows import AXIS_NAMES, Lowering
from graphc.fusion.values import Values
from graphc.graph import Node
from graphc.loops.combine import DOT
from graphc.loops.ir import PARALLEL, SEQUENTIAL, Accumulate, Accumulator, Axis, Expr, Loop, Ref
from graphc.ops.contract import Dot
from graphc.types import int64


def lower_contraction(group: Group, lowering: Lowering, values: Values) -> None:
    """Emit loops over the result, the reduction inside, and the epilogue after it."""
    node = next(n for n in group.nodes if isinstance(n.op, Dot))
    op = node.op
    assert isinstance(op, Dot)
    e = values.e
    sizes = op.sizes(node.inputs[0].type, node.inputs[1].type)
    order = op.out + op.reduced
    axis = {label: Axis(AXIS_NAMES[k]) for k, label in enumerate(order)}
    index = {label: e.index(a) for label, a in axis.items()}
    looped = [label for label in op.out if sizes[label] != 1]
    index |= {label: e.const(0, int64) for label in op.out if sizes[label] == 1}
    for _ in looped:
        values.open()
    at = tuple(index[label] for label in op.out)
    values.bind(node, at, _reduction(node, op, axis, index, values))
    for member in group.nodes:
        if member in lowering.stored:
            axes = lowering.grouping.result_axes(member)
            own = _index_of(member, axes, lowering, node, at, values)
            value = values.at(member, own)
            values.store_later(member, lowering.targets[member], own, value)
    for label in reversed(looped):
        body = values.close()
        lanes = label == looped[-1]
        values.emit(Loop(axis[label], e.extent(sizes[label]), PARALLEL, body, lanes=lanes))


def _reduction(
    node: Node, op: Dot, axis: dict[int, Axis], index: dict[int, Expr], values: Values
) -> Expr:
    """The sum of products for one element; loops over the reduced labels, outermost first."""
    e = values.e
    sizes = op.sizes(node.inputs[0].type, node.inputs[1].type)
    a, b = node.inputs
    ref = Ref(node.type.dtype, values.name("acc"))
    accumulator = Accumulator(DOT, (ref,))
    for _ in op.reduced:
        values.open()
    x = values.at(a, tuple(index[label] for label in op.a))
    y = values.at(b, tuple(index[label] for label in op.b))
    if not op.reduced:
        return e.apply("mul", x, y)
    values.emit(Accumulate(accumulator, (x, y)))
    for label in reversed(op.reduced):
        outermost = label == op.reduced[0]
        body = values.close()
        accumulators = (accumulator,) if outermost else ()
        extent = e.extent(sizes[label])
        values.emit(Loop(axis[label], extent, SEQUENTIAL, body, accumulators))
    return ref


def _index_of(
    member: Node,
    axes: tuple[int | None, ...],
    lowering: Lowering,
    dot: Node,
    at: tuple[Expr, ...],
    values: Values,
) -> tuple[Expr, ...]:
    """The index of an epilogue's element: the contraction's index under the member's axes."""
    where = dict(zip(lowering.grouping.axes(dot), at))
    return tuple(values.e.const(0, int64) if v is None else where[v] for v in axes)
