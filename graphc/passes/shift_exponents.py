"""Subtract the largest exponent wherever that changes nothing but overflow.

Multiplying exp(x) by a factor k > 0 for each row multiplies what is made of it by a power of k:
1 for a sum over the row, -1 for what is divided by such a sum, 0 for a softmax and its gradient.
Where every value that leaves is of degree 0, k = exp(-max of the row) may be chosen; a logarithm
of something of degree d makes up for it with d times the maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from graphc import origin as origins
from graphc.graph import Graph, Node, apply, with_inputs
from graphc.ops.base import Elementwise
from graphc.ops.elementwise import Abs, Add, Div, Maximum, Minimum, Mul, Neg, Sub
from graphc.ops.elementwise_logic import Cast, Less, StopGradient, Where
from graphc.ops.elementwise_math import Exp, Log
from graphc.ops.reduce import Max, Sum
from graphc.ops.view import BroadcastTo, Reshape
from graphc.passes.patterns import Sizes, at_least_one, broadcast, full, is_zero, reshape

FULL, KEPT, REDUCED = "full", "kept", "reduced"  # all axes; size 1 for the reduced ones; without
NEAR = 64  # nodes between an exponential and the last value that its scale matters to


def shift_exponents(graph: Graph) -> Graph:
    """Shift exponents by the maximum of their row where the shift cancels out: no overflow."""
    users, roots = graph.users(), set(graph.roots)
    position = {n: i for i, n in enumerate(graph.nodes)}
    scales = {}
    for node in graph.nodes:
        if isinstance(node.op, Exp) and not is_shifted(node.inputs[0]):
            scale = Scale(node, users, position)
            if scale.follow(roots):
                scales[node] = scale
    return rebuild(graph, scales) if scales else graph


@dataclass
class Scale:
    """What a factor on every row of an exponential does to the values made of it."""

    exp: Node
    users: dict[Node, list[Node]]
    position: dict[Node, int]
    axes: tuple[int, ...] | None = None  # that a row runs along: those of the first sum
    degree: dict[Node, int] = field(default_factory=dict)
    layout: dict[Node, str] = field(default_factory=dict)
    logarithms: list[Node] = field(default_factory=list)

    def follow(self, roots: set[Node]) -> bool:
        """Find the degrees; False unless all that leaves is of degree 0."""
        self.degree[self.exp], self.layout[self.exp] = 1, FULL
        waiting: list[tuple[int, Node]] = []
        self._wait(self.exp, waiting)
        while waiting:
            _, node = heappop(waiting)
            if node in self.degree:
                continue
            if not self._visit(node) or len(self.degree) > NEAR:
                return False
            if self.degree[node]:
                self._wait(node, waiting)
        return self.axes is not None and not any(self.degree.get(r, 0) for r in roots)

    def _wait(self, node: Node, waiting: list[tuple[int, Node]]) -> None:
        for user in self.users[node]:
            heappush(waiting, (self.position[user], user))

    def _visit(self, node: Node) -> bool:
        """Set the degree and the layout of a node; False where it has none."""
        scaled = [i for i in node.inputs if self.degree.get(i, 0)]
        layouts = {self.layout[i] for i in scaled}
        degree, layout = None, self.layout[scaled[0]]
        if len(layouts) > 1:
            return False
        if isinstance(node.op, Log):
            self.logarithms.append(node)
            degree = 0
        elif isinstance(node.op, Elementwise):
            degree = self._elementwise(node)
        else:
            moved = self._moved(node, layout)
            if moved is not None:
                degree, layout = self.degree[scaled[0]], moved
        if degree is None:
            return False
        self.degree[node], self.layout[node] = degree, layout
        return True

    def _elementwise(self, node: Node) -> int | None:
        """The degree of a product, a quotient, or of terms of one degree."""
        degrees = [self.degree.get(i, 0) for i in node.inputs]
        match node.op:
            case Mul():
                return sum(degrees)
            case Div():
                return degrees[0] - degrees[1]
            case Neg() | Abs() | StopGradient():
                return degrees[0]
            case Cast(dtype=dtype):
                return degrees[0] if dtype.is_float else None
            case Where() if degrees[0] == 0:
                terms = node.inputs[1:]
            case Add() | Sub() | Maximum() | Minimum():
                terms = node.inputs
            case _:
                return None
        different = {self.degree.get(i, 0) for i in terms if not is_zero(i)}
        return different.pop() if len(different) == 1 else None

    def _moved(self, node: Node, layout: str) -> str | None:
        """The layout of a sum over the rows, or of a view of it."""
        shape, full_shape = node.type.shape, self.exp.type.shape
        if isinstance(node.op, Sum) and layout == FULL:
            if self.axes is None and all(at_least_one(full_shape[a]) for a in node.op.axes):
                self.axes = node.op.axes
            return REDUCED if self.axes == node.op.axes else None
        if self.axes is None:
            return None
        if isinstance(node.op, Reshape) and layout != FULL:
            if shape == kept(full_shape, self.axes):
                return KEPT
            return REDUCED if shape == reduced(full_shape, self.axes) else None
        leading = self.axes == tuple(range(len(self.axes)))
        if isinstance(node.op, BroadcastTo) and shape == full_shape:
            return FULL if layout == KEPT or (layout == REDUCED and leading) else None
        return None


def is_shifted(x: Node) -> bool:
    """Whether a maximum has been subtracted from an exponent."""
    if not isinstance(x.op, Sub):
        return False
    top = x.inputs[1]
    while not isinstance(top.op, Max):
        if isinstance(top.op, (BroadcastTo, Reshape, StopGradient)):
            top = top.inputs[0]
        elif isinstance(top.op, Where):
            top = top.inputs[1]
        else:
            return False
    return True


def kept(shape: Sizes, axes: tuple[int, ...]) -> Sizes:
    """The shape with 1 for the reduced axes."""
    return tuple(1 if a in axes else s for a, s in enumerate(shape))


def reduced(shape: Sizes, axes: tuple[int, ...]) -> Sizes:
    """The shape without the reduced axes."""
    return tuple(s for a, s in enumerate(shape) if a not in axes)


# ------------------------------------------------------------------------------ rewriting


def rebuild(graph: Graph, scales: dict[Node, Scale]) -> Graph:
    """The graph with shifted exponents and logarithms that make up for it."""
    shifts = {node: scale for scale in scales.values() for node in scale.logarithms}
    tops: dict[Node, Node] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        with origins.inherit(node.origin, node.part):
            candidate = with_inputs(node, tuple(new[i] for i in node.inputs))
            if node in scales:
                axes = scales[node].axes
                assert axes is not None
                x = candidate.inputs[0]
                tops[node] = finite_maximum(x, axes)
                shape = kept(x.type.shape, axes)
                top = broadcast(reshape(tops[node], shape), x.type.shape)
                candidate = apply(Exp(), apply(Sub(), x, top))
            elif node in shifts:
                scale = shifts[node]
                candidate = corrected(node, candidate, scale, tops[scale.exp])
        new[node] = candidate
    return graph.substitute(new)


def finite_maximum(x: Node, axes: tuple[int, ...]) -> Node:
    """The maximum over axes; 0 where it is infinite (or NaN) and would spoil the others."""
    top = apply(Max(axes), x)
    finite = apply(Less(), apply(Abs(), top), full(float("inf"), top.type))
    return apply(Where(), finite, top, full(0.0, top.type))


def corrected(node: Node, logarithm: Node, scale: Scale, top: Node) -> Node:
    """The logarithm plus the degree times the maximum that was subtracted."""
    (argument,) = node.inputs
    axes = scale.axes
    assert axes is not None
    shape = scale.exp.type.shape
    degree = full(scale.degree[argument], top.type)
    shift = apply(Mul(), top, degree)
    if shift.type.dtype != node.type.dtype:
        shift = apply(Cast(node.type.dtype), shift)
    if scale.layout[argument] != REDUCED:
        shift = reshape(shift, kept(shape, axes))
    if scale.layout[argument] == FULL:
        shift = broadcast(shift, shape)
    return apply(Add(), logarithm, shift)
