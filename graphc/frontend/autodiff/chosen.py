"""Where a cotangent is something: nowhere that `where` took the other branch.

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
from graphc.frontend.tensor import Tensor, face
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.base import Comparison
from graphc.ir.ops.elementwise import Add
from graphc.ir.ops.elementwise_logic import LogicalNot
from graphc.ir.ops.leaf import Iota, Literal, SizeOf
from graphc.ir.ops.view import BroadcastTo, Reshape
from graphc.ir.types import bool_

Sizes = tuple[Size, ...]
Axes = tuple[int | None, ...]
Place = Mapping[int, int]  # axes of one tensor -> axes of another one
WAITING = 50  # facts that wait for each other at most
DEPTH = 8  # ops of a condition that are compared with those of another one


@dataclass(eq=False)
class Fact:
    """Truth values, computed when they are asked for first."""

    make: Callable[[], Tensor]
    depth: int = 0  # facts that wait for each other
    _made: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """A tensor of bools."""
        if self._made is None:
            self._made, self.depth = self.make(), 0
        return self._made


@dataclass(frozen=True)
class Term:
    """A fact along some axes of a cotangent, which counts where the fact is (or is not) true.

    `axes` says for each axis of the fact which one of the cotangent that is; None: it has size 1.
    """

    fact: Fact
    axes: Axes
    positive: bool = True

    @property
    def span(self) -> set[int]:
        """The axes of the cotangent along which the term varies."""
        return {a for a in self.axes if a is not None}

    def opposite(self) -> Term:
        """The same fact, but where it is not true."""
        return Term(self.fact, self.axes, not self.positive)

    def placed(self, place: Place) -> Term:
        """The term along the axes of another tensor."""
        axes = tuple(None if a is None else place[a] for a in self.axes)
        return Term(self.fact, axes, self.positive)


Terms = tuple[Term, ...]


@dataclass(eq=False)
class Cotangent:
    """A tensor of which only the elements count for which all terms hold; the others are 0.

    Where one of the `clean` terms does not hold, the tensor is 0 as it is.
    """

    raw: Tensor
    terms: Terms = ()
    clean: frozenset[Term] = frozenset()
    _value: Tensor | None = field(default=None, repr=False)

    @property
    def value(self) -> Tensor:
        """The cotangent with its zeros."""
        if self._value is None:
            self._value = self.under(self.terms)
        return self._value

    def under(self, terms: Terms) -> Tensor:
        """The tensor with 0 where one of these terms does not hold."""
        return kept(self.raw, tuple(t for t in terms if t not in self.clean), 0.0)


def kept(x: Tensor, terms: Terms, other: float) -> Tensor:
    """x where all terms hold, elsewhere a number."""
    if not terms:
        return x
    if len(terms) == 1 and not terms[0].positive:
        return fn.where(spread(terms[0], x.shape), other, x)
    return fn.where(truth(terms, x.shape), x, other)


def truth(terms: Terms, shape: Sizes) -> Tensor:
    """Whether all terms hold, for every element of a shape."""
    values = []
    for term in terms:
        value = spread(term, shape)
        values.append(value if term.positive else fn.logical_not(value))
    total = values[0]
    for value in values[1:]:
        total = fn.logical_and(total, value)
    return total


def spread(term: Term, shape: Sizes) -> Tensor:
    """The truth values of a term's fact over a whole shape."""
    x, axes = term.fact.value, term.axes
    if axes == tuple(range(len(shape))) and x.shape == tuple(shape):
        return x
    ordered = sorted(a for a in axes if a is not None)
    places = [axes.index(a) for a in ordered]
    rest = [i for i, a in enumerate(axes) if a is None]
    x = fn.permute_dims(x, (*places, *rest))
    x = fn.reshape(x, tuple(shape[a] if a in ordered else 1 for a in range(len(shape))))
    result: Tensor = fn.broadcast_to(x, tuple(shape))
    return result


def some(terms: Terms, shape: Sizes, place: Place) -> Terms:
    """Whether all terms hold anywhere along the axes that `place` lacks; placed where it says."""
    varying = spans(terms)
    left = [a for a in varying if a in place]

    def make() -> Tensor:
        lost = tuple(i for i, a in enumerate(varying) if a not in place)
        whole = narrowed(terms, shape, varying)
        return fn.any(whole, axis=lost) if lost else whole

    if len(terms) == 1 and len(left) == len(varying):
        return (terms[0].placed(place),)
    return along(make, tuple(place[a] for a in left), terms)


def spans(terms: Terms) -> tuple[int, ...]:
    """The axes along which any of the terms varies, in order."""
    return tuple(sorted(set().union(*(t.span for t in terms))))


def narrowed(terms: Terms, shape: Sizes, axes: tuple[int, ...]) -> Tensor:
    """Whether all terms hold, for every position along some axes; they vary along no others."""
    own = {a: i for i, a in enumerate(axes)}
    return truth(tuple(t.placed(own) for t in terms), tuple(shape[a] for a in axes))


def along(make: Callable[[], Tensor], axes: Axes, of: Terms = ()) -> Terms:
    """The term of a fact along some axes, which is made of other terms."""
    fact = Fact(make, 1 + max((t.fact.depth for t in of), default=0))
    if fact.depth > WAITING:
        assert fact.value is not None
    return (Term(fact, axes),)


def all_axes(make: Callable[[], Tensor], rank: int, of: Terms) -> Terms:
    """The term of a fact along all axes, which is made of other terms."""
    return along(make, tuple(range(rank)), of)


def both(a: Cotangent, b: Cotangent) -> Cotangent:
    """The sum of two cotangents."""
    first, second = set(a.terms), set(b.terms)
    if first == second:
        return Cotangent(total(a.raw, b.raw), a.terms, a.clean & b.clean)
    only_a = tuple(t for t in a.terms if t not in second)
    only_b = tuple(t for t in b.terms if t not in first)
    common = tuple(t for t in a.terms if t in second)
    clean = a.clean & b.clean
    if len(only_a) == len(only_b) == 1 and only_a[0].opposite() == only_b[0]:
        x, y = (a.raw, b.raw) if only_a[0].positive else (b.raw, a.raw)
        condition = spread(Term(only_a[0].fact, only_a[0].axes), x.shape)
        return Cotangent(fn.where(condition, x, y), common, clean)
    whole = total(a.under(only_a), b.under(only_b))
    if not only_a or not only_b:
        return Cotangent(whole, common, clean)
    more = either(only_a, only_b, whole.shape)
    return Cotangent(whole, (*common, *more), clean | set(more))


def either(a: Terms, b: Terms, shape: Sizes) -> Terms:
    """Whether all of the first terms hold, or all of the others."""
    varying = spans((*a, *b))

    def make() -> Tensor:
        return fn.logical_or(narrowed(a, shape, varying), narrowed(b, shape, varying))

    return along(make, varying, (*a, *b))


def total(a: Tensor, b: Tensor) -> Tensor:
    """a + b."""
    result: Tensor = face(graphs.apply(Add(), a.node, b.node))
    return result


class Conditions:
    """The conditions that were met, each as one fact, however it is written."""

    def __init__(self) -> None:
        self.facts: dict[Node, Fact] = {}
        self.firsts: dict[object, Node] = {}

    def terms(self, condition: Node, positive: bool) -> Terms | None:
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
        node = self.first(node, DEPTH)
        if node not in self.facts:
            self.facts[node] = Fact(lambda: face(node))
        return (Term(self.facts[node], axes, positive),)

    def first(self, node: Node, depth: int) -> Node:
        """The first node met that says the same, as far as it can be seen."""
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
