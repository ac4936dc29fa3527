"""Recognise a contraction in a loop nest and bring its axes into order.

A contraction's axes fall into four classes by the operands that depend on them: *rows* (only the
first), *columns* (only the second), *batch* (both or none) and *reduction*. Axes of extent 1 are
dropped, and neighbours that every access walks through as one are merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from graphc.ir.dims import Size, dims_of, evaluate, product
from graphc.ir.loops.contraction.box import Box
from graphc.ir.loops.contraction.condition import StepCondition, take_step_conditions
from graphc.ir.loops.contraction.index import (
    Affine,
    Substitution,
    axes_of,
    flat_offset,
    zero,
)
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Check,
    Const,
    Expr,
    Extent,
    Index,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    expressions,
    extent,
    index,
    is_dot,
    operands,
    walk_exprs,
)


@dataclass(frozen=True)
class Span:
    """An axis and its extent."""

    axis: Axis
    size: Size


@dataclass(frozen=True)
class Contraction:
    """What a nest computes: the chain over `reduction` of left * right, then the epilogue.

    `reduction` is in the order of the chain; the other axes are in the order of the nest. Buffers
    that merging made one-dimensional are listed in `aliases` with the argument they stand for.
    Operands that are staged by position read a buffer of `boxes`. With `paired` the column is an
    axis of both operands, whose lanes are multiplied one by one. Steps for which one of the
    `conditions` does not hold are left out.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    batch: tuple[Span, ...]
    reduction: tuple[Span, ...]
    left: Expr
    right: Expr
    accumulator: Accumulator
    epilogue: tuple[Stmt, ...]
    lanes: Axis | None
    aliases: Mapping[Buffer, Buffer]
    boxes: Mapping[Buffer, Box] = field(default_factory=dict)
    paired: bool = False
    conditions: tuple[StepCondition, ...] = ()

    def swapped(self) -> Contraction:
        """The same contraction with its operands exchanged."""
        return replace(self, rows=self.columns, columns=self.rows, left=self.right, right=self.left)

    @property
    def stores(self) -> tuple[Store, ...]:
        """The stores of the epilogue."""
        return tuple(s for s in self.epilogue if isinstance(s, Store))


def recognise(nest: Sequence[Stmt], sizes: Mapping[str, int]) -> Contraction | None:
    """Take a nest apart; None if it is not a contraction of floats."""
    found = _unfold(nest, sizes)
    if found is None:
        return None
    aliases: dict[Buffer, Buffer] = {}
    found = _mapped(found, _Resolve(sizes, aliases))
    found = replace(found, aliases=aliases, conditions=_static_conditions(found, sizes))
    return _drop_unit_axes(found)


def merged(found: Contraction) -> Contraction:
    """The same with neighbouring axes that every access walks through as one made one."""
    for group in ("rows", "columns", "batch", "reduction"):
        found = _merge_all(found, group)
    return found


# ------------------------------------------------------------------ taking apart


@dataclass
class _NestParts:
    """What the walk down a nest has gathered."""

    parallel: list[Span]
    reduction: list[Span]
    lets: Substitution
    lanes: Axis | None = None


def _unfold(nest: Sequence[Stmt], sizes: Mapping[str, int]) -> Contraction | None:
    parts = _NestParts([], [], Substitution())
    body = _descend(nest, parts, sizes)
    if body is None:
        return None
    first, epilogue = body[0], body[1:]
    if not isinstance(first, Loop) or not is_dot(first) or first.kind != SEQUENTIAL:
        return None
    accumulator = first.accumulators[0]
    if not accumulator.refs[0].dtype.is_float or accumulator.refs[0].dtype.bits < 32:
        return None
    fed = _reduction(first, parts, sizes)
    if fed is None or not epilogue or not all(isinstance(s, Let | Store | Check) for s in epilogue):
        return None
    left, right = (parts.lets(x) for x in fed.values)
    fed_dtype = accumulator.refs[0].dtype
    if fed.accumulator is not accumulator or {left.dtype, right.dtype} != {fed_dtype}:
        return None
    rest = tuple(parts.lets.statement(s) for s in epilogue)
    left, right, conditions = take_step_conditions(
        left, right, [span.axis for span in parts.reduction]
    )
    return replace(_classify(parts, left, right, accumulator, rest), conditions=conditions)


def _descend(
    nest: Sequence[Stmt], parts: _NestParts, sizes: Mapping[str, int]
) -> tuple[Stmt, ...] | None:
    """Walk through the parallel loops; the statements of the innermost one, lets left out."""
    body = _take_lets(nest, parts)
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind == PARALLEL:
        loop = body[0]
        span = _span(loop, sizes)
        if span is None or loop.accumulators:
            return None
        parts.parallel.append(span)
        parts.lanes = loop.axis if loop.lanes else parts.lanes
        body = _take_lets(loop.body, parts)
    return body or None


