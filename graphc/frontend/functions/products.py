"""Sums of products: everything here becomes one contraction per pair of operands."""

from __future__ import annotations

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.arithmetic import multiply
from graphc.frontend.functions.creation import eye
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.operands import all_axes, cast, fail, one_axis, same_dtype, widened
from graphc.frontend.functions.shapes import permute_dims, reshape
from graphc.frontend.tensor import Tensor, handle, lift, lift_op
from graphc.frontend.typing import AxisLike, TensorLike
from graphc.ir.dims import Size
from graphc.ir.ops.contract import Dot, Labels
from graphc.ir.ops.reduce import Sum
from graphc.ir.ops.view import Permute
from graphc.ir.precision import current


def contract(a: Tensor, la: Labels, b: Tensor, lb: Labels, out: Labels) -> Tensor:
    """Sum a[la] * b[lb] over the labels that `out` lacks; labels of one size agree.

    Without an own label on either side, or without a label to sum over, it is elementwise work.
    """
    own = (set(la) ^ set(lb)) & set(out)
    reduced = [label for label in la if label not in out]
    if not reduced or not own:
        return elementwise_contract(a, la, b, lb, out)
    (a, la), (b, lb) = through_permutation(a, la), through_permutation(b, lb)
    number = {label: i for i, label in enumerate(dict.fromkeys(la + lb))}
    la, lb, out = (tuple(number[label] for label in labels) for labels in (la, lb, out))
    return lift_op(Dot(la, lb, out, current()), a, b)


