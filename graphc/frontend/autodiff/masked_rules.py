"""Backward rules of masked cotangents, one for each family of ops.

A term that lies along axes which an op keeps apart is only moved along: what does not count stays
by itself. Other terms are put in force (0 where they do not hold) before elements meet, and the
forward values that would be multiplied by these zeros alone are left out too: a row of the data
that no chosen result has seen, for instance, is 0 in the gradient of a product of matrices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.frontend import functions as fn
from graphc.frontend.autodiff.masked import (
    AxisMap,
    Cotangent,
    MaskTerms,
    all_axes,
    any_along,
    mask_of,
    masked,
    term_along,
)
from graphc.frontend.tensor import Tensor, handle, lift_op
from graphc.ir.dims import Sizes
from graphc.ir.graph import Node
from graphc.ir.ops.base import Elementwise, Gather, Join, Op, Ordered, Reduce, Scatter, View
from graphc.ir.ops.contract import Dot, Labels
from graphc.ir.ops.conv import Conv
from graphc.ir.ops.cumulative import CumulativeProd, CumulativeSum, Recurrence
from graphc.ir.ops.diagonal import Diagonal
from graphc.ir.ops.elementwise import Add, Neg, Sub
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.gather import Guard, ScatterAdd, Take
from graphc.ir.ops.indexing import ADD, SET, Put, TakeAlong
from graphc.ir.ops.leaf import Constant, Literal
from graphc.ir.ops.matrix import Matrix, Solve, SolveTriangular
from graphc.ir.ops.op import ArrayFunctions
from graphc.ir.ops.reduce import Sum
from graphc.ir.ops.sorting import Sort
from graphc.ir.ops.training import CustomGradient, ModeSwitch, StateUpdate
from graphc.ir.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice, axis_groups
from graphc.ir.ops.window import Fold, Unfold
from graphc.ir.types import float32

Contributions = list[Cotangent | None]
Functions = ArrayFunctions[Tensor]


def masked_contributions(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """The contributions to the inputs of a node from a masked cotangent."""
    for kinds, rule in RULES:
        if isinstance(node.op, kinds):
            return rule(f, node, dy)
    return default_rule(f, node, dy)


def unmasked_vjp(
    f: Functions, node: Node, dy: Tensor, inputs: Sequence[Tensor], y: Tensor | None = None
) -> Any:
    """The op's own vjp."""
    return node.op.vjp(f, handle(node) if y is None else y, dy, *inputs)


def with_terms(
    found: Sequence[Tensor | None],
    terms: Sequence[MaskTerms],
    clean: Sequence[MaskTerms] | None = None,
) -> Contributions:
    """Attach terms, and the terms that already hold, to contributions."""
    return [
        None if x is None else Cotangent(x, t, frozenset(c))
        for x, t, c in zip(found, terms, clean or [()] * len(terms), strict=True)
    ]


# --------------------------------------------------------------------- what stays apart


