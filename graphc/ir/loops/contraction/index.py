"""Index arithmetic of contractions: which axes an access moves along, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.dims import Size, product
from graphc.ir.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Check,
    Const,
    Expr,
    Extent,
    Index,
    Let,
    Load,
    Ref,
    Stmt,
    Store,
    const,
    extent,
    index,
    walk_exprs,
    walk_new,
)
from graphc.ir.types import int64

SUMS = ("add", "sub", "neg", "mul")


@dataclass(frozen=True)
class Affine:
    """constant + sum of coefficient * axis + sum of coefficient * expression."""

    constant: Size = 0
    axes: Mapping[Axis, Size] = field(default_factory=dict)
    others: tuple[tuple[Size, Expr], ...] = ()

    def __add__(self, other: Affine) -> Affine:
        axes = dict(self.axes)
        for axis, coefficient in other.axes.items():
            axes[axis] = axes.get(axis, 0) + coefficient
        kept = {axis: c for axis, c in axes.items() if c != 0}
        return Affine(self.constant + other.constant, kept, self.others + other.others)

    def scaled(self, factor: Size) -> Affine:
        """The same form times a size."""
        axes = {axis: c * factor for axis, c in self.axes.items()}
        others = tuple((c * factor, e) for c, e in self.others)
        return Affine(self.constant * factor, axes, others)

    @property
    def is_constant(self) -> bool:
        """True when no axis occurs."""
        return not self.axes and not self.others

    def coefficient(self, axis: Axis) -> Size:
        """How far the form moves when the axis advances by one; 0 if it does not occur."""
        return self.axes.get(axis, 0)

    def expression(self) -> Expr:
        """The form as an index expression."""
        total: Expr | None = None
        for coefficient, factor in self._terms():
            term = factor if coefficient == 1 else _apply("mul", factor, extent(coefficient))
            total = term if total is None else _apply("add", total, term)
        if total is None:
            return extent(self.constant)
        return total if self.constant == 0 else _apply("add", total, extent(self.constant))

    def _terms(self) -> list[tuple[Size, Expr]]:
        terms: list[tuple[Size, Expr]] = [(c, index(axis)) for axis, c in self.axes.items()]
        return terms + list(self.others)


def _apply(function: str, x: Expr, y: Expr) -> Expr:
    return Apply(int64, function, (x, y))


def affine(expr: Expr) -> Affine:
    """Take an int64 expression apart; what is no sum of multiples of axes stays an expression."""
    forms: dict[Expr, Affine] = {}
    for current in walk_new(expr, forms.__contains__, _terms):
        forms[current] = _form(current, forms)
    return forms[expr]


def _terms(expr: Expr) -> tuple[Expr, ...]:
    """What a sum, a difference or a product is made of."""
    return expr.args if isinstance(expr, Apply) and expr.function in SUMS else ()


def _form(expr: Expr, forms: Mapping[Expr, Affine]) -> Affine:
    match expr:
        case Const(value=value):
            return Affine(int(value))
        case Extent(size=size):
            return Affine(size)
        case Index(axis=axis):
            return Affine(axes={axis: 1})
        case Apply(function="add", args=(x, y)):
            return forms[x] + forms[y]
        case Apply(function="sub", args=(x, y)):
            return forms[x] + forms[y].scaled(-1)
        case Apply(function="neg", args=(x,)):
            return forms[x].scaled(-1)
        case Apply(function="mul", args=(x, y)):
            left, right = forms[x], forms[y]
            if right.is_constant:
                return left.scaled(right.constant)
            if left.is_constant:
                return right.scaled(left.constant)
    return Affine(others=((1, expr),))


def row_major_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Elements between neighbours along each axis."""
    return tuple(product(shape[i + 1 :]) for i in range(len(shape)))


def flat_offset(buffer: Buffer, at: tuple[Expr, ...]) -> Affine:
    """The element offset of buffer[at]."""
    total = Affine()
    for position, stride in zip(at, row_major_strides(buffer.shape)):
        total = total + affine(position).scaled(stride)
    return joined(total)