def through_permutation(x: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """The tensor before a permutation, with its labels: a contraction reads any order."""
    op = x.node.op
    if not isinstance(op, Permute):
        return x, labels
    return handle(x.node.inputs[0]), tuple(labels[i] for i in op.inverse)


def elementwise_contract(a: Tensor, la: Labels, b: Tensor, lb: Labels, out: Labels) -> Tensor:
    """Multiply with broadcasting, then add up."""
    order = out + tuple(label for label in la if label not in out)
    a, b = aligned(a, la, order), aligned(b, lb, order)
    if len(order) == len(out):
        return multiply(a, b)
    total = lift_op(Sum(tuple(range(len(out), len(order)))), multiply(widened(a), widened(b)))
    return cast(total, a.dtype)


def aligned(x: Tensor, labels: Labels, order: Labels) -> Tensor:
    """x with its axes in the given order, and size 1 for labels it lacks."""
    present = [label for label in order if label in labels]
    moved = permute_dims(x, tuple(labels.index(label) for label in present))
    sizes = dict(zip(present, moved.shape))
    return reshape(moved, tuple(sizes.get(label, 1) for label in order))


def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """Matrix products: (..., m, k) @ (..., k, n); leading axes broadcast.

    A vector on the left is a row, on the right a column, without the axis of size 1 in the
    result. Raises ShapeError where the inner sizes differ or an operand has rank 0.
    """
    a, b = same_dtype("matmul", (x, y))
    for i, t in enumerate((a, b)):
        if t.ndim == 0:
            fail(
                ShapeError,
                f"matmul: needs vectors or matrices, got {t.type} (input {i})",
                (a, b),
                hint="use * to scale",
            )
    check_inner(a, b)
    depth = max(a.ndim, b.ndim)
    # labels count from the right: 0 the columns, 1 the rows, 2 the inner axis, then batches
    batch = tuple(range(depth, 2, -1))
    la = (*range(a.ndim, 2, -1), *((1, 2) if a.ndim > 1 else (2,)))
    lb = (*range(b.ndim, 2, -1), *((2, 0) if b.ndim > 1 else (2,)))
    out = batch + ((1,) if a.ndim > 1 else ()) + ((0,) if b.ndim > 1 else ())
    a, la, b, lb = broadcast_batches("matmul", a, la, b, lb)
    return contract(a, la, b, lb, out)


def check_inner(a: Tensor, b: Tensor) -> None:
    """Raise unless the inner sizes of a matrix product agree."""
    axis = -1 if b.ndim == 1 else -2
    k, other = a.shape[-1], b.shape[axis]
    if k == other:
        return
    hint = None
    if b.ndim > 1 and b.shape[-1] == k:
        hint = f"transpose(input 1) would fit: {b.name or 'y'}.mT"
    elif a.ndim > 1 and a.shape[-2] == other:
        hint = f"transpose(input 0) would fit: {a.name or 'x'}.mT"
    fail(
        ShapeError,
        f"matmul: inner sizes differ: {k} (axis {a.ndim - 1} of input 0) vs"
        f" {other} (axis {b.ndim + axis} of input 1)",
        (a, b),
        hint,
    )


def broadcast_batches(
    name: str, a: Tensor, la: Labels, b: Tensor, lb: Labels
) -> tuple[Tensor, Labels, Tensor, Labels]:
    """Drop axes of size 1 that meet an axis of another size; raise where sizes differ."""
    sizes, others = dict(zip(la, a.shape)), dict(zip(lb, b.shape))
    for label in la:
        p, q = sizes[label], others.get(label, sizes[label])
        if p != q and p != 1 and q != 1:
            fail(
                ShapeError,
                f"{name}: sizes differ: {p} (axis {la.index(label)} of input 0) vs"
                f" {q} (axis {lb.index(label)} of input 1)",
                (a, b),
            )
    return *without_ones(a, la, others), *without_ones(b, lb, sizes)


def without_ones(x: Tensor, labels: Labels, others: dict[int, Size]) -> tuple[Tensor, Labels]:
    """x without the axes of size 1 whose label has another size in the other operand."""
    kept = [
        i
        for i, (label, size) in enumerate(zip(labels, x.shape))
        if size != 1 or others.get(label, 1) == 1
    ]
    if len(kept) == x.ndim:
        return x, labels
    return reshape(x, tuple(x.shape[i] for i in kept)), tuple(labels[i] for i in kept)


def tensordot(x: TensorLike, y: TensorLike, axes: AxisLike = 2) -> Tensor:
    """Sum products over pairs of axes: the last n of x with the first n of y, or two lists."""
    a, b = same_dtype("tensordot", (x, y))
    if isinstance(axes, (int, np.integer)) and not isinstance(axes, bool):
        axes = int(axes)
        if not 0 <= axes <= min(a.ndim, b.ndim):
            fail(ArgumentError, f"tensordot: {a.type} and {b.type} lack {axes} axes", (a, b))
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        if not isinstance(axes, (tuple, list)) or len(axes) != 2:
            fail(ArgumentError, f"tensordot: axes is an int or two lists, got {axes!r:.60}", (a, b))
        left = all_axes("tensordot", axes[0], a.ndim, (a,))
        right = all_axes("tensordot", axes[1], b.ndim, (b,))
    if len(left) != len(right):
        fail(ArgumentError, f"tensordot: {len(left)} axes against {len(right)}", (a, b))
    for i, j in zip(left, right):
        if a.shape[i] != b.shape[j]:
            fail(
                ShapeError,
                f"tensordot: sizes differ: {a.shape[i]} (axis {i} of input 0) vs"
                f" {b.shape[j]} (axis {j} of input 1)",
                (a, b),
            )
    la = tuple(range(a.ndim))
    lb = tuple(left[right.index(j)] if j in right else a.ndim + j for j in range(b.ndim))
    out = tuple(n for n in la if n not in left) + tuple(n for n in lb if n not in left)
    return contract(a, la, b, lb, out)


def vecdot(x: TensorLike, y: TensorLike, axis: int = -1) -> Tensor:
    """The scalar products of vectors along one axis; the other axes broadcast."""
    a, b = same_dtype("vecdot", (x, y))
    i = one_axis("vecdot", axis, a.ndim, (a,)) - a.ndim
    j = one_axis("vecdot", axis, b.ndim, (b,)) - b.ndim
    if a.shape[i] != b.shape[j]:
        fail(
            ShapeError,
            f"vecdot: sizes differ: {a.shape[i]} (axis {a.ndim + i} of input 0) vs"
            f" {b.shape[j]} (axis {b.ndim + j} of input 1)",
            (a, b),
        )
    if axis >= 0 and a.ndim != b.ndim:
        fail(ArgumentError, "vecdot: count the axis from the end where ranks differ", (a, b))
    product = widened(a) * widened(b)
    return cast(lift_op(Sum((product.ndim + i,)), product), a.dtype)


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """result[i, j] = x[i] * y[j]."""
    a, b = same_dtype("outer", (x, y))
    if a.ndim != 1 or b.ndim != 1:
        fail(ShapeError, f"outer: needs two vectors, got {a.type} and {b.type}", (a, b))
    return contract(a, (0,), b, (1,), (0, 1))


def trace(x: TensorLike) -> Tensor:
    """The sums of the diagonals of matrices."""
    x = lift(x)
    if x.ndim < 2:
        fail(ShapeError, f"trace: needs 2 axes or more, got {x.type}", (x,))
    diagonal = where(eye(x.shape[-2], x.shape[-1], dtype="bool"), x, 0)
    return lift_op(Sum((x.ndim - 2, x.ndim - 1)), diagonal)
