"""Short names for building kernels in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir.dims import Size
from graphc.ir.loops import ir
from graphc.ir.loops.combine import DOT
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.types import DType, bool_, float32, int64

e = ExprEmitter()
Place = ir.Axis | ir.Expr | int


def axes(names: str) -> tuple[ir.Axis, ...]:
    """Axes by name."""
    return tuple(ir.Axis(name) for name in names.split())


def refs(names: str, dtype: DType = float32) -> tuple[ir.Ref, ...]:
    """Names for values."""
    return tuple(ir.Ref(dtype, name) for name in names.split())


def number(value: float, dtype: DType = float32) -> ir.Expr:
    """A literal."""
    return e.const(value, dtype)


def at(place: Place) -> ir.Expr:
    """An index: of an axis, a number, or itself."""
    if isinstance(place, ir.Axis):
        return e.index(place)
    return number(place, int64) if isinstance(place, int) else place


def buffer(name: str, *shape: Size, dtype: DType = float32) -> ir.Buffer:
    """A buffer of float32 or another dtype."""
    return ir.Buffer(name, dtype, shape)


def load(source: ir.Buffer, *places: Place, where: ir.Expr | None = None) -> ir.Load:
    """source[places]"""
    return ir.Load(source.dtype, source, tuple(map(at, places)), where)


def store(
    target: ir.Buffer, places: Sequence[Place], value: ir.Expr, where: ir.Expr | None = None
) -> ir.Store:
    """target[places] = value"""
    return ir.Store(target, tuple(map(at, places)), value, where)


def _size(size: Any) -> ir.Expr:
    return size if isinstance(size, ir.Expr) else e.extent(size)


def parallel(axis: ir.Axis, size: Any, *body: ir.Stmt) -> ir.Loop:
    """for axis in range(size), in any order"""
    return ir.Loop(axis, _size(size), ir.PARALLEL, body)


def lanes(axis: ir.Axis, size: Any, *body: ir.Stmt) -> ir.Loop:
    """for axis in range(size), along vectors"""
    return ir.Loop(axis, _size(size), ir.PARALLEL, body, lanes=True)


def sequential(
    axis: ir.Axis, size: Any, *body: ir.Stmt, into: tuple[ir.Accumulator, ...] = ()
) -> ir.Loop:
    """for axis in range(size), in order"""
    return ir.Loop(axis, _size(size), ir.SEQUENTIAL, body, into)


def reduction(
    axis: ir.Axis,
    size: Any,
    combine: ir.Combine,
    names: tuple[ir.Ref, ...],
    values: Sequence[ir.Expr],
    *before: ir.Stmt,
    along_lanes: bool = False,
) -> ir.Loop:
    """Accumulate values over an axis."""
    accumulator = ir.Accumulator(combine, names)
    body = (*before, ir.Accumulate(accumulator, tuple(values)))
    return ir.Loop(axis, _size(size), ir.SEQUENTIAL, body, (accumulator,), along_lanes)


def dot(
    name: ir.Ref, nest: Sequence[tuple[ir.Axis, Any]], left: ir.Expr, right: ir.Expr
) -> ir.Loop:
    """Accumulate left * right over a nest of axes, the first outermost."""
    accumulator = ir.Accumulator(DOT, (name,))
    body: ir.Stmt = ir.Accumulate(accumulator, (left, right))
    for axis, size in reversed(nest[1:]):
        body = sequential(axis, size, body)
    return sequential(*nest[0], body, into=(accumulator,))


def inside(place: ir.Expr, size: Any) -> list[ir.Expr]:
    """0 <= place < size"""
    return [e.le(number(0, int64), place), e.lt(place, _size(size))]


def both(x: ir.Expr, y: ir.Expr) -> ir.Expr:
    """x and y"""
    return e.make("logical_and", bool_, (x, y))