def joined(form: Affine) -> Affine:
    """The form with x // b * b + x % b written as x, and as what x is made of."""
    others = {e: c for c, e in form.others}
    if len(others) < len(form.others):
        return form
    for rest, coefficient in others.items():
        match rest:
            case Apply(function="rem", args=(x, by)):
                divisor = affine(by)
            case _:
                continue
        for whole, times in others.items():
            match whole:
                case Apply(function="div", args=(y, again)) if y is x and again is by:
                    if times == coefficient * divisor.constant:
                        left = tuple((c, e) for e, c in others.items() if e not in (rest, whole))
                        kept = Affine(form.constant, form.axes, left)
                        return joined(kept + affine(x).scaled(coefficient))
    return form


def axes_of(expr: Expr) -> dict[Axis, None]:
    """The axes that an expression depends on, in order of appearance."""
    return {e.axis: None for e in walk_exprs((expr,)) if isinstance(e, Index)}


def loads_of(expr: Expr) -> tuple[Load, ...]:
    """Every load in an expression, in order of appearance."""
    return tuple(e for e in walk_exprs((expr,)) if isinstance(e, Load))


def packed_panels(offset: Affine, axis: Axis) -> int | None:
    """The width w of an offset that moves by a * (axis // w) + axis % w along an axis, or None."""
    if offset.coefficient(axis) != 0:
        return None
    width, inside = None, 0
    for coefficient, rest in offset.others:
        match rest:
            case Apply(function="floor_div" | "div", args=(Index(axis=along), Const(value=size))):
                divided = True
            case Apply(function="remainder" | "rem", args=(Index(axis=along), Const(value=size))):
                divided = False
            case _:
                if axis in axes_of(rest):
                    return None
                continue
        if along is not axis:
            continue
        if width not in (None, size) or not (divided or coefficient == 1):
            return None
        width, inside = size, inside + (not divided)
    return width if inside == 1 else None


class Substitution:
    """Rewrite expressions: refs by what they name, axes and accesses by what replaces them.

    Expressions are shared, so each is rewritten once.
    """

    def __init__(
        self,
        refs: Mapping[str, Expr] | None = None,
        axes: Mapping[Axis, Expr] | None = None,
    ) -> None:
        self.refs = dict(refs or {})
        self.axes = dict(axes or {})
        self._done: dict[Expr, Expr] = {}

    def __call__(self, expr: Expr) -> Expr:
        """The expression with everything replaced."""
        for current in walk_new(expr, self._done.__contains__):
            self._done[current] = self._rewrite(current)
        return self._done[expr]

    def _rewrite(self, expr: Expr) -> Expr:
        match expr:
            case Ref(name=name):
                return self.refs.get(name, expr)
            case Index(axis=axis):
                return self.axes.get(axis, expr)
            case Apply(dtype=dtype, function=function, args=args):
                return Apply(dtype, function, tuple(self(x) for x in args))
            case Load(dtype=dtype, buffer=buffer, index=at, where=where):
                buffer, at = self.access(buffer, at)
                return Load(dtype, buffer, at, None if where is None else self(where))
        return expr

    def access(self, buffer: Buffer, at: tuple[Expr, ...]) -> tuple[Buffer, tuple[Expr, ...]]:
        """What buffer[at] becomes."""
        return buffer, tuple(self(x) for x in at)

    def statement(self, stmt: Stmt) -> Stmt:
        """The statement with each of its expressions rewritten; loops are left alone."""
        match stmt:
            case Let(ref=ref, value=value):
                return Let(ref, self(value))
            case Store(buffer=buffer, index=at, value=value, where=where):
                buffer, at = self.access(buffer, at)
                return Store(buffer, at, self(value), None if where is None else self(where))
            case Check(condition=condition, code=code):
                return Check(self(condition), code)
        return stmt


def zero() -> Const:
    """The index 0."""
    return const(0)
