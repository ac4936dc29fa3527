"""Masked cotangents: zero wherever `where` took the other branch.

A cotangent that comes through a branch of `where` is kept in two halves: a tensor, and the terms
under which its elements count. What a gradient does element by element it does to the tensor,
whatever is beside the branch; only where elements meet each other is 0 put in place of those that
do not count. So no 0 is ever multiplied by the infinity or NaN of a branch not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor, handle
from graphc.ir import graph as graphs
from graphc.ir.dims import Sizes
from graphc.ir.graph import Node
from graphc.ir.ops.base import Comparison
from graphc.ir.ops.elementwise import Add
from graphc.ir.ops.elementwise_logic import LogicalNot
from graphc.ir.ops.leaf import Iota, Literal, SizeOf
from graphc.ir.ops.view import BroadcastTo, Reshape
from graphc.ir.types import bool_

Axes = tuple[int | None, ...]
AxisMap = Mapping[int, int]  # axes of one tensor -> axes of another one
MAX_PENDING_PREDICATES = 50  # predicates that depend on each other, at most
MAX_COMPARED_DEPTH = 8  # ops of a condition that are compared with those of another one


@dataclass(eq=False)
class Predicate:
    """A lazily computed tensor of bools."""

    make: Callable[[], Tensor]
    depth: int = 0  # predicates that this one depends on in a chain
    _made: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """A tensor of bools."""
        if self._made is None:
            self._made, self.depth = self.make(), 0
        return self._made


@dataclass(frozen=True)
class MaskTerm:
    """A predicate along some axes of a cotangent, whose elements count where it is (or is not)
    true.

    `axes` maps each axis of the predicate to one of the cotangent; None where it has size 1.
    """

    predicate: Predicate
    axes: Axes
    positive: bool = True

    @property
    def span(self) -> set[int]:
        """The axes of the cotangent along which the term varies."""
        return {a for a in self.axes if a is not None}

    def opposite(self) -> MaskTerm:
        """The negated term."""
        return MaskTerm(self.predicate, self.axes, not self.positive)

    def mapped(self, place: AxisMap) -> MaskTerm:
        """The term along the axes of another tensor."""
        axes = tuple(None if a is None else place[a] for a in self.axes)
        return MaskTerm(self.predicate, axes, self.positive)


MaskTerms = tuple[MaskTerm, ...]


@dataclass(eq=False)
class Cotangent:
    """A tensor and its mask: elements for which some term does not hold are 0.

    Where one of the `clean` terms does not hold, the tensor is 0 as it is.
    """

    raw: Tensor
    terms: MaskTerms = ()
    clean: frozenset[MaskTerm] = frozenset()
    _value: Tensor | None = field(default=None, repr=False)

    @property
    def value(self) -> Tensor:
        """The cotangent with its zeros."""
        if self._value is None:
            self._value = self.masked_by(self.terms)
        return self._value

    def masked_by(self, terms: MaskTerms) -> Tensor:
        """The tensor with 0 where one of these terms does not hold."""
        return masked(self.raw, tuple(t for t in terms if t not in self.clean), 0.0)


def masked(x: Tensor, terms: MaskTerms, other: float) -> Tensor:
    """Select x where all terms hold, else a number."""
    if not terms:
        return x
    if len(terms) == 1 and not terms[0].positive:
        return fn.where(broadcast_predicate(terms[0], x.shape), other, x)
    return fn.where(mask_of(terms, x.shape), x, other)


def mask_of(terms: MaskTerms, shape: Sizes) -> Tensor:
    """The conjunction of the terms over a whole shape."""
    values = []
    for term in terms:
        value = broadcast_predicate(term, shape)
        values.append(value if term.positive else fn.logical_not(value))
    total = values[0]
    for value in values[1:]:
        total = fn.logical_and(total, value)
    return total


def broadcast_predicate(term: MaskTerm, shape: Sizes) -> Tensor:
    """Broadcast the predicate of a term to a whole shape."""
    x, axes = term.predicate.value, term.axes
    if axes == tuple(range(len(shape))) and x.shape == tuple(shape):
        return x
    ordered = sorted(a for a in axes if a is not None)
    places = [axes.index(a) for a in ordered]
    rest = [i for i, a in enumerate(axes) if a is None]
    x = fn.permute_dims(x, (*places, *rest))
    x = fn.reshape(x, tuple(shape[a] if a in ordered else 1 for a in range(len(shape))))
    result: Tensor = fn.broadcast_to(x, tuple(shape))
    return result


def any_along(terms: MaskTerms, shape: Sizes, place: AxisMap) -> MaskTerms:
    """Whether all terms hold anywhere along the axes that `place` lacks; placed where it says."""
    varying = varying_axes(terms)
    left = [a for a in varying if a in place]

    def make() -> Tensor:
        lost = tuple(i for i, a in enumerate(varying) if a not in place)
        whole = reduced_mask(terms, shape, varying)
        return fn.any(whole, axis=lost) if lost else whole

    if len(terms) == 1 and len(left) == len(varying):
        return (terms[0].mapped(place),)
    return term_along(make, tuple(place[a] for a in left), terms)


def varying_axes(terms: MaskTerms) -> tuple[int, ...]:
    """The axes along which any of the terms varies, in order."""
    return tuple(sorted(set().union(*(t.span for t in terms))))


def reduced_mask(terms: MaskTerms, shape: Sizes, axes: tuple[int, ...]) -> Tensor:
    """Whether all terms hold, for every position along some axes; they vary along no others."""
    own = {a: i for i, a in enumerate(axes)}
    return mask_of(tuple(t.mapped(own) for t in terms), tuple(shape[a] for a in axes))


def term_along(make: Callable[[], Tensor], axes: Axes, of: MaskTerms = ()) -> MaskTerms:
    """The term of a new predicate along some axes, derived from other terms."""
    predicate = Predicate(make, 1 + max((t.predicate.depth for t in of), default=0))
    if predicate.depth > MAX_PENDING_PREDICATES:
        assert predicate.value is not None
    return (MaskTerm(predicate, axes),)


def all_axes(make: Callable[[], Tensor], rank: int, of: MaskTerms) -> MaskTerms:
    """The term of a new predicate along all axes, derived from other terms."""
    return term_along(make, tuple(range(rank)), of)


def add_cotangents(a: Cotangent, b: Cotangent) -> Cotangent:
    """The sum of two cotangents."""
    first, second = set(a.terms), set(b.terms)
    if first == second:
        return Cotangent(add(a.raw, b.raw), a.terms, a.clean & b.clean)
    only_a = tuple(t for t in a.terms if t not in second)
    only_b = tuple(t for t in b.terms if t not in first)
    common = tuple(t for t in a.terms if t in second)
    clean = a.clean & b.clean
    if len(only_a) == len(only_b) == 1 and only_a[0].opposite() == only_b[0]:
        x, y = (a.raw, b.raw) if only_a[0].positive else (b.raw, a.raw)
        condition = broadcast_predicate(MaskTerm(only_a[0].predicate, only_a[0].axes), x.shape)
        return Cotangent(fn.where(condition, x, y), common, clean)
    whole = add(a.masked_by(only_a), b.masked_by(only_b))
    if not only_a or not only_b:
        return Cotangent(whole, common, clean)
    more = or_masks(only_a, only_b, whole.shape)
    return Cotangent(whole, (*common, *more), clean | set(more))


def or_masks(a: MaskTerms, b: MaskTerms, shape: Sizes) -> MaskTerms:
    """The disjunction of two conjunctions of terms."""
    varying = varying_axes((*a, *b))

    def make() -> Tensor:
        return fn.logical_or(reduced_mask(a, shape, varying), reduced_mask(b, shape, varying))

    return term_along(make, varying, (*a, *b))


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b."""
    result: Tensor = handle(graphs.apply(Add(), a.node, b.node))
    return result


