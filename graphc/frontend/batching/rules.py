"""Batching rules, one for each family of ops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc.errors import UnsupportedError
from graphc.frontend import functions as fn
from graphc.frontend.batching.batcher import Batched, Batcher, Rule, Values, moved
from graphc.frontend.batching.loops import scan
from graphc.frontend.functions.creation import iota
from graphc.frontend.tensor import Tensor, handle, lift_op
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Elementwise, Op, Ordered, Reduce
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.conv import Conv
from graphc.ir.ops.diagonal import Diagonal
from graphc.ir.ops.failure import VALUE
from graphc.ir.ops.gather import Guard, ScatterAdd, Take
from graphc.ir.ops.indexing import FirstOccurrence, PutAlong, PutRows, TakeAlong
from graphc.ir.ops.join import Concat
from graphc.ir.ops.loop import Scan
from graphc.ir.ops.matrix import Matrix, Solve, SolveTriangular
from graphc.ir.ops.padding import Extend, Roll
from graphc.ir.ops.reduce import Sum
from graphc.ir.ops.sorting import SearchSorted
from graphc.ir.ops.training import CustomGradient, ModeSwitch, StateUpdate
from graphc.ir.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice
from graphc.ir.ops.window import Fold, Unfold, Window
from graphc.ir.types import bool_, int8, int64


def find_rule(node: Node) -> Rule:
    """The rule for a node's op; raises UnsupportedError when there is none."""
    for kinds, rule in RULES:
        if isinstance(node.op, kinds):
            return rule
    raise unsupported(node)


def unsupported(node: Node) -> UnsupportedError:
    """The error about an op without a rule."""
    return UnsupportedError(
        f"vmap: {node.op.name} has no rule for many examples",
        operands=graphs.describe(node.inputs),
        origin=node.origin,
    )


# ------------------------------------------------------------------ axis by axis


def same_op(b: Batcher, node: Node, values: Values) -> Node:
    """An op that knows nothing of axes, on operands that all have the leading one."""
    return b.apply(node.op, node, *map(b.spread, values))


def same_op_along(b: Batcher, node: Node, values: Values) -> Node:
    """An op along one axis of operands of equal rank: the axis is one further on."""
    op: Any = node.op
    return b.apply(replace(op, axis=op.axis + 1), node, *map(b.spread, values))


def along_rows(b: Batcher, node: Node, values: Values) -> Node:
    """An op along one axis, if it is one; others have rules of their own."""
    ranks = {i.type.ndim for i in node.inputs}
    if not hasattr(node.op, "axis") or ranks != {node.type.ndim}:
        raise unsupported(node)
    return same_op_along(b, node, values)


def reduce(b: Batcher, node: Node, values: Values) -> Node:
    """The reduced axes are one further on."""
    op: Any = node.op
    return b.apply(replace(op, axes=tuple(axis + 1 for axis in op.axes)), node, values[0][0])


def broadcast_to(b: Batcher, node: Node, values: Values) -> Node:
    """New axes come between the examples and the old axes."""
    (x, _), missing = values[0], node.type.ndim - node.inputs[0].type.ndim
    if missing:
        kept = (b.size, *(1,) * missing, *node.inputs[0].type.shape)
        x = graphs.apply(Reshape(kept), x)
    return b.apply(BroadcastTo(b.type_of(node).shape), node, x)


def reshape(b: Batcher, node: Node, values: Values) -> Node:
    """Each example by itself."""
    return b.apply(Reshape(b.type_of(node).shape), node, values[0][0])


def permute(b: Batcher, node: Node, values: Values) -> Node:
    """The examples stay in front."""
    op: Any = node.op
    return b.apply(Permute((0, *(axis + 1 for axis in op.axes))), node, values[0][0])


def slice_(b: Batcher, node: Node, values: Values) -> Node:
    """All examples."""
    op: Any = node.op
    whole = Slice((0, *op.starts), (b.size, *op.sizes), (1, *op.steps))
    return b.apply(whole, node, values[0][0])


def pad(b: Batcher, node: Node, values: Values) -> Node:
    """No examples are added."""
    op: Any = node.op
    return b.apply(Pad((0, *op.before), (0, *op.after), (1, *op.steps)), node, values[0][0])


