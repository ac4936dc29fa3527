"""Statements: blocks, plain loops, and loops along lanes with their partial last vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    Accumulate,
    Check,
    Let,
    Loop,
    Scratch,
    Stmt,
    Store,
)
from graphc.ir.types import bool_, int32, int64
from graphc_llvm.emit_context import TOTAL, Context, Lane
from graphc_llvm.emit_memory import any_lane, store
from graphc_llvm.emit_reduce import (
    Slots,
    accumulate,
    begin_block,
    carried,
    end_block,
    finish,
    restore,
    show_carried,
    start,
    texts,
    updated,
)
from graphc_llvm.emit_rows import Finish, Rows, emit_rows, find_rows
from graphc_llvm.emit_transpose import Squares, emit_squares, find_squares
from graphc_llvm.emit_value import evaluate, single
from graphc_llvm.emit_width import holds_loops, is_tiny, lanes_at_once, narrow_width
from graphc_llvm.text import Operand
from graphc_llvm.values import Value

_ZERO_MULTIPLE = 1 << 30  # 0 is a multiple of everything


def emit_block(c: Context, body: Sequence[Stmt]) -> None:
    """Emit statements, one after the other."""
    for stmt in body:
        c.passing = {}
        c.emit.hint = ""
        match stmt:
            case Let(ref=ref, value=value):
                c.emit.hint = ref.name
                c.refs[ref.name] = evaluate(c, value)
            case Accumulate(accumulator=accumulator):
                c.emit.hint = accumulator.refs[0].name
                accumulate(c, stmt)
            case Store(buffer=buffer):
                c.emit.hint = buffer.name
                store(c, stmt, evaluate)
            case Check():
                _check(c, stmt)
            case Scratch(buffer=buffer):
                c.reserve(buffer)
            case Loop():
                emit_loop(c, stmt)


@dataclass(frozen=True)
class Stretch:
    """Iterations begin .. end - 1 of a loop.

    `begin` is a multiple of `multiple`, and the number of iterations is a multiple of `grain`.
    """

    begin: Operand
    end: Operand
    multiple: int = 1
    grain: int = 1


def emit_loop(c: Context, loop: Loop) -> None:
    """Emit a whole loop and name what its accumulators hold after it."""
    squares = find_squares(c, loop)
    if squares is not None:
        emit_rows_of_squares(c, squares, 0, single(c, squares.outer.extent))
        return
    rows = find_rows(c, loop)
    if rows is not None:
        emit_blocks_of_rows(c, rows, 0, single(c, loop.extent))
        return
    emit_whole(c, loop, finish)


def emit_rows_of_squares(c: Context, squares: Squares, begin: Operand, end: Operand) -> None:
    """Emit rows begin (a multiple of 16) to end of a nest that reads across its lanes."""

    def columns(c: Context, loop: Loop, first: Operand, last: Operand) -> None:
        emit_stretch(c, loop, Stretch(first, last, LANES))

    emit_squares(c, squares, begin, end, emit_block, columns)


def emit_blocks_of_rows(c: Context, rows: Rows, begin: Operand, end: Operand) -> None:
    """Emit rows begin (a multiple of the blocks' side) to end of a nest with rows side by side."""
    emit_rows(c, rows, begin, end, emit_block, emit_whole)


def emit_whole(c: Context, loop: Loop, end: Finish) -> None:
    """Emit all iterations of a loop, then `end` for each of its accumulators."""
    whole = Stretch(0, single(c, loop.extent), _ZERO_MULTIPLE, c.divisor(loop))
    emit_stretch(c, loop, whole, end)


def emit_stretch(c: Context, loop: Loop, part: Stretch, end: Finish = finish) -> None:
    """Emit some iterations of a loop as if they were all."""
    runnings = [start(c, accumulator, loop) for accumulator in loop.accumulators]
    direct = [r for r in runnings if r.blocked and not r.counted]
    if not direct:
        _iterate(c, loop, part)
    else:
        _iterate_in_blocks(c, loop, part)
    for running in runnings:
        end(c, running)


def _iterate_in_blocks(c: Context, loop: Loop, part: Stretch) -> None:
    """Sum each block of steps by itself, then add it to the total."""
    f, size = c.builder, BLOCK * (LANES if loop.lanes else 1)
    runnings = [c.running[a] for a in updated(loop)]
    direct = [
        r for r in runnings if r.blocked and not r.counted and r.accumulator in loop.accumulators
    ]
    slots: Slots = [(r, name) for r in runnings for name in ((TOTAL,) if r in direct else r.parts)]
    hint = f"{loop.axis.name}.block"

    def block(first: Operand, names: list[str]) -> list[str]:
        restore(slots, names)
        for running in direct:
            begin_block(c, running)
        with c.inside(loop):
            last = f.minimum(f.add(first, size, "last"), part.end, "last")
            _iterate(c, loop, Stretch(first, last, size, gcd(part.grain, size)))
        for running in direct:
            end_block(c, running)
        return texts(slots)

    restore(slots, f.loop(hint, part.begin, part.end, size, carried(slots), block))


def _iterate(c: Context, loop: Loop, part: Stretch) -> None:
    if loop.lanes:
        _along_lanes(c, loop, part)
    else:
        _repeat(c, loop, part.begin, part.end, 1, lambda _: None)


def _repeat(
    c: Context,
    loop: Loop,
    begin: Operand,
    end: Operand,
    step: int,
    lane_at: Callable[[Operand], Lane | None],
) -> None:
    """Emit the body for begin, begin + step, ... with the running values carried along."""
    slots: Slots = [(c.running[a], part) for a in updated(loop) for part in c.running[a].parts]

    def body(index: Operand, names: list[str]) -> list[str]:
        restore(slots, names)
        c.axes[loop.axis], c.emit.hint = index, ""
        with c.inside(loop, lane_at(index)):
            show_carried(c, loop)
            emit_block(c, loop.body)
            if loop in c.fetching and c.lane is not None and c.lane.mask is None:
                c.fetching[loop]()
        return texts(slots)

    if c.lane is not None and isinstance(begin, int) and isinstance(end, int) and is_tiny(c, loop):
        for index in range(begin, end, step):
            body(index, texts(slots))
        return
    restore(slots, c.builder.loop(loop.axis.name, begin, end, step, carried(slots), body))


# ------------------------------------------------------------------ lanes


def _along_lanes(c: Context, loop: Loop, part: Stretch) -> None:
    """Whole vectors first, then what is left over."""
    f, begin, end = c.builder, part.begin, part.end
    count = f.sub(end, begin, "count")
    laned = any(c.running[a].laned for a in updated(loop))
    trips = count if isinstance(count, int) else c.trips(loop)  # there may be fewer
    if trips == 0:
        return
    width = lanes_at_once(c, loop, trips)
    if trips is not None and trips < LANES and not laned:
        width = narrow_width(trips)
        if not c.target.has_masked_memory and width > max(trips, 1):
            width //= 2
    whole = end
    if trips is not None and trips < width:
        whole = begin
    elif part.grain % width:
        whole = f.add(begin, f.round_down(count, width, "whole"), "whole")
    multiple = gcd(part.multiple, width)
    _repeat(c, loop, begin, whole, width, lambda _: _lane(loop, width, multiple))
    if whole == end:
        return
    if part.grain % LANES == 0 and not holds_loops(loop):
        _repeat(c, loop, whole, end, LANES, lambda _: Lane(loop.axis, LANES, None, LANES))
    elif laned or c.target.has_masked_memory:
        _rest(c, loop, whole, end, width if holds_loops(loop) else min(width, LANES))
    else:
        _repeat(c, loop, whole, end, 1, lambda _: None)


def _lane(loop: Loop, width: int, multiple: int) -> Lane | None:
    return Lane(loop.axis, width, None, multiple) if width > 1 else None


def _rest(c: Context, loop: Loop, begin: Operand, end: Operand, width: int) -> None:
    """Masked vectors."""

    def lane_at(index: Operand) -> Lane:
        left = c.builder.sub(end, index, "left")
        if isinstance(left, int):
            mask = c.emit.vector_of([lane < left for lane in range(width)], bool_)
            return Lane(loop.axis, width, mask, count=left)
        numbers = c.emit.vector_of(range(width), int32)
        mask = c.emit.lt(numbers, c.emit.cast(Value(left, int64), int32))
        return Lane(loop.axis, width, mask)

    _repeat(c, loop, begin, end, width, lane_at)


# ------------------------------------------------------------------ other statements


def _check(c: Context, stmt: Check) -> None:
    """Lower the recorded code to this one where an existing lane fails."""
    fails = any_lane(c, c.emit.logical_not(evaluate(c, stmt.condition)))

    def record() -> list[str]:
        c.builder.effect(f"atomicrmw umin ptr %team, i32 {stmt.code} monotonic")
        return []

    c.builder.when(fails.text, [], record, "fails")
