"""Subtract the largest exponent wherever that changes nothing but overflow.

Multiplying exp(x) by a factor k > 0 for each row multiplies what is made of it by a power of k:
1 for a sum over the row, -1 for what is divided by such a sum, 0 for a softmax and its gradient.
So a value of degree 0 may be made of exp(x - max of the row) as well; a logarithm of something of
degree d makes up for it with d times the maximum.

Every value of degree 0 is made so, and all others are made of exp(x) as it is written: both may
be there at once, and what a value is made of never depends on what else is computed. A shift
makes all of a row small but its largest element. So divisors and arguments of logarithms must be
made of whole rows: a sum without the largest element would vanish.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from graphc import origin as origins
from graphc.compiler.passes.patterns import at_least_one, broadcast, full, is_zero, reshape
from graphc.ir.dims import Sizes
from graphc.ir.graph import Graph, Node, apply, with_inputs
from graphc.ir.ops.axes import Axes, base_of, through_views
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.elementwise import Abs, Add, Div, Maximum, Minimum, Mul, Neg, Sub
from graphc.ir.ops.elementwise_logic import Cast, Less, StopGradient, Where
from graphc.ir.ops.elementwise_math import Exp, Log
from graphc.ir.ops.leaf import Literal, SizeOf
from graphc.ir.ops.reduce import Max, Sum
from graphc.ir.ops.view import BroadcastTo, Reshape

FULL, KEPT, REDUCED = "full", "kept", "reduced"  # all axes; size 1 for the reduced ones; without
TOP, ROW = "top", "row"  # where a value is not small: at the row's maximum, or everywhere
PLAIN_RANGE = 1e-9, 1e9  # numbers that make nothing small or large
MAX_CHAIN_NODES = 64  # between an exponential and the last value that its scale matters to

Users = dict[Node, list[Node]]
Positions = dict[Node, int]


def shift_exponents(graph: Graph) -> Graph:
    """Shift exponents by the maximum of their row where the shift cancels out: no overflow."""
    if not any(isinstance(n.op, Exp) for n in graph.nodes):
        return graph
    users = graph.users()
    position = {n: i for i, n in enumerate(graph.nodes)}
    scales: list[Scale] = []
    for node in graph.nodes:
        if isinstance(node.op, Exp):
            for row in rows_summed(node, users, position):
                scale = Scale(node, row, users, position)
                scale.follow()
                scales += [scale] if scale.ends else []
    return Versions(graph, scales).graph() if scales else graph


@dataclass(frozen=True)
class SummedRow:
    """What is summed: an exponential along some axes, or what `where` takes of it, else 0."""

    axes: tuple[int, ...]
    condition: Node | None = None
    positive: bool = True


def rows_summed(exp: Node, users: Users, position: Positions) -> list[SummedRow]:
    """The rows that anything of an exponential's shape is summed along, in order."""
    trial = Scale(exp, None, users, position)
    trial.follow()
    rows = [r for r in trial.summed if not is_shifted(exp.inputs[0], r.axes)]
    return sorted(rows, key=lambda row: (row.axes, row.condition is not None))


def choice_of(node: Node) -> tuple[Node, bool] | None:
    """The condition of a choice of something or 0, and whether the 0 is where it is false."""
    if not isinstance(node.op, Where) or is_zero(node.inputs[1]) == is_zero(node.inputs[2]):
        return None
    return node.inputs[0], is_zero(node.inputs[2])