def slide(b: Batcher, node: Node, values: Values) -> Node:
    """The axes of the windows are one further on."""
    op: Any = node.op
    windows = tuple(moved_window(w) for w in op.windows)
    return b.apply(replace(op, windows=windows), node, values[0][0])


def moved_window(w: Window) -> Window:
    """The window along axes one further on."""
    return replace(w, input=w.input + 1, output=w.output + 1, tap=w.tap + 1)


# ------------------------------------------------------------------ contractions


def dot(b: Batcher, node: Node, values: Values) -> Node:
    """One more label: free where one operand varies, so that it stays one product of matrices."""
    op: Any = node.op
    x, y, out = labels_of(op, values)
    return b.apply(replace(op, a=x, b=y, out=out), node, *(n for n, _ in values))


def conv(b: Batcher, node: Node, values: Values) -> Node:
    """One more label, which no window has."""
    op: Any = node.op
    x, y, out = labels_of(op, values)
    wider = replace(op, a=x, b=y, out=out, shape=b.type_of(node).shape)
    return b.apply(wider, node, *(n for n, _ in values))


def labels_of(op: Dot | Conv, values: Values) -> list[tuple[int, ...]]:
    """The labels of a, b and the result with that of the examples in front."""
    new = 1 + max((*op.a, *op.b, *op.out), default=-1)
    varies = [varying for _, varying in values] + [True]
    return [(new, *x) if v else x for x, v in zip((op.a, op.b, op.out), varies)]


# ------------------------------------------------------------------ matrices


def solve(b: Batcher, node: Node, values: Values) -> Node:
    """One factorisation for the columns of all examples, where the matrix is one for all."""
    (a, varies), (x, _) = values
    if varies or a.type.ndim > 2:
        return same_op(b, node, values)
    size, rows, columns = x.type.shape
    flat = graphs.apply(Reshape((rows, size * columns)), moved(x, 0, 1))
    solved = graphs.apply(Reshape((rows, size, columns)), graphs.apply(node.op, a, flat))
    return moved(solved, 1, 0, node.name)


# ------------------------------------------------------------------ indices that are data


def take(b: Batcher, node: Node, values: Values) -> Node:
    """Rows of examples concatenated where only x varies; else of examples one below another."""
    (x, _), (indices, _) = values
    rank = node.inputs[1].type.ndim
    match [varies for _, varies in values]:
        case [False, True]:
            return b.apply(node.op, node, x, indices)
        case [True, False]:
            taken = graphs.apply(node.op, moved(x, 0, 1), indices)
            return moved(taken, rank, 0, node.name)
    count = node.inputs[0].type.shape[0]
    return b.apply(node.op, node, merge_leading_axes(x), rows_of_all(node.op.name, indices, count))


def scatter(b: Batcher, node: Node, values: Values) -> Node:
    """As `take`: the examples behind the rows, or all of their rows one below another."""
    x, updates = b.spread(values[0]), b.spread(values[2])
    indices, varies = values[1]
    if not varies:
        behind = moved(updates, 0, node.inputs[1].type.ndim)
        return moved(graphs.apply(node.op, moved(x, 0, 1), indices, behind), 1, 0, node.name)
    rows = rows_of_all(node.op.name, indices, node.inputs[0].type.shape[0])
    result = graphs.apply(node.op, merge_leading_axes(x), rows, updates)
    return b.apply(Reshape(x.type.shape), node, result)


def first_occurrence(b: Batcher, node: Node, values: Values) -> Node:
    """The indices of all examples, made different; positions count from each example's first."""
    op: Any = node.op
    count = node.type.shape[0]
    rows = rows_of_all(op.name, values[0][0], op.size)
    flat = graphs.apply(Reshape((b.size * count,)), rows)
    first = handle(graphs.apply(FirstOccurrence(b.size * op.size), flat))
    shape = (b.size, count)
    start = iota(shape, 0, int64) * number(count)
    return fn.subtract(fn.reshape(first, shape), start).node