def _reduction(first: Loop, parts: _NestParts, sizes: Mapping[str, int]) -> Accumulate | None:
    body: tuple[Stmt, ...] = (first,)
    while len(body) == 1 and isinstance(body[0], Loop):
        loop = body[0]
        span = _span(loop, sizes)
        if span is None or loop.kind != SEQUENTIAL or (loop.accumulators and loop is not first):
            return None
        parts.reduction.append(span)
        body = _take_lets(loop.body, parts)
    return body[0] if len(body) == 1 and isinstance(body[0], Accumulate) else None


def _take_lets(body: Sequence[Stmt], parts: _NestParts) -> tuple[Stmt, ...]:
    """Note the lets in front of a body and return what follows them."""
    for position, stmt in enumerate(body):
        if not isinstance(stmt, Let):
            return tuple(body[position:])
        parts.lets.refs[stmt.ref.name] = parts.lets(stmt.value)
    return ()


def _span(loop: Loop, sizes: Mapping[str, int]) -> Span | None:
    match loop.extent:
        case Const(value=value):
            return Span(loop.axis, int(value))
        case Extent(size=size):
            return Span(loop.axis, resolve(size, sizes))
    return None


def resolve(size: Size, sizes: Mapping[str, int]) -> Size:
    """The number that a size is, where all of its dims are known."""
    known = all(dim.name in sizes for dim in dims_of(size))
    return evaluate(size, sizes) if known else size


def _classify(
    parts: _NestParts, left: Expr, right: Expr, accumulator: Accumulator, epilogue: tuple[Stmt, ...]
) -> Contraction:
    in_left, in_right = axes_of(left), axes_of(right)
    groups: dict[tuple[bool, bool], list[Span]] = {}
    for span in parts.parallel:
        groups.setdefault((span.axis in in_left, span.axis in in_right), []).append(span)
    rows, columns = groups.get((True, False), []), groups.get((False, True), [])
    shared = (*groups.get((True, True), []), *groups.get((False, False), []))
    return Contraction(
        tuple(rows), tuple(columns), tuple(shared), tuple(parts.reduction),
        left, right, accumulator, epilogue, parts.lanes, {},
    )  # fmt: skip


# ------------------------------------------------------------------ rewriting


def _mapped(found: Contraction, change: Substitution) -> Contraction:
    epilogue = tuple(change.statement(s) for s in found.epilogue)
    return replace(found, left=change(found.left), right=change(found.right), epilogue=epilogue)


def _static_conditions(found: Contraction, sizes: Mapping[str, int]) -> tuple[StepCondition, ...]:
    """The conditions that may fail, with the sizes that are known."""
    spans = (*found.rows, *found.columns, *found.batch, *found.reduction)
    extents = {span.axis: span.size for span in spans}
    known = [replace(g, constant=resolve(g.constant, sizes)) for g in found.conditions]
    return tuple(condition for condition in known if not condition.always(extents))


def _drop_unit_axes(found: Contraction) -> Contraction:
    """Put 0 for every axis of extent 1, but for steps that may be left out."""
    groups = {g: getattr(found, g) for g in ("rows", "columns", "batch", "reduction")}
    units = {span.axis: zero() for spans in groups.values() for span in spans if span.size == 1}
    for condition in found.conditions:
        units.pop(condition.step, None)
    if not units:
        return found
    found = replace(
        found, conditions=tuple(condition.without(units) for condition in found.conditions)
    )
    kept: dict[str, Any] = {
        g: tuple(s for s in spans if s.axis not in units) for g, spans in groups.items()
    }
    return _mapped(replace(found, **kept), Substitution(axes=units))


# ------------------------------------------------------------------ merging


def _merge_all(found: Contraction, group: str) -> Contraction:
    """Merge pairs of one class until no pair merges."""
    while True:
        merged = _merge_one(found, group)
        if merged is None:
            return found
        found = merged


def _merge_one(found: Contraction, group: str) -> Contraction | None:
    spans: tuple[Span, ...] = getattr(found, group)
    pairs = list(pairwise(spans))
    if group != "reduction":  # only the order of the reduction matters
        pairs = [(o, i) for o in spans for i in spans if o is not i]
    for outer, inner in pairs:
        if (
            all(_is_mergeable(a, outer, inner) for a in _accesses(found))
            and not {outer.axis, inner.axis} & _escaping_axes(found).keys()
            and all(g.may_join(outer.axis, inner.axis, inner.size) for g in found.conditions)
        ):
            return _merge(found, group, outer, inner)
    return None


def _is_mergeable(at: Affine, outer: Span, inner: Span) -> bool:
    return at.coefficient(outer.axis) == at.coefficient(inner.axis) * inner.size


