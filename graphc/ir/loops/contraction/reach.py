"""Find the operands of a contraction that are worth staging in a box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.box import Box, BoxAxis
from graphc.ir.loops.contraction.condition import conditions, inequality, without_conditions
from graphc.ir.loops.contraction.index import (
    Affine,
    Substitution,
    affine,
    axes_of,
    flat_offset,
)
from graphc.ir.loops.contraction.match import Contraction, FlattenAccesses, Span, escaping_axes
from graphc.ir.loops.ir import Apply, Axis, Buffer, Expr, Index, Load, walk_exprs
from graphc.ir.types import DType, int64

Key = tuple[tuple[Axis, int], ...]


def with_boxes(found: Contraction) -> Contraction | None:
    """The contraction with boxes for the operands whose windows overlap; None if there are none."""
    aliases, boxes = dict(found.aliases), {}
    sides: dict[str, Expr] = {}
    for side in ("left", "right"):
        box = _make_box(getattr(found, side), found, aliases)
        if box is not None:
            boxes[box.buffer] = box
            sides[side] = _read(box)
    if not boxes:
        return None
    return replace(found, aliases=aliases, boxes=boxes, **sides)  # type: ignore[arg-type]


def _read(box: Box) -> Load:
    at = []
    for reach in box.box_axes:
        form = Affine(-1 * reach.low, dict(reach.coefficients))
        at.append(form.expression())
    return Load(box.buffer.dtype, box.buffer, tuple(at))


def _make_box(value: Expr, found: Contraction, aliases: dict[Buffer, Buffer]) -> Box | None:
    dtype = found.accumulator.refs[0].dtype
    if isinstance(value, Load) and value.where is None and value.buffer.dtype == dtype:
        return None  # read in place
    spans = (*found.rows, *found.columns, *found.batch, *found.reduction)
    sizes = {span.axis: span.size for span in spans}
    keys = _keys(value, frozenset(span.axis for span in found.batch))
    if keys is None or all(len(key) < 2 for key in keys):
        return None
    box_axes = tuple(_box_axis(key, sizes) for key in keys)
    moved = _ByPosition(keys, box_axes)(value)
    box = _finished(moved, box_axes, sizes, dtype)
    fixed = axes_of(moved).keys() - {reach.position for reach in box_axes}
    return _with_run(replace(box, fixed=tuple(a for a in sizes if a in fixed)), aliases)


def _keys(value: Expr, fixed: frozenset[Axis]) -> tuple[Key, ...] | None:
    """The linear forms in which axes occur, in order; None unless each axis is in only one."""
    found: dict[Key, None] = {}
    for position in _positions(value):
        key = _key(affine(position), fixed)
        if key is None:
            return None
        if key:
            found[key] = None
    axes = [axis for key in found for axis, _ in key]
    return tuple(found) if len(set(axes)) == len(axes) else None


def _key(form: Affine, fixed: frozenset[Axis]) -> Key | None:
    key = []
    for axis, coefficient in form.axes.items():
        if axis in fixed:
            continue
        if not isinstance(coefficient, int):
            return None
        key.append((axis, coefficient))
    return tuple(sorted(key, key=lambda term: (term[0].name, id(term[0]))))


def _positions(value: Expr) -> list[Expr]:
    """The largest sums of axes that a value is made of, those of indices first."""
    found: dict[Expr, None] = {}
    waiting, later, seen = [value], list[Expr](), set[Expr]()
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.add(current)
            if current.dtype == int64 and not affine(current).others:
                found[current] = None
            elif isinstance(current, Load):
                waiting[:0] = current.index
                later += [] if current.where is None else [current.where]
            elif isinstance(current, Apply):
                # conditions come last: indices tell the order of memory
                (later if current.dtype.kind == "b" else waiting).extend(current.args)
        if not waiting:
            waiting, later = later, []
    return list(found)


def _box_axis(key: Key, sizes: Mapping[Axis, Size]) -> BoxAxis:
    low: Size = 0
    extent: Size = 1
    for axis, coefficient in key:
        last = coefficient * (sizes[axis] - 1)
        low = low + last if coefficient < 0 else low
        extent = extent + (last if coefficient > 0 else -1 * last)
    name = "_".join(axis.name for axis, _ in key)
    return BoxAxis(Axis(f"at_{name}"), dict(key), low, extent)


class _ByPosition(Substitution):
    """Put the axes of the positions for the linear forms of the nest's axes."""

    def __init__(self, keys: tuple[Key, ...], box_axes: tuple[BoxAxis, ...]) -> None:
        super().__init__()
        self.box_axes = dict(zip(keys, box_axes))
        self.moving = frozenset(axis for key in keys for axis, _ in key)

    def _rewrite(self, expr: Expr) -> Expr:
        if expr.dtype != int64 or not isinstance(expr, Apply | Index):
            return super()._rewrite(expr)
        form = affine(expr)
        moving = {a: c for a, c in form.axes.items() if a in self.moving}
        key = _key(Affine(axes=moving), frozenset())
        reach = None if key is None else self.box_axes.get(key)
        if reach is None or form.others:
            return super()._rewrite(expr)
        kept: dict[Axis, Size] = {a: c for a, c in form.axes.items() if a not in moving}
        return Affine(form.constant + reach.low, {reach.position: 1, **kept}).expression()


