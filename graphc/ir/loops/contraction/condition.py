"""Conditions on the reduction steps of a contraction, as at the edges of a padded input.

Lowering makes both factors of such a product 0 under one condition. Here that condition is taken
out of the factors: the tiles walk only through the steps for which it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.index import Affine, Substitution, affine, axes_of
from graphc.ir.loops.ir import Apply, Axis, Const, Expr, Load, all_of


@dataclass(frozen=True)
class StepCondition:
    """A step counts only where constant + factor * (step // per) + sum of axes >= 0.

    `step` is an axis of the reduction. After merging, `per` of its steps belong to one step of
    the axis that it was. `axes` are the other axes, each with its coefficient and such a `per`.
    """

    constant: Size
    axes: Mapping[Axis, tuple[int, int]]
    step: Axis
    factor: int
    per: int = 1

    def without(self, axes: Iterable[Axis]) -> StepCondition:
        """The condition where these axes are 0."""
        return replace(self, axes={a: c for a, c in self.axes.items() if a not in axes})

    def always(self, sizes: Mapping[Axis, Size]) -> bool:
        """Whether it certainly holds for all steps of axes of these sizes."""
        least = self.constant
        factors = {axis: coefficient for axis, (coefficient, _) in self.axes.items()}
        for axis, coefficient in (*factors.items(), (self.step, self.factor)):
            if coefficient < 0:
                least = least + coefficient * (sizes[axis] - 1)
        return isinstance(least, int) and least >= 0

    def may_join(self, outer: Axis, inner: Axis, count: Size) -> bool:
        """Whether one axis can stand for both, where `inner` has `count` values."""
        mine = {self.step, *self.axes}
        return inner not in mine and (outer not in mine or isinstance(count, int))

    def joined(self, outer: Axis, merged: Axis, count: Size) -> StepCondition:
        """The same after an axis with `count` values inside `outer` was merged with it."""
        if not isinstance(count, int):
            return self
        if self.step is outer:
            return replace(self, step=merged, per=self.per * count)
        axes = {}
        for axis, (coefficient, per) in self.axes.items():
            axes[merged if axis is outer else axis] = (
                coefficient,
                per * count if axis is outer else per,
            )
        return replace(self, axes=axes)


def take_step_conditions(
    left: Expr, right: Expr, steps: Sequence[Axis]
) -> tuple[Expr, Expr, tuple[StepCondition, ...]]:
    """Split the conditions that both factors share off as step conditions.

    The factor that has all axes of a condition keeps it: it is 0 outside, where it is staged.
    """
    of_right = set(conditions(right))
    found = {t: _step_condition(t, steps) for t in conditions(left) if t in of_right}
    held = {term: step for term, step in found.items() if step is not None}
    bare = without_conditions(left, held.keys())
    owned = {term for term in held if axes_of(term).keys() <= axes_of(bare).keys()}
    left = without_conditions(left, held.keys() - owned)
    return left, without_conditions(right, owned), tuple(held.values())


def _step_condition(term: Expr, steps: Sequence[Axis]) -> StepCondition | None:
    form = inequality(term)
    if form is None:
        return None
    listed = {a: c for a, c in form.axes.items() if isinstance(c, int)}
    inside = [axis for axis in listed if axis in steps]
    if len(inside) != 1 or len(listed) < len(form.axes):
        return None
    factor = listed.pop(inside[0])
    return StepCondition(form.constant, {a: (c, 1) for a, c in listed.items()}, inside[0], factor)


# ------------------------------------------------------------------ conditions


def inequality(term: Expr) -> Affine | None:
    """The sum that is at least 0 where a comparison of indices holds."""
    match term:
        case Apply(function="le", args=(x, y)):
            form = affine(y) + affine(x).scaled(-1)
        case Apply(function="lt", args=(x, y)):
            form = affine(y) + affine(x).scaled(-1) + Affine(-1)
        case _:
            return None
    return None if form.others else form


def conditions(value: Expr) -> tuple[Expr, ...]:
    """The conditions outside of which a value is 0."""
    match value:
        case Apply(function="cast", args=(inner,)):
            return conditions(inner)
        case Load(where=Apply() as where):
            return _terms(where)
        case Apply(function="select", args=(condition, _, Const(value=0))):
            return _terms(condition)
    return ()


def _terms(condition: Expr) -> tuple[Expr, ...]:
    if isinstance(condition, Apply) and condition.function == "logical_and":
        return tuple(term for each in condition.args for term in _terms(each))
    return (condition,)


def without_conditions(value: Expr, held: Iterable[Expr]) -> Expr:
    """The value where these conditions hold."""
    held = set(held)
    change = _Unguarded(held)
    match value:
        case Apply(function="cast", args=(inner,)):
            return Apply(value.dtype, "cast", (without_conditions(inner, held),))
        case Apply(function="select", args=(condition, inner, Const(value=0) as zero)):
            rest = all_of([term for term in _terms(condition) if term not in held])
            moved = change(inner)
            return moved if rest is None else Apply(value.dtype, "select", (rest, moved, zero))
    return change(value)


class _Unguarded(Substitution):
    """Loads without the conditions that are known to hold."""

    def __init__(self, held: set[Expr]) -> None:
        super().__init__()
        self.held = held

    def _rewrite(self, expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr.where is not None:
            left = [term for term in _terms(expr.where) if term not in self.held]
            buffer, at = self.access(expr.buffer, expr.index)
            return Load(expr.dtype, buffer, at, all_of(left))
        return super()._rewrite(expr)


# ------------------------------------------------------------------ steps that count


@dataclass(frozen=True)
class Segment:
    """Steps begin .. end - 1 of an axis, and the lanes that take part, as bits.

    There is one number for each vector of each row of a tile.
    """

    begin: int
    end: int
    lanes: tuple[tuple[int, ...], ...]


Elements = Sequence[Sequence[Sequence[Mapping[Axis, int]]]]


def segments(
    conditions: Sequence[StepCondition], size: int, elements: Elements
) -> tuple[Segment, ...]:
    """The steps of one axis by the lanes that they count for.

    Each lane of each vector of each row of a tile comes with the values of its axes.
    """
    per = conditions[0].per
    spans = [
        [[_span(conditions, size // per, lane) for lane in lanes] for lanes in row]
        for row in elements
    ]
    ends = {end for row in spans for lanes in row for span in lanes for end in span}
    listed = []
    for begin, end in pairwise(sorted({0, size // per, *ends})):
        bits = tuple(tuple(_bits(lanes, begin, end) for lanes in row) for row in spans)
        if any(any(row) for row in bits):
            listed.append(Segment(begin * per, end * per, bits))
    return tuple(listed)


def _bits(lanes: Sequence[tuple[int, int]], begin: int, end: int) -> int:
    return sum((low <= begin and end <= high) << i for i, (low, high) in enumerate(lanes))


def _span(
    conditions: Sequence[StepCondition], count: int, at: Mapping[Axis, int]
) -> tuple[int, int]:
    """The first step that counts for one element, and the end."""
    low, high = 0, count
    for condition in conditions:
        assert isinstance(condition.constant, int)
        rest = condition.constant
        for axis, (coefficient, per) in condition.axes.items():
            rest += coefficient * (at[axis] // per)
        if condition.factor > 0:
            low = max(low, -(rest // condition.factor))
        else:
            high = min(high, rest // -condition.factor + 1)
    low = min(low, count)
    return low, max(low, high)