@dataclass(eq=False)
class Scale:
    """What a factor on every row of an exponential does to the values made of it.

    `degree` has what the factor changes, by which power; `ends` the values of degree 0 that are
    made of that, after a sum over the row. What cannot be followed is in neither. All this is a
    matter of a value's own inputs: nobody asks who else reads them. `firm` has the values that are
    not negative and that no shift makes vanish, and where (TOP or ROW). `open` has those that are
    too large, perhaps, where the row's condition does not choose them: they are never an end.
    """

    exp: Node
    row: SummedRow | None  # None while sums are looked for
    users: Users
    position: Positions
    degree: dict[Node, int] = field(default_factory=dict)
    layout: dict[Node, str] = field(default_factory=dict)
    firm: dict[Node, str] = field(default_factory=dict)
    open: set[Node] = field(default_factory=set)
    has_sum: set[Node] = field(default_factory=set)
    distance: dict[Node, int] = field(default_factory=dict)
    ends: set[Node] = field(default_factory=set)
    summed: dict[SummedRow, None] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The axes that a row runs along."""
        return None if self.row is None else self.row.axes

    def follow(self) -> None:
        """Find the degrees of all that is made of the exponential, as far as they go."""
        self.degree[self.exp], self.layout[self.exp], self.distance[self.exp] = 1, FULL, 0
        self.firm[self.exp] = TOP
        if self.row is not None and self.row.condition is not None:
            self.open.add(self.exp)
        waiting: list[tuple[int, Node]] = []
        seen: set[Node] = set()
        self._wait(self.exp, waiting)
        while waiting:
            _, node = heappop(waiting)
            if node not in seen and self._visit(node):
                self._wait(node, waiting)
            seen.add(node)

    def _wait(self, node: Node, waiting: list[tuple[int, Node]]) -> None:
        for user in self.users[node]:
            heappush(waiting, (self.position[user], user))

    def _visit(self, node: Node) -> bool:
        """Set the degree and the layout of a node; False where nothing made of it is scaled."""
        scaled = [i for i in node.inputs if i in self.degree]
        layout, distance = self.layout[scaled[0]], max(self.distance[i] for i in scaled) + 1
        if distance > MAX_CHAIN_NODES or any(self.layout[i] != layout for i in scaled):
            return False
        if isinstance(node.op, (Log, Div)) and self._vanishes(node.inputs[-1]):
            return False
        degree: int | None = None
        if isinstance(node.op, Log):
            degree = 0
        elif isinstance(node.op, Elementwise):
            degree = self._elementwise(node)
        else:
            moved = self._moved(node, layout)
            if moved is not None:
                degree, layout = self.degree[scaled[0]], moved
        is_open = not self.open.isdisjoint(scaled) and not self._is_chosen(node)
        if degree is None or (is_open and not isinstance(node.op, Elementwise)):
            return False
        has_sum = isinstance(node.op, Sum) or not self.has_sum.isdisjoint(scaled)
        if degree == 0 and not is_open:
            self.ends |= {node} if has_sum else set()
            return False
        self.degree[node], self.layout[node], self.distance[node] = degree, layout, distance
        self.has_sum |= {node} if has_sum else set()
        self.open |= {node} if is_open else set()
        where = self._firmness(node)
        self.firm |= {} if where is None else {node: where}
        return True

    def _is_chosen(self, node: Node) -> bool:
        """Whether a node takes from a value what the row's condition chooses."""
        row, choice = self.row, choice_of(node)
        return row is not None and choice is not None and choice == (row.condition, row.positive)

    def _vanishes(self, x: Node) -> bool:
        """Whether a shift could make elements of a value 0 that are not as they are written."""
        return x in self.degree and self.firm.get(x) != ROW

    def _firmness(self, node: Node) -> str | None:
        """Where a value is not small although exponents are shifted, if that is known.

        What is not scaled does no harm beside whole rows: it is 0 as it is written, too.
        """
        scaled = [self.firm.get(i) for i in node.inputs if i in self.degree]
        others = [i for i in node.inputs if i not in self.degree]
        match node.op:
            case Sum():
                # a row by which this sum would not be found is not followed for the sake of others
                return None if None in scaled or row_of(node) != self.row else ROW
            case Where() if not self._is_chosen(node) and any(map(is_zero, others)):
                return None
            case Mul() | Div() if TOP in scaled and not all(map(is_moderate, others)):
                return None
            case Mul() | Div() | Add() | Maximum() | Minimum() | Where() | Abs() | StopGradient():
                pass
            case Cast() | Reshape() | BroadcastTo():
                pass
            case _:
                return None
        if None in scaled:
            return None
        return TOP if TOP in scaled or isinstance(node.op, Where) else ROW

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
        """The layout of a sum over the rows, or of a view of it.

        A layout says which axes there are, in their order, so a view must keep that: shapes tell
        it of a reshape, which keeps the order of elements. A repetition must put the rows back
        where they were, and of the layouts without the row's axes only one does so: that of
        which these were the first.
        """
        shape, full_shape = node.type.shape, self.exp.type.shape
        if isinstance(node.op, Sum) and layout == FULL:
            if all(at_least_one(full_shape[a]) for a in node.op.axes):
                self.summed[row_of(node)] = None
            return REDUCED if self.axes == node.op.axes else None
        if self.axes is None:
            return None
        if isinstance(node.op, Reshape) and layout != FULL:
            if shape == kept_shape(full_shape, self.axes):
                return KEPT
            return REDUCED if shape == reduced_shape(full_shape, self.axes) else None
        leading = self.axes == tuple(range(len(self.axes)))
        if isinstance(node.op, BroadcastTo) and shape == full_shape:
            return FULL if layout == KEPT or (layout == REDUCED and leading) else None
        return None


def row_of(total: Node) -> SummedRow:
    """What a sum runs along."""
    assert isinstance(total.op, Sum)
    (x,) = total.inputs
    while isinstance(x.op, (Cast, StopGradient)):
        (x,) = x.inputs
    return SummedRow(total.op.axes, *(choice_of(x) or ()))


def is_moderate(node: Node, depth: int = 6) -> bool:
    """Whether a value is made of sizes and of numbers above 0 that are neither small nor large."""
    match node.op:
        case Literal(value=value):
            return PLAIN_RANGE[0] <= float(value) <= PLAIN_RANGE[1]
        case SizeOf(size=size):
            return at_least_one(size)
        case Mul() | Div() | Cast() | Reshape() | BroadcastTo() if depth:
            return all(is_moderate(i, depth - 1) for i in node.inputs)
    return False


