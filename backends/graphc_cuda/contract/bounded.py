"""Contractions whose loops end early: blocks at the ragged end of an axis.

A loop of which only the most iterations are known becomes one of that many. What is read beyond
its end is 0, results there are not finished, and chains stop where the loop ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphc.ir.loops.contraction.index import Substitution, axes_of
from graphc.ir.loops.ir import (
    PARALLEL,
    Accumulate,
    Apply,
    Axis,
    Expr,
    Let,
    Load,
    Loop,
    Stmt,
    all_of,
    const,
    index,
)
from graphc.ir.types import bool_
from graphc_cuda.contract.find import TiledContraction, find_contraction
from graphc_cuda.lower.writer import Extents

MOST_STEPS = 1 << 20  # of a loop whose end is worth asking for


@dataclass
class _Bounds:
    """The loops of a nest that may end early."""

    loops: list[Loop] = field(default_factory=list)

    def close(self, loop: Loop, extents: Extents) -> Loop:
        """The loop with as many iterations as it has at most."""
        if not extents.is_fixed(loop):
            self.loops.append(loop)
        return replace(loop, extent=const(extents.trips(loop)))


def find_bounded(
    nest: Sequence[Stmt], sizes: Mapping[str, int], extents: Extents
) -> TiledContraction | None:
    """The contraction of a nest whose loops may end early."""
    bounds = _Bounds()
    closed = [_closed(stmt, bounds, extents) for stmt in nest]
    if any(extents.trips(loop) > MOST_STEPS for loop in bounds.loops):
        return None
    if bounds.loops:
        closed = [_guarded(stmt, bounds.loops) for stmt in closed]
    found = find_contraction(closed, sizes)
    if found is None or not bounds.loops:
        return found
    contraction = found.contraction
    results = {s.axis for s in (*contraction.rows, *contraction.columns, *contraction.batch)}
    steps = [loop for loop in bounds.loops if loop.kind != PARALLEL]
    limits = [loop for loop in bounds.loops if loop.kind == PARALLEL]
    if any(loop.axis not in results for loop in limits):
        return None
    if steps and [s.axis for s in contraction.reduction] != [loop.axis for loop in steps]:
        return None
    conditions = tuple(_inside(loop) for loop in limits)
    return replace(found, limits=conditions, ends=steps[0] if steps else None)


def _inside(loop: Loop) -> Expr:
    return Apply(bool_, "lt", (index(loop.axis), loop.extent))


def _closed(stmt: Stmt, bounds: _Bounds, extents: Extents) -> Stmt:
    """The nest with loops of known extents."""
    if not isinstance(stmt, Loop):
        return stmt
    loop = bounds.close(stmt, extents)
    return replace(loop, body=tuple(_closed(s, bounds, extents) for s in loop.body))


def _guarded(stmt: Stmt, loops: Sequence[Loop]) -> Stmt:
    """The nest with operands that are 0 beyond the ends of loops."""
    match stmt:
        case Loop(body=body):
            return replace(stmt, body=tuple(_guarded(s, loops) for s in body))
        case Let(ref=ref, value=value):
            return Let(ref, _Guarded(loops)(value))
        case Accumulate(values=values):
            return replace(stmt, values=tuple(_Guarded(loops)(value) for value in values))
    return stmt


class _Guarded(Substitution):
    """Loads that read nothing beyond the ends of loops that they depend on."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        super().__init__()
        self.inside: dict[Axis, Expr] = {loop.axis: _inside(loop) for loop in loops}

    def _rewrite(self, expr: Expr) -> Expr:
        if not isinstance(expr, Load):
            return super()._rewrite(expr)
        axes = axes_of(expr)
        conditions = [condition for axis, condition in self.inside.items() if axis in axes]
        kept = [] if expr.where is None else [expr.where]
        return Load(expr.dtype, expr.buffer, expr.index, all_of([*kept, *conditions]))