class Conditions:
    """The conditions seen so far, equal ones as one predicate."""

    def __init__(self) -> None:
        self.predicates: dict[Node, Predicate] = {}
        self.firsts: dict[object, Node] = {}

    def terms(self, condition: Node, positive: bool) -> MaskTerms | None:
        """The term of a condition, () if it always holds, None if it never does."""
        node, axes = condition, _all(condition.type.ndim)
        while isinstance(node.op, (LogicalNot, BroadcastTo, Reshape)):
            if isinstance(node.op, LogicalNot):
                positive = not positive
            else:
                inner = shown_axes(node, axes)
                if inner is None:
                    break
                axes = inner
            (node,) = node.inputs
        known = constant(node)
        if known is not None:
            return () if bool(known) == positive else None
        axes = tuple(None if size == 1 else a for a, size in zip(axes, node.type.shape))
        node = self.first(node, MAX_COMPARED_DEPTH)
        if node not in self.predicates:
            self.predicates[node] = Predicate(lambda: handle(node))
        return (MaskTerm(self.predicates[node], axes, positive),)

    def first(self, node: Node, depth: int) -> Node:
        """The first node seen that is structurally equal, up to a depth."""
        seen = (BroadcastTo, Reshape, Literal, SizeOf, Iota)
        if not depth or not (node.type.dtype == bool_ or isinstance(node.op, seen)):
            return node
        if not node.inputs and not isinstance(node.op, seen):
            return node
        if not node.op.pure:
            return node
        key = (node.op, tuple(self.first(i, depth - 1) for i in node.inputs))
        return self.firsts.setdefault(key, node)


def _all(rank: int) -> Axes:
    return tuple(range(rank))


def constant(node: Node) -> Any:
    """The one value of a node that is made of literals, else None."""
    if isinstance(node.op, Literal):
        return node.op.evaluate()
    if isinstance(node.op, (BroadcastTo, Reshape)):
        return constant(node.inputs[0])
    if not isinstance(node.op, Comparison):
        return None
    values = [constant(i) for i in node.inputs]
    return None if any(v is None for v in values) else node.op.evaluate(*values)


def shown_axes(node: Node, axes: Axes) -> Axes | None:
    """The axes of what a view shows that repeats or adds axes of size 1; None for other views."""
    (x,) = node.inputs
    old, new = x.type.shape, node.type.shape
    if isinstance(node.op, BroadcastTo):
        repeated, skipped = node.op.repeated(old), len(new) - len(old)
        return tuple(
            None if i + skipped in repeated or old[i] == 1 else axes[i + skipped]
            for i in range(len(old))
        )
    wide = [a for a, size in zip(axes, new) if size != 1]
    if [s for s in old if s != 1] != [s for s in new if s != 1]:
        return None
    found = iter(wide)
    return tuple(None if size == 1 else next(found) for size in old)
