"""Nests that read across their lanes: squares of 16 x 16 elements are turned in registers.

Reading one element of each of 16 rows touches as many cache lines for 16 elements as reading
the 16 x 16 square that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
from graphc_llvm.contract_index import Affine, axes_of, flat_offset
from graphc_llvm.emit_context import Context, Lane
from graphc_llvm.emit_memory import load
from graphc_llvm.emit_value import evaluate, single
from graphc_llvm.emit_width import weigh
from graphc_llvm.text import Operand
from graphc_llvm.tiles import transpose

SIDE = 16
# the body is written once for each row of a square
_MOST_WEIGHT = 8


@dataclass(frozen=True)
class Squares:
    """Two nested parallel loops, the inner one along lanes; `turned` reads across them."""

    outer: Loop
    lanes: Loop
    turned: tuple[Load, ...]


def find_squares(c: Context, loop: Loop) -> Squares | None:
    """The squares of a loop over rows, of it or of the same nest with its loops exchanged."""
    if len(loop.body) != 1 or loop.kind != PARALLEL or loop.lanes or not c.freedom.squares:
        return None
    inner = loop.body[0]
    if not isinstance(inner, Loop) or not inner.lanes or inner.kind != PARALLEL:
        return None
    simple = all(isinstance(stmt, Let | Store) for stmt in inner.body)
    if not simple or axes_of(inner.extent) or weigh(inner.body)[0] > _MOST_WEIGHT:
        return None
    exchanged = replace(inner, body=(replace(loop, body=inner.body, lanes=True),), lanes=False)
    here = _reading_across(c, loop, inner)
    if here is None:
        return _reading_across(c, exchanged, exchanged.body[0])
    return here if here.turned else None


def _reading_across(c: Context, outer: Loop, lanes: Stmt) -> Squares | None:
    """None where something other than a plain load along the rows goes across the lanes."""
    assert isinstance(lanes, Loop)
    turned: dict[Load, None] = {}
    for buffer, form, expr in _accesses(lanes.body):
        if not _crosses(c, form, lanes.axis):
            continue
        if not isinstance(expr, Load) or expr.where is not None or buffer in c.written:
            return None
        if form.others or c.size(form.coefficient(outer.axis)) != 1:
            return None
        turned[expr] = None
    return Squares(outer, lanes, tuple(turned))


def _crosses(c: Context, form: Affine, axis: Axis) -> bool:
    return c.size(form.coefficient(axis)) not in (0, 1)


def _accesses(body: tuple[Stmt, ...]) -> list[tuple[Buffer, Affine, Expr | None]]:
    stores = [s for s in body if isinstance(s, Store)]
    # from the last operand on: squares are loaded in this order
    roots = (e for stmt in body for e in reversed(expressions(stmt)))
    loads = [x for x in walk_exprs(roots, reversed_operands) if isinstance(x, Load)]
    places = [(s.buffer, s.index, None) for s in stores] + [(x.buffer, x.index, x) for x in loads]
    return [(buffer, flat_offset(buffer, at), expr) for buffer, at, expr in places]


def emit_squares(
    c: Context,
    squares: Squares,
    begin: Operand,
    end: Operand,
    block: Callable[[Context, tuple[Stmt, ...]], None],
    stretch: Callable[[Context, Loop, Operand, Operand], None],
) -> None:
    """Emit rows begin .. end - 1: whole squares first, then what is left of their rows.

    `block` emits statements, `stretch` some iterations of a loop along lanes.
    """
    f, outer = c.builder, squares.outer
    width = single(c, squares.lanes.extent)
    whole = f.round_down(width, SIDE)

    def squares_at(first: Operand, start: Operand) -> None:
        def columns(column: Operand, _: list[str]) -> list[str]:
            with c.inside(squares.lanes):
                _square(c, squares, first, column, block)
            return []

        f.loop(squares.lanes.axis.name, 0, start, SIDE, [], columns)

    def rows(first: Operand, _: list[str]) -> list[str]:
        last = f.minimum(f.add(first, SIDE), end, "last")
        start = whole
        if c.divisor(outer) % SIDE:
            full = f.compare("eq", f.sub(last, first), SIDE, "full")
            start = f.define("start", f"select i1 {full}, i64 {whole}, i64 0", (full, whole))
        with c.inside(outer):
            squares_at(first, start)
            if start != width:
                _rest(c, squares, (first, last), (start, width), stretch)
        return []

    f.loop(outer.axis.name, begin, end, SIDE, [], rows)


def _rest(
    c: Context,
    squares: Squares,
    rows: tuple[Operand, Operand],
    columns: tuple[Operand, Operand],
    stretch: Callable[[Context, Loop, Operand, Operand], None],
) -> None:
    def row(index: Operand, _: list[str]) -> list[str]:
        with c.inside(squares.outer):
            c.axes[squares.outer.axis] = index
            stretch(c, squares.lanes, *columns)
        return []

    c.builder.loop(squares.outer.axis.name, *rows, 1, [], row)


def _square(
    c: Context,
    squares: Squares,
    row: Operand,
    column: Operand,
    block: Callable[[Context, tuple[Stmt, ...]], None],
) -> None:
    f, outer, inner = c.builder, squares.outer.axis, squares.lanes.axis
    turned = {}
    for expr in squares.turned:
        read = []
        for lane in range(SIDE):
            with c.inside(lane=Lane(outer, SIDE)):
                c.axes[outer], c.axes[inner] = row, f.add(column, lane, inner.name)
                read.append(load(c, expr, evaluate))
        turned[expr] = transpose(c.emit, read)
    c.axes[inner] = column
    for number in range(SIDE):
        with c.inside(lane=Lane(inner, SIDE, None, SIDE)):
            c.axes[outer] = f.add(row, number, outer.name)
            c.memo.update({expr: vectors[number] for expr, vectors in turned.items()})
            block(c, squares.lanes.body)