def _all_values(found: Contraction) -> tuple[Expr, ...]:
    stored = [e for s in found.epilogue if not isinstance(s, Store) for e in expressions(s)]
    for store in found.stores:
        stored += [store.value] if store.where is None else [store.value, store.where]
    return (found.left, found.right, *stored)


def _accesses(found: Contraction) -> list[Affine]:
    loads = [e for e in walk_exprs(_all_values(found)) if isinstance(e, Load)]
    places = [(s.buffer, s.index) for s in found.stores] + [(e.buffer, e.index) for e in loads]
    return [flat_offset(buffer, at) for buffer, at in places]


def _escaping_axes(found: Contraction) -> dict[Axis, None]:
    """Axes whose value is used other than in addresses."""
    stores = [flat_offset(s.buffer, s.index) for s in found.stores]
    loose = {a: None for form in stores for _, rest in form.others for a in axes_of(rest)}
    apart = [a for box in found.boxes.values() for a in (*box.leading, *box.fixed)]
    return loose | escaping_axes(_all_values(found)) | dict.fromkeys(apart)


def escaping_axes(values: Sequence[Expr]) -> dict[Axis, None]:
    """The axes whose value is used in expressions other than addresses."""
    loose: dict[Axis, None] = {}
    for current in walk_exprs(values, _beside_addresses):
        if isinstance(current, Index):
            loose[current.axis] = None
        if isinstance(current, Load):
            for _, rest in flat_offset(current.buffer, current.index).others:
                loose.update(axes_of(rest))
    return loose


def _beside_addresses(expr: Expr) -> tuple[Expr, ...]:
    """The operands of an expression that are no address."""
    if isinstance(expr, Load):
        return () if expr.where is None else (expr.where,)
    return operands(expr)


class FlattenAccesses(Substitution):
    """Write every access as one flat index in which `inner` walks through both axes."""

    def __init__(self, outer: Span, inner: Span, merged: Axis, aliases: dict[Buffer, Buffer]):
        super().__init__(axes={inner.axis: index(merged)})
        self.outer, self.inner, self.aliases = outer, inner, aliases

    def access(self, buffer: Buffer, at: tuple[Expr, ...]) -> tuple[Buffer, tuple[Expr, ...]]:
        """The flat form of an access."""
        offset = flat_offset(buffer, at)
        if not {self.outer.axis, self.inner.axis} & offset.axes.keys():
            return super().access(buffer, at)
        kept = {a: c for a, c in offset.axes.items() if a is not self.outer.axis}
        flat = Affine(offset.constant, kept, offset.others).expression()
        alias = _alias(buffer, (product(buffer.shape),), self.aliases)
        return alias, (self(flat),)


class _Resolve(Substitution):
    """Put numbers for the sizes that are known."""

    def __init__(self, sizes: Mapping[str, int], aliases: dict[Buffer, Buffer]):
        super().__init__()
        self.sizes, self.aliases = sizes, aliases

    def _rewrite(self, expr: Expr) -> Expr:
        if isinstance(expr, Extent):
            return extent(resolve(expr.size, self.sizes))
        return super()._rewrite(expr)

    def access(self, buffer: Buffer, at: tuple[Expr, ...]) -> tuple[Buffer, tuple[Expr, ...]]:
        """The access of a buffer whose shape is resolved."""
        _, moved = super().access(buffer, at)
        shape = tuple(resolve(size, self.sizes) for size in buffer.shape)
        return _alias(buffer, shape, self.aliases), moved


def _alias(buffer: Buffer, shape: tuple[Size, ...], aliases: dict[Buffer, Buffer]) -> Buffer:
    """A buffer of another shape that stands for the same memory."""
    if buffer.shape == shape:
        return buffer
    original = aliases.get(buffer, buffer)
    for alias, meant in aliases.items():
        if meant is original and alias.shape == shape:
            return alias
    alias = Buffer(original.name, original.dtype, shape)
    aliases[alias] = original
    return alias


def _merge(found: Contraction, group: str, outer: Span, inner: Span) -> Contraction:
    merged = Span(Axis(f"{outer.axis.name}_{inner.axis.name}"), outer.size * inner.size)
    aliases = dict(found.aliases)
    change = FlattenAccesses(outer, inner, merged.axis, aliases)
    spans = [s for s in getattr(found, group) if s is not outer]
    kept: dict[str, Any] = {group: tuple(merged if s is inner else s for s in spans)}
    conditions = [
        condition.joined(outer.axis, merged.axis, inner.size) for condition in found.conditions
    ]
    lanes = merged.axis if found.lanes in (outer.axis, inner.axis) else found.lanes
    found = replace(found, conditions=tuple(conditions))
    return replace(_mapped(found, change), lanes=lanes, aliases=aliases, **kept)