def searchsorted(b: Batcher, node: Node, values: Values) -> Node:
    """A search where one vector serves all examples, else a count; NaN is above all others."""
    op: Any = node.op
    if not values[0][1]:
        return b.apply(op, node, values[0][0], values[1][0])
    x, v = handle(values[0][0]), handle(b.spread(values[1]))
    if x.dtype == bool_:
        x, v = fn.astype(x, int8), fn.astype(v, int8)
    ones = (1,) * (v.ndim - 1)
    x = fn.reshape(x, (b.size, *ones, x.shape[1]))
    v = fn.expand_dims(v, -1)
    before = x <= v if op.right else x < v
    if x.dtype.is_float:
        last = v != v
        before = fn.logical_or(before, last if op.right else fn.logical_and(last, x == x))
    return fn.sum(fn.astype(before, int64), axis=-1).node


def merge_leading_axes(x: Node) -> Node:
    """The first two axes as one."""
    size, count, *rest = x.type.shape
    return graphs.apply(Reshape((size * count, *rest)), x)


def rows_of_all(name: str, indices: Node, count: Size) -> Node:
    """Indices into `count` rows as indices into those of all examples, as int64.

    What is out of range for its own example is found here, where its value is known.
    """
    own = fn.astype(handle(indices), int64)
    rows = number(count)
    legal = fn.logical_and(own >= -rows, own < rows)
    first = iota(own.shape, 0, int64) * rows
    message = f"{name}: an index is out of range for an axis of size {{size}}{VALUE}"
    own = lift_op(Guard(message, count), own, legal)
    return (fn.where(own < 0, own + rows, own) + first).node


def number(size: Size) -> Tensor:
    """A size as a number of type int64."""
    if isinstance(size, int):
        return lift_op(leaf.Literal(size, int64))
    return lift_op(leaf.SizeOf(size))


# ------------------------------------------------------------------ markers


def state_update(b: Batcher, node: Node, values: Values) -> Node:
    """The mark on the value of all examples, if they share the new state or have one each."""
    value, (parameter, own), (new, varies) = values
    if own:
        return b.apply(node.op, node, b.spread(value), parameter, b.spread(values[2]))
    if varies:
        raise UnsupportedError(
            f"vmap: every example gives {node.inputs[1].name} another value",
            operands=graphs.describe(node.inputs),
            origin=node.origin,
            hint="reduce over the examples outside of vmap",
        )
    return b.apply(node.op, node, b.spread(value), parameter, new)


def custom_gradient(b: Batcher, node: Node, values: Values) -> Node:
    """The user's gradient, for all examples; contributions to what does not vary are summed."""
    op: Any = node.op
    flags = [varies for _, varies in values[1:]]

    def pull(dy: Tensor) -> tuple[Tensor | None, ...]:
        seed = graphs.apply(leaf.Input("cotangent", node.type))
        b.made[seed] = (dy.node, True)
        contributions = op.pull(handle(seed))
        found = iter(b.run([s.node for s in contributions if s is not None]))
        return tuple(
            None if contribution is None else _contribution(b, next(found), varies)
            for contribution, varies in zip(contributions, flags)
        )

    first = b.spread(values[0])
    apart = op.apart + 1 if all(flags) else 0
    return b.apply(CustomGradient(pull, apart), node, first, *(n for n, _ in values[1:]))


def _contribution(b: Batcher, contribution: Batched, varies: bool) -> Tensor:
    every = b.spread(contribution)
    return handle(every if varies else graphs.apply(Sum((0,)), every))


RULES: tuple[tuple[type[Op] | tuple[type[Op], ...], Rule], ...] = (
    (Elementwise, same_op),
    (Reduce, reduce),
    (BroadcastTo, broadcast_to),
    (Reshape, reshape),
    (Permute, permute),
    (Slice, slice_),
    (Pad, pad),
    (Diagonal, same_op),
    ((Unfold, Fold), slide),
    ((Concat, TakeAlong, PutAlong, Extend, Roll), same_op_along),
    (Dot, dot),
    (Conv, conv),
    (Take, take),
    ((ScatterAdd, PutRows), scatter),
    (FirstOccurrence, first_occurrence),
    (SearchSorted, searchsorted),
    ((Solve, SolveTriangular), solve),
    (Matrix, same_op),
    (Ordered, along_rows),
    (Scan, scan),
    (ModeSwitch, same_op),
    (StateUpdate, state_update),
    (CustomGradient, custom_gradient),
)