# ------------------------------------------------------------------ where there is nothing but 0


def _finished(
    value: Expr,
    box_axes: tuple[BoxAxis, ...],
    sizes: Mapping[Axis, Size],
    dtype: DType,
) -> Box:
    """Take what the conditions say about positions out of the value."""
    extents = {reach.position: reach.extent for reach in box_axes}
    valid: dict[Axis, tuple[Size, Size]] = {}
    held: set[Expr] = set()
    for term in conditions(value):
        bound = _bound(term)
        if bound is not None and bound[0] in extents:
            held.add(term)
            axis, from_below, limit = bound
            first, end = valid.get(axis, (0, extents[axis]))
            if from_below:
                valid[axis] = _largest(first, limit), end
            else:
                valid[axis] = first, _smallest(end, limit)
    box_axes = tuple(replace(r, valid=valid.get(r.position)) for r in box_axes)
    buffer = Buffer("box", dtype, tuple(reach.extent for reach in box_axes))
    return Box(buffer, without_conditions(value, held), box_axes, sizes)


def _bound(term: Expr) -> tuple[Axis, bool, Size] | None:
    """An axis with the first position (true) or the end (false) that a condition leaves."""
    form = inequality(term)
    if form is None or len(form.axes) != 1:
        return None
    ((axis, coefficient),) = form.axes.items()  # coefficient * position + constant >= 0
    if coefficient not in (1, -1):
        return None
    return (
        (axis, True, -1 * form.constant) if coefficient == 1 else (axis, False, form.constant + 1)
    )


def _largest(x: Size, y: Size) -> Size:
    return max(x, y) if isinstance(x, int) and isinstance(y, int) else y


def _smallest(x: Size, y: Size) -> Size:
    return min(x, y) if isinstance(x, int) and isinstance(y, int) else y


def _with_run(box: Box, aliases: dict[Buffer, Buffer]) -> Box:
    """Join the last two reaches where every access walks through them as one."""
    if len(box.box_axes) < 2:
        return box
    outer, inner = box.box_axes[-2:]
    if (
        inner.valid is not None
        or {outer.position, inner.position} & escaping_axes((box.value,)).keys()
    ):
        return box
    for load in (x for x in walk_exprs((box.value,)) if isinstance(x, Load)):
        offset = flat_offset(load.buffer, load.index)
        step = offset.coefficient(inner.position) * inner.extent
        if offset.coefficient(outer.position) != step:
            return box
    run = Axis("run")
    spans = Span(outer.position, outer.extent), Span(inner.position, inner.extent)
    value = FlattenAccesses(*spans, run, aliases)(box.value)
    return replace(box, value=value, run=run)