def is_shifted(x: Node, axes: tuple[int, ...]) -> bool:
    """Whether the maximum of every row has been subtracted from an exponent.

    That of other rows would not do: all of a row may lie far below the others.
    """
    if not isinstance(x.op, Sub):
        return False
    moved, top = x.inputs
    own = tuple(None if s == 1 or a in axes else a for a, s in enumerate(x.type.shape))
    return axes_of_maximum(top, moved, axes) == own


def axes_of_maximum(top: Node, x: Node, axes: tuple[int, ...]) -> Axes | None:
    """Which axes of x run along those of a node that is the maximum of x over some, or 0."""
    base = base_of(top)
    own: Axes | None = None
    match base.op:
        case Max(axes=taken) if taken == axes and base.inputs[0] is x:
            shape = x.type.shape
            own = tuple(None if s == 1 else a for a, s in enumerate(shape) if a not in axes)
        case StopGradient():
            own = axes_of_maximum(base.inputs[0], x, axes)
        case Where():
            own = axes_of_maximum(base.inputs[1], x, axes)
    return None if own is None else through_views(top, own)


def kept_shape(shape: Sizes, axes: tuple[int, ...]) -> Sizes:
    """The shape with 1 for the reduced axes."""
    return tuple(1 if a in axes else s for a, s in enumerate(shape))


def reduced_shape(shape: Sizes, axes: tuple[int, ...]) -> Sizes:
    """The shape without the reduced axes."""
    return tuple(s for a, s in enumerate(shape) if a not in axes)


# ------------------------------------------------------------------------------ rewriting


ShiftedScales = tuple[Scale, ...]  # whose exponents are shifted, in the order of the scales


class Versions:
    """Every node as it is written and, where others need that, with some exponents shifted."""

    def __init__(self, given: Graph, scales: list[Scale]) -> None:
        self.given, self.scales = given, scales
        self.ending: dict[Node, list[Scale]] = {}
        self.carried: dict[Node, list[Scale]] = {}
        for scale in scales:
            for node in scale.ends:
                self.ending.setdefault(node, []).append(scale)
            for node in scale.degree:
                self.carried.setdefault(node, []).append(scale)
        self.tops: dict[Scale, Node] = {}
        self.made: dict[tuple[Node, ShiftedScales], Node] = {}

    def graph(self) -> Graph:
        """The graph with shifted exponents and logarithms that make up for it."""
        wanted = self._wanted()
        new: dict[Node, Node] = {}
        for node in self.given.nodes:
            for chosen in wanted.get(node, ()):
                with origins.inherit(node.origin, node.step_part):
                    self.made[node, chosen] = self._make(node, chosen)
                new.setdefault(node, self.made[node, chosen])
        return self.given.substitute(new)

    def _wanted(self) -> dict[Node, dict[ShiftedScales, None]]:
        """The versions of every node that the roots need, directly or through others."""
        wanted: dict[Node, dict[ShiftedScales, None]] = {
            root: {(): None} for root in self.given.roots
        }
        for node in reversed(self.given.nodes):
            versions = wanted.get(node, {})
            if () in versions:  # what stands for the node comes first
                wanted[node] = versions = {(): None} | versions
            for chosen in versions:
                scales = self._scales_inside(node, chosen)
                for i in node.inputs:
                    wanted.setdefault(i, {})[self._carried_by(i, scales)] = None
        return wanted

    def _scales_inside(self, node: Node, chosen: ShiftedScales) -> ShiftedScales:
        """What is shifted in a node's inputs: also what ends here, one shift per exponential."""
        taken = {scale.exp for scale in chosen}
        ending = []
        for scale in self.ending.get(node, ()):
            if scale.exp not in taken:
                taken.add(scale.exp)
                ending.append(scale)
        return (*chosen, *ending)

    def _carried_by(self, node: Node, scales: Iterable[Scale]) -> ShiftedScales:
        carried = self.carried.get(node, [])
        return tuple(scale for scale in carried if scale in scales)

    def _make(self, node: Node, chosen: ShiftedScales) -> Node:
        scales = self._scales_inside(node, chosen)
        inputs = tuple(self.made[i, self._carried_by(i, scales)] for i in node.inputs)
        result = with_inputs(node, inputs)
        for scale in scales:
            if scale.exp is node:
                x = inputs[0]
                assert scale.row is not None
                top = self.tops[scale] = finite_maximum(x, scale.row)
                shape = kept_shape(x.type.shape, scale.axes or ())
                return apply(Exp(), apply(Sub(), x, broadcast(reshape(top, shape), x.type.shape)))
            if isinstance(node.op, Log) and node in scale.ends:
                result = corrected(node, result, scale, self.tops[scale])
        return result


def finite_maximum(x: Node, row: SummedRow) -> Node:
    """The maximum of a row; 0 where it is infinite (or NaN) and would spoil the others."""
    if row.condition is not None:
        least = full(float("-inf"), x.type)
        terms = (x, least) if row.positive else (least, x)
        x = apply(Where(), row.condition, *terms)
    top = apply(Max(row.axes, shift=True), x)
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
        shift = reshape(shift, kept_shape(shape, axes))
    if scale.layout[argument] == FULL:
        shift = broadcast(shift, shape)
    return apply(Add(), logarithm, shift)
