"""Nests that read across their lanes: tiles of 16 x 16 elements are transposed in registers.

Reading one element of each of 16 rows touches as many cache lines for 16 elements as reading
the 16 x 16 square that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from graphc.ir.loops.contraction.index import Affine, axes_of, flat_offset
from graphc.ir.loops.ir import (
    PARALLEL,
    Axis,
    Buffer,
    Expr,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    expressions,
    reversed_operands,
    walk_exprs,
)
from graphc_llvm.emit_context import EmitContext, Lane
from graphc_llvm.emit_memory import load
from graphc_llvm.emit_value import evaluate, uniform
from graphc_llvm.emit_width import weigh
from graphc_llvm.ir_builder import Operand
from graphc_llvm.tiles import transpose

SQUARE_SIDE = 16
# the body is unrolled for each row of a tile
_MAX_SQUARE_WEIGHT = 8


@dataclass(frozen=True)
class TransposedNest:
    """Two nested parallel loops, the inner one along lanes; `transposed` reads across them."""

    outer: Loop
    lanes: Loop
    transposed: tuple[Load, ...]


def find_transposed(c: EmitContext, loop: Loop) -> TransposedNest | None:
    """The transposed nest of a loop over rows, as it is or with its loops interchanged."""
    if len(loop.body) != 1 or loop.kind != PARALLEL or loop.lanes or not c.unroll.transposes:
        return None
    inner = loop.body[0]
    if not isinstance(inner, Loop) or not inner.lanes or inner.kind != PARALLEL:
        return None
    simple = all(isinstance(stmt, Let | Store) for stmt in inner.body)
    if not simple or axes_of(inner.extent) or weigh(inner.body)[0] > _MAX_SQUARE_WEIGHT:
        return None
    exchanged = replace(inner, body=(replace(loop, body=inner.body, lanes=True),), lanes=False)
    here = _reading_across(c, loop, inner)
    if here is None:
        return _reading_across(c, exchanged, exchanged.body[0])
    return here if here.transposed else None


def _reading_across(c: EmitContext, outer: Loop, lanes: Stmt) -> TransposedNest | None:
    """None where something other than a plain load along the rows goes across the lanes."""
    assert isinstance(lanes, Loop)
    transposed: dict[Load, None] = {}
    for buffer, form, expr in _accesses(lanes.body):
        if not _crosses(c, form, lanes.axis):
            continue
        if not isinstance(expr, Load) or expr.where is not None or buffer in c.written:
            return None
        if form.others or c.size(form.coefficient(outer.axis)) != 1:
            return None
        transposed[expr] = None
    return TransposedNest(outer, lanes, tuple(transposed))


def _crosses(c: EmitContext, form: Affine, axis: Axis) -> bool:
    return c.size(form.coefficient(axis)) not in (0, 1)


def _accesses(body: tuple[Stmt, ...]) -> list[tuple[Buffer, Affine, Expr | None]]:
    stores = [s for s in body if isinstance(s, Store)]
    # from the last operand on: squares are loaded in this order
    roots = (e for stmt in body for e in reversed(expressions(stmt)))
    loads = [x for x in walk_exprs(roots, reversed_operands) if isinstance(x, Load)]
    places = [(s.buffer, s.index, None) for s in stores] + [(x.buffer, x.index, x) for x in loads]
    return [(buffer, flat_offset(buffer, at), expr) for buffer, at, expr in places]


def emit_transposed(
    c: EmitContext,
    transposes: TransposedNest,
    begin: Operand,
    end: Operand,
    block: Callable[[EmitContext, tuple[Stmt, ...]], None],
    emit_range: Callable[[EmitContext, Loop, Operand, Operand], None],
) -> None:
    """Emit rows begin .. end - 1: whole tiles first, then the remainder of their rows.

    `block` emits statements, `emit_range` some iterations of a loop along lanes.
    """
    f, outer = c.builder, transposes.outer
    width = uniform(c, transposes.lanes.extent)
    whole = f.round_down(width, SQUARE_SIDE)

    def transpose_at(first: Operand, start: Operand) -> None:
        def columns(column: Operand, _: list[str]) -> list[str]:
            with c.inside(transposes.lanes):
                _square(c, transposes, first, column, block)
            return []

        f.loop(transposes.lanes.axis.name, 0, start, SQUARE_SIDE, [], columns)

    def rows(first: Operand, _: list[str]) -> list[str]:
        last = f.minimum(f.add(first, SQUARE_SIDE), end, "last")
        start = whole
        if c.divisor(outer) % SQUARE_SIDE:
            full = f.compare("eq", f.sub(last, first), SQUARE_SIDE, "full")
            start = f.define("start", f"select i1 {full}, i64 {whole}, i64 0", (full, whole))
        with c.inside(outer):
            transpose_at(first, start)
            if start != width:
                _rest(c, transposes, (first, last), (start, width), emit_range)
        return []

    f.loop(outer.axis.name, begin, end, SQUARE_SIDE, [], rows)


def _rest(
    c: EmitContext,
    transposes: TransposedNest,
    rows: tuple[Operand, Operand],
    columns: tuple[Operand, Operand],
    emit_range: Callable[[EmitContext, Loop, Operand, Operand], None],
) -> None:
    def row(index: Operand, _: list[str]) -> list[str]:
        with c.inside(transposes.outer):
            c.axes[transposes.outer.axis] = index
            emit_range(c, transposes.lanes, *columns)
        return []

    c.builder.loop(transposes.outer.axis.name, *rows, 1, [], row)


def _square(
    c: EmitContext,
    transposes: TransposedNest,
    row: Operand,
    column: Operand,
    block: Callable[[EmitContext, tuple[Stmt, ...]], None],
) -> None:
    f, outer, inner = c.builder, transposes.outer.axis, transposes.lanes.axis
    transposed = {}
    for expr in transposes.transposed:
        read = []
        for lane in range(SQUARE_SIDE):
            with c.inside(lane=Lane(outer, SQUARE_SIDE)):
                c.axes[outer], c.axes[inner] = row, f.add(column, lane, inner.name)
                read.append(load(c, expr, evaluate))
        transposed[expr] = transpose(c.emit, read)
    c.axes[inner] = column
    for number in range(SQUARE_SIDE):
        with c.inside(lane=Lane(inner, SQUARE_SIDE, None, SQUARE_SIDE)):
            c.axes[outer] = f.add(row, number, outer.name)
            c.memo.update({expr: vectors[number] for expr, vectors in transposed.items()})
            block(c, transposes.lanes.body)