def elementwise(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """Elementwise ops keep the terms."""
    found = unmasked_vjp(f, node, dy.raw, operands(node))
    clean = tuple(dy.clean) if isinstance(node.op, MOVES) else ()
    return with_terms(found, [dy.terms] * len(found), [clean] * len(found))


def default_rule(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """Keep terms along the batch axes of the op; apply the others as zeros."""
    places = kept_axes(node)
    stay = tuple(t for t in dy.terms if all(t.span <= set(place) for place in places))
    go = tuple(t for t in dy.terms if t not in stay)
    found = unmasked_vjp(f, node, dy.masked_by(go), operands(node))
    reach = needed_elements(f, node, go, places) if go else [()] * len(found)
    pairs = list(zip(places, reach, strict=True))
    terms = [(*(t.mapped(place) for t in stay), *more) for place, more in pairs]
    if not isinstance(node.op, MOVES):
        return with_terms(found, terms)
    kept_clean = [t for t in stay if t in dy.clean]
    clean = [(*(t.mapped(place) for t in kept_clean), *more) for place, more in pairs]
    return with_terms(found, terms, clean)


def kept_axes(node: Node) -> list[AxisMap]:
    """For each input: the axes of the result along which an op does one thing over and over,
    and which axis of the input each of them is."""
    count, rank = len(node.inputs), node.type.ndim
    if isinstance(node.op, View):
        return [view_axes(node)]
    match node.op:
        case Reduce(axes=axes):
            whole = [a for a in range(node.inputs[0].type.ndim) if a not in axes]
            return [dict(enumerate(whole))]
        case Matrix():
            return [{a: a for a in range(rank - 2)}] * count
        case CustomGradient(apart=apart):
            return [{a: a for a in range(apart)}] * count
        case Take():
            first = node.inputs[1].type.ndim
            return [{a: a - first + 1 for a in range(first, rank)}] * count
        case Scatter() if not hasattr(node.op, "axis"):
            first = node.inputs[1].type.ndim
            rows = {a: a for a in range(1, rank)}
            return [rows, rows, {a: a + first - 1 for a in range(1, rank)}]
        case Join() | Ordered() | TakeAlong() | Put() if hasattr(node.op, "axis"):
            return [{a: a for a in range(rank) if a != node.op.axis}] * count
    return [{}] * count


def view_axes(node: Node) -> AxisMap:
    """The axes that a view leaves alone."""
    old, new = node.inputs[0].type.shape, node.type.shape
    match node.op:
        case BroadcastTo():
            gone, skipped = node.op.repeated(old), len(new) - len(old)
            return {a: a - skipped for a in range(len(new)) if a not in gone}
        case Permute(axes=axes):
            return dict(enumerate(axes))
        case Reshape():
            pairs = axis_groups(old, new)
            return {b[0]: a[0] for a, b in pairs if len(a) == len(b) == 1}
        case Slice() | Pad():
            same = {a: a for a, (m, n) in enumerate(zip(old, new)) if m == n}
            first = node.op.starts if isinstance(node.op, Slice) else node.op.before
            return {a: a for a in same if first[a] == 0 and node.op.steps[a] == 1}
        case Diagonal():
            return {a: a for a in range(len(new) - 1)}
        case Unfold() | Fold():
            moved = {label for w in node.op.windows for label in w.labels}
            return {a: a for a in range(len(new)) if a < min(moved, default=len(new))}
    axis = getattr(node.op, "axis", None)
    return {} if axis is None else {a: a for a in range(len(new)) if a != axis}


def operands(node: Node) -> list[Tensor]:
    """The inputs as tensors."""
    return [handle(i) for i in node.inputs]


# ------------------------------------------------------------------- where elements meet


def needed_elements(
    f: Functions, node: Node, terms: MaskTerms, places: Sequence[AxisMap]
) -> list[MaskTerms]:
    """For each input: the elements that some element of the result for which terms hold needs."""
    shape = node.type.shape
    match node.op:
        case BroadcastTo() | Matrix():
            return [any_along(terms, shape, place) for place in places]
        case Reshape():
            (x,) = node.inputs
            make = functools.partial(_reshaped, terms, shape, x.type.shape)
            return [all_axes(make, x.type.ndim, terms)]
        case View() | Join() | Gather() | Scatter() | Ordered():
            return moved_mask(f, node, terms)
    # nothing is known of what meets what: all count as soon as one does
    return [any_along(terms, shape, place) for place in places]


def moved_mask(f: Functions, node: Node, terms: MaskTerms) -> list[MaskTerms]:
    """Move the mask as the op moves cotangents: its gradient of ones and zeros."""
    op: Op = node.op
    if isinstance(op, Put) and op.mode != SET:
        op = replace(op, mode=ADD)
    made: list[Sequence[Tensor | None]] = []

    def make(i: int) -> Tensor:
        if not made:
            ones = fn.astype(mask_of(terms, node.type.shape), node.type.dtype.name)
            made.append(op.vjp(f, handle(node), ones, *operands(node)))
        contribution = made[0][i]
        assert contribution is not None
        return fn.not_equal(contribution, 0.0)

    makes = [functools.partial(make, i) for i in range(len(node.inputs))]
    return [all_axes(m, x.type.ndim, terms) for m, x in zip(makes, node.inputs)]


def _reshaped(terms: MaskTerms, old: Sizes, new: Sizes) -> Tensor:
    return fn.reshape(mask_of(terms, old), new)


def running_products(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """Leave elements behind the last unmasked one out of the products."""
    assert isinstance(node.op, (CumulativeProd, Recurrence))
    axis, shape, rank = node.op.axis, node.type.shape, node.type.ndim
    go = tuple(t for t in dy.terms if axis in t.span)
    if not go:
        return default_rule(f, node, dy)

    def before() -> Tensor:
        ones = fn.flip(fn.astype(mask_of(go, shape), "int32"), axis=axis)
        return fn.flip(fn.cumulative_max(ones, axis=axis), axis=axis) > 0

    needed = all_axes(before, rank, go)
    inputs = [masked(x, needed, 1.0) for x in operands(node)]
    found = unmasked_vjp(f, node, dy.masked_by(go), inputs, masked(handle(node), needed, 0.0))
    stay = tuple(t for t in dy.terms if t not in go)
    return with_terms(found, [(*stay, *needed)] * len(found), [needed] * len(found))


def solved(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """Columns of the solution that do not count are left out of the matrix's gradient."""
    rank, shape = node.type.ndim, node.type.shape
    batch = {a: a for a in range(rank - 2)}
    columns = {**batch, rank - 1: rank - 1}
    go = tuple(t for t in dy.terms if not t.span <= set(batch))
    stay = tuple(t for t in dy.terms if t not in go)
    if not go:
        return default_rule(f, node, dy)
    used = any_along(go, shape, columns)
    y = masked(handle(node), used, 0.0)
    found = unmasked_vjp(f, node, dy.masked_by(go), operands(node), y)
    return with_terms(found, [(*stay, *any_along(go, shape, batch)), (*stay, *used)])


# ------------------------------------------------------------------------- contractions


def contraction(f: Functions, node: Node, dy: Cotangent) -> Contributions:
    """Zeros meet only zeros: each factor is left out where it meets nothing that counts."""
    found = [factor_contribution(f, node, dy, i) for i in (0, 1)]
    return list(found)


def factor_contribution(f: Functions, node: Node, dy: Cotangent, i: int) -> Cotangent:
    """The contribution to one of the two factors."""
    op: Any = node.op
    own: Labels = (op.a, op.b)[i]
    place = {a: own.index(label) for a, label in enumerate(op.out) if label in own}
    stay = tuple(t for t in dy.terms if t.span <= set(place))
    go = tuple(t for t in dy.terms if t not in stay)
    inputs = operands(node)
    if go:
        inputs[1 - i] = mask_factor(node, go, 1 - i)
    found = unmasked_vjp(f, node, dy.masked_by(go), inputs)[i]
    more = needed(node, go, i) if go else ()
    return Cotangent(found, (*(t.mapped(place) for t in stay), *more), frozenset(more))


def mask_factor(node: Node, terms: MaskTerms, i: int) -> Tensor:
    """A factor, zeroed where no element that it meets counts."""
    x = handle(node.inputs[i])
    found = needed(node, terms, i)
    if not any(t.span for t in found) or is_finite(x.node):
        return x
    return masked(x, found, 0.0)


def needed(node: Node, terms: MaskTerms, i: int) -> MaskTerms:
    """The elements of a factor that meet something for which the terms hold."""
    op: Any = node.op
    own, shape = (op.a, op.b)[i], node.type.shape
    varying = {op.out[a] for a in set().union(*(t.span for t in terms))}
    windows = tuple(w for w in getattr(op, "windows", ()) if slid(w.labels, varying, own))
    if not windows:
        place = {a: own.index(label) for a, label in enumerate(op.out) if label in own}
        return any_along(terms, shape, place)
    return through_windows(node, terms, i, windows)


def slid(labels: Labels, varying: set[int], own: Labels) -> bool:
    """Whether a window leads from an axis that varies to another one of these labels."""
    ends = [label for label in labels if label in varying]
    return bool(ends) and ends[0] not in own


def through_windows(node: Node, terms: MaskTerms, i: int, windows: tuple[Any, ...]) -> MaskTerms:
    """As `needed`, where the position follows from a window: a convolution of 1 and 0."""
    op: Any = node.op
    own, third = (op.a, op.b)[i], (op.a, op.b)[1 - i]
    x, other = node.inputs[i], node.inputs[1 - i]
    ends = {label for w in windows for label in w.labels}
    varying = {op.out[a] for a in set().union(*(t.span for t in terms))}
    first = tuple(label for label in op.out if label in varying and label in (*own, *ends))
    last = tuple(label for label in own if label in first or label in ends)
    taps = tuple(label for label in third if label in ends)
    place = {op.out.index(label): k for k, label in enumerate(first)}

    def make() -> Tensor:
        sizes = dict(zip(op.out, node.type.shape))
        (small,) = any_along(terms, node.type.shape, place)
        whole = mask_of((small,), tuple(sizes[label] for label in first))
        ones = fn.ones(sizes_of(other, third, taps), dtype=float32.name)
        shape = sizes_of(x, own, last)
        counts = Conv(first, taps, last, windows, shape)
        return lift_op(counts, fn.astype(whole, float32.name), ones) > 0.0

    return term_along(make, tuple(own.index(label) for label in last), terms)


def sizes_of(x: Node, labels: Labels, some_labels: Labels) -> Sizes:
    """The sizes of some of the labels of a tensor."""
    sizes = dict(zip(labels, x.type.shape))
    return tuple(sizes[label] for label in some_labels)


def is_finite(node: Node) -> bool:
    """Whether a node is a constant without infinities and NaN, perhaps seen through views."""
    while isinstance(node.op, View):
        (node,) = node.inputs
    if isinstance(node.op, (Constant, Literal)):
        return bool(np.all(np.isfinite(np.asarray(node.op.value, np.float64))))
    return False


# What only moves (or adds) elements: 0 stays 0.
MOVES = (
    *(Add, Sub, Neg, Cast, Guard, StateUpdate, Sum, View, Join, Gather),
    *(ScatterAdd, Sort, CumulativeSum),
)

RULES: tuple[tuple[Any, Callable[[Functions, Node, Cotangent], Contributions]], ...] = (
    ((Elementwise, ModeSwitch, StateUpdate), elementwise),
    ((Dot, Conv), contraction),
    ((CumulativeProd, Recurrence), running_products),
    ((Solve, SolveTriangular), solved),
)
