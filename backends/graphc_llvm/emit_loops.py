"""Statements: blocks, plain loops, and loops along lanes with their partial last vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.loops.accumulators import updated
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
from graphc_llvm.emit_context import TOTAL, EmitContext, Lane
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
)
from graphc_llvm.emit_rows import Finish, RowLoop, emit_rows, find_rows
from graphc_llvm.emit_transpose import TransposedNest, emit_transposed, find_transposed
from graphc_llvm.emit_value import evaluate, uniform
from graphc_llvm.emit_width import holds_loops, is_tiny, lanes_at_once, narrow_width
from graphc_llvm.ir_builder import Operand
from graphc_llvm.values import Value

_ZERO_MULTIPLE = 1 << 30  # 0 is a multiple of everything


def emit_block(c: EmitContext, body: Sequence[Stmt]) -> None:
    """Emit statements, one after the other."""
    for stmt in body:
        c.transient = {}
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
class IterationRange:
    """A range of iterations of a loop: begin .. end - 1.

    `begin` is a multiple of `multiple`, and the number of iterations is a multiple of `grain`.
    """

    begin: Operand
    end: Operand
    multiple: int = 1
    grain: int = 1


def emit_loop(c: EmitContext, loop: Loop) -> None:
    """Emit a whole loop and name what its accumulators hold after it."""
    transposes = find_transposed(c, loop)
    if transposes is not None:
        emit_transposed_rows(c, transposes, 0, uniform(c, transposes.outer.extent))
        return
    rows = find_rows(c, loop)
    if rows is not None:
        emit_row_blocks(c, rows, 0, uniform(c, loop.extent))
        return
    emit_whole(c, loop, finish)


def emit_transposed_rows(
    c: EmitContext, transposes: TransposedNest, begin: Operand, end: Operand
) -> None:
    """Emit rows begin (a multiple of 16) to end of a nest that reads across its lanes."""

    def columns(c: EmitContext, loop: Loop, first: Operand, last: Operand) -> None:
        emit_range(c, loop, IterationRange(first, last, LANES))

    emit_transposed(c, transposes, begin, end, emit_block, columns)


def emit_row_blocks(c: EmitContext, rows: RowLoop, begin: Operand, end: Operand) -> None:
    """Emit rows begin (a multiple of the block size) to end of a nest in blocks of rows."""
    emit_rows(c, rows, begin, end, emit_block, emit_whole)


def emit_whole(c: EmitContext, loop: Loop, end: Finish) -> None:
    """Emit all iterations of a loop, then `end` for each of its accumulators."""
    whole = IterationRange(0, uniform(c, loop.extent), _ZERO_MULTIPLE, c.divisor(loop))
    emit_range(c, loop, whole, end)


def emit_range(c: EmitContext, loop: Loop, span: IterationRange, end: Finish = finish) -> None:
    """Emit some iterations of a loop as a loop of their own."""
    runnings = [start(c, accumulator, loop) for accumulator in loop.accumulators]
    direct = [r for r in runnings if r.blocked and not r.counted]
    if not direct:
        _iterate(c, loop, span)
    else:
        _iterate_in_blocks(c, loop, span)
    for running in runnings:
        end(c, running)


def _iterate_in_blocks(c: EmitContext, loop: Loop, span: IterationRange) -> None:
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
            last = f.minimum(f.add(first, size, "last"), span.end, "last")
            _iterate(c, loop, IterationRange(first, last, size, gcd(span.grain, size)))
        for running in direct:
            end_block(c, running)
        return texts(slots)

    restore(slots, f.loop(hint, span.begin, span.end, size, carried(slots), block))


def _iterate(c: EmitContext, loop: Loop, span: IterationRange) -> None:
    if loop.lanes:
        _along_lanes(c, loop, span)
    else:
        _repeat(c, loop, span.begin, span.end, 1, lambda _: None)


def _repeat(
    c: EmitContext,
    loop: Loop,
    begin: Operand,
    end: Operand,
    step: int,
    lane_at: Callable[[Operand], Lane | None],
) -> None:
    """Emit the body for begin, begin + step, ... with the running values carried along."""
    slots: Slots = [(c.running[a], slot) for a in updated(loop) for slot in c.running[a].parts]

    def body(index: Operand, names: list[str]) -> list[str]:
        restore(slots, names)
        c.axes[loop.axis], c.emit.hint = index, ""
        with c.inside(loop, lane_at(index)):
            show_carried(c, loop)
            emit_block(c, loop.body)
            if loop in c.prefetches and c.lane is not None and c.lane.mask is None:
                c.prefetches[loop]()
        return texts(slots)

    if c.lane is not None and isinstance(begin, int) and isinstance(end, int) and is_tiny(c, loop):
        for index in range(begin, end, step):
            body(index, texts(slots))
        return
    restore(slots, c.builder.loop(loop.axis.name, begin, end, step, carried(slots), body))


# ------------------------------------------------------------------ lanes


def _along_lanes(c: EmitContext, loop: Loop, span: IterationRange) -> None:
    """Whole vectors first, then the remainder."""
    f, begin, end = c.builder, span.begin, span.end
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
    elif span.grain % width:
        whole = f.add(begin, f.round_down(count, width, "whole"), "whole")
    multiple = gcd(span.multiple, width)
    _repeat(c, loop, begin, whole, width, lambda _: _lane(loop, width, multiple))
    if whole == end:
        return
    if span.grain % LANES == 0 and not holds_loops(loop):
        _repeat(c, loop, whole, end, LANES, lambda _: Lane(loop.axis, LANES, None, LANES))
    elif laned or c.target.has_masked_memory:
        _rest(c, loop, whole, end, width if holds_loops(loop) else min(width, LANES))
    else:
        _repeat(c, loop, whole, end, 1, lambda _: None)


def _lane(loop: Loop, width: int, multiple: int) -> Lane | None:
    return Lane(loop.axis, width, None, multiple) if width > 1 else None


def _rest(c: EmitContext, loop: Loop, begin: Operand, end: Operand, width: int) -> None:
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


def _check(c: EmitContext, stmt: Check) -> None:
    """Lower the recorded code to this one where an existing lane fails."""
    fails = any_lane(c, c.emit.logical_not(evaluate(c, stmt.condition)))

    def record() -> list[str]:
        c.builder.effect(f"atomicrmw umin ptr %team, i32 {stmt.code} monotonic")
        return []

    c.builder.when(fails.text, [], record, "fails")
