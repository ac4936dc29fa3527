"""Running values of accumulators, in the order of summation that `ir.Combine` fixes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.loops.accumulators import (
    ANY_GROUPING,
    is_blocked,
    is_direct,
    is_laned,
    lane_steps,
)
from graphc.ir.loops.combine import MAX, MIN
from graphc.ir.loops.ir import BLOCK, LANES, Accumulate, Accumulator, Loop
from graphc.ir.types import bool_, int64
from graphc_llvm.emit_context import CURRENT, AccumulatorState, EmitContext
from graphc_llvm.emit_value import evaluate
from graphc_llvm.ir_builder import LoopCarried, vector
from graphc_llvm.values import Value, element_type

Slots = list[tuple[AccumulatorState, str]]


def start(c: EmitContext, accumulator: Accumulator, loop: Loop) -> AccumulatorState:
    """Set an accumulator to its identity in front of its loop."""
    laned = is_laned(loop, accumulator)
    width = LANES if laned else (1 if c.lane is None else c.lane.width)
    steps = lane_steps(loop, accumulator, c.trips)
    blocked = is_blocked(accumulator) and (steps is None or steps > BLOCK)
    counted = blocked and not is_direct(loop, accumulator)
    running = AccumulatorState(accumulator, width, laned, blocked, counted)
    running.current = running.total = identity(c, running)
    running.steps = (c.emit.const(0, int64),)
    if c.target.has_mask_registers and laned and _is_extreme(accumulator):
        running.skips_nan = True
        running.unknown = (c.emit.spread(c.emit.const(False, bool_), width),)
    c.running[accumulator] = running
    return running


def identity(c: EmitContext, running: AccumulatorState) -> tuple[Value, ...]:
    """The identities, in every lane."""
    refs = running.accumulator.refs
    values = running.accumulator.combine.identities(refs[0].dtype)
    return tuple(
        c.emit.spread(c.emit.const(v, r.dtype), running.width) for v, r in zip(values, refs)
    )


def accumulate(c: EmitContext, stmt: Accumulate) -> None:
    """Merge new values into an accumulator."""
    running = c.running[stmt.accumulator]
    values = tuple(evaluate(c, v) for v in stmt.values)
    if not running.laned:
        _step(c, running, values, None)
        return
    assert c.lane is not None, "an accumulator over lanes is fed outside of them"
    firsts = range(0, c.lane.width, LANES)
    parts = [tuple(c.emit.lanes(v, first, LANES) for v in values) for first in firsts]
    mask = c.lane.mask
    if running.skips_nan:
        _merge_noting_nan(c, running, parts, mask)
        return
    if mask is None and running.accumulator.combine.name in ANY_GROUPING:
        parts = [_together(c, running, parts)]
    for first, part in zip(firsts, parts):
        _step(c, running, part, mask and c.emit.lanes(mask, first, LANES))


def _together(
    c: EmitContext, running: AccumulatorState, parts: list[tuple[Value, ...]]
) -> tuple[Value, ...]:
    """Merge neighbours with neighbours, so that the running values wait for one merge only."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        parts = [merge(c, running, low, high) for low, high in pairs]
    return parts[0]


def _merge_noting_nan(
    c: EmitContext, running: AccumulatorState, parts: list[tuple[Value, ...]], mask: Value | None
) -> None:
    """Merge extremes by comparisons, which skip NaN, and record where one was.

    A pair is looked at once for NaN. The last of equal values stays, as everywhere.
    """
    e = c.emit
    values, (unknown,) = [value for (value,) in parts], running.unknown
    if mask is not None:
        (idle,) = identity(c, running)
        firsts = range(0, mask.width, LANES)
        values = [e.select(e.lanes(mask, at, LANES), v, idle) for at, v in zip(firsts, values)]
    for x, y in zip(values[::2], values[1::2] or values):
        unknown = e.logical_or(unknown, e.op("fcmp uno", (x, y), bool_))
    while len(values) > 1:
        values = [_extreme(c, running, x, y) for x, y in zip(values[::2], values[1::2])]
    running.current = (_extreme(c, running, running.current[0], values[0]),)
    running.unknown = (unknown,)


def _extreme(c: EmitContext, running: AccumulatorState, x: Value, y: Value) -> Value:
    """The larger or the smaller of two numbers."""
    e = c.emit
    return e.select(e.lt(y, x) if running.accumulator.combine is MAX else e.lt(x, y), x, y)


def _step(
    c: EmitContext, running: AccumulatorState, values: tuple[Value, ...], mask: Value | None
) -> None:
    merged = merge(c, running, running.current, values)
    if mask is not None:
        pairs = zip(merged, running.current)
        merged = tuple(c.emit.select(mask, new, old) for new, old in pairs)
    running.current = merged
    if running.counted:
        _count(c, running)


def _count(c: EmitContext, running: AccumulatorState) -> None:
    """Count one more step; move a full block to the total."""
    f = c.builder
    (steps,) = running.steps
    running.steps = (c.emit.add(steps, c.emit.const(1, int64)),)
    full = f.compare("eq", running.steps[0].text, BLOCK, "full")
    slots: Slots = [(running, part) for part in running.parts]

    def flush() -> list[str]:
        end_block(c, running)
        running.current, running.steps = identity(c, running), (c.emit.const(0, int64),)
        return texts(slots)

    restore(slots, f.when(full, carried(slots), flush, "block"))


def merge(
    c: EmitContext, running: AccumulatorState, old: tuple[Value, ...], new: tuple[Value, ...]
) -> tuple[Value, ...]:
    """Merge values lane by lane."""
    merged = running.accumulator.combine.merge(c.emit, old, new)
    width = max(v.width for v in old)
    return tuple(c.emit.spread(v, width) for v in merged)


def show_carried(c: EmitContext, loop: Loop) -> None:
    """Bind the refs of carried accumulators to the values of the previous iteration."""
    for accumulator in loop.accumulators:
        if accumulator.combine.carried:
            for ref, value in zip(accumulator.refs, c.running[accumulator].current):
                c.refs[ref.name] = value


def begin_block(c: EmitContext, running: AccumulatorState) -> None:
    """Start a block of summation."""
    running.current = identity(c, running)


def end_block(c: EmitContext, running: AccumulatorState) -> None:
    """Add the current block to the total."""
    running.total = merge(c, running, running.total, running.current)


def last_values(c: EmitContext, running: AccumulatorState) -> tuple[Value, ...]:
    """What the lanes hold after the last step."""
    c.emit.hint = running.accumulator.refs[0].name
    if running.counted:
        end_block(c, running)
    if running.skips_nan:
        (found,), (unknown,) = running.current, running.unknown
        nan = c.emit.spread(c.emit.const(math.nan, found.dtype), found.width)
        return (c.emit.select(unknown, nan, found),)
    return running.total if running.blocked else running.current


def finish(c: EmitContext, running: AccumulatorState) -> None:
    """Name the final values."""
    values = last_values(c, running)
    if running.laned:
        values = _tree(c, running, values)
    for ref, value in zip(running.accumulator.refs, values):
        c.refs[ref.name] = value


def _tree(
    c: EmitContext, running: AccumulatorState, values: tuple[Value, ...]
) -> tuple[Value, ...]:
    """l + (l + 8), then + 4, + 2, + 1."""
    width = LANES
    while width > 1:
        width //= 2
        low = tuple(c.emit.lanes(v, 0, width) for v in values)
        high = tuple(c.emit.lanes(v, width, width) for v in values)
        values = merge(c, running, low, high)
    return values


def fold_rows(
    c: EmitContext, running: AccumulatorState, rows: list[tuple[Value, ...]]
) -> tuple[Value, ...]:
    """The same tree for a power of two of rows at once; lane k of the result is that of row k."""
    c.emit.hint = running.accumulator.refs[0].name
    width = LANES
    while width > 1:
        width //= 2
        if len(rows) > 1:
            rows = [_fold(c, running, a, b, width) for a, b in zip(rows[::2], rows[1::2])]
        else:
            rows = [_fold(c, running, rows[0], None, width)]
    return rows[0]


def _fold(
    c: EmitContext,
    running: AccumulatorState,
    x: tuple[Value, ...],
    y: tuple[Value, ...] | None,
    width: int,
) -> tuple[Value, ...]:
    """Merge the lower `width` lanes of each 2 `width` lanes with the upper ones."""
    count = x[0].width * (1 if y is None else 2)
    lower = [lane for lane in range(count) if lane % (2 * width) < width]
    upper = [lane + width for lane in lower]
    pairs = list(zip(x, x if y is None else y))
    low = tuple(c.emit.shuffle(a, b, lower) for a, b in pairs)
    high = tuple(c.emit.shuffle(a, b, upper) for a, b in pairs)
    return merge(c, running, low, high)


# ------------------------------------------------------------------ carrying through loops


def carried(slots: Slots) -> list[LoopCarried]:
    """The running values as phis of a loop."""
    return [
        LoopCarried(vector(element_type(v.dtype), v.width), v.text, ref_name)
        for running, part in slots
        for v, ref_name in zip(getattr(running, part), _names(running, part))
    ]


def _names(running: AccumulatorState, part: str) -> list[str]:
    names = [ref.name for ref in running.accumulator.refs]
    return names if part == CURRENT else [f"{name}.{part}" for name in names]


def texts(slots: Slots) -> list[str]:
    """The current names of the slots."""
    return [v.text for running, part in slots for v in getattr(running, part)]


def restore(slots: Slots, names: Sequence[str]) -> None:
    """Set the slots to these names."""
    following = iter(names)
    for running, part in slots:
        old: tuple[Value, ...] = getattr(running, part)
        new = tuple(Value(next(following), v.dtype, v.width) for v in old)
        setattr(running, part, new)


def _is_extreme(accumulator: Accumulator) -> bool:
    element = element_type(accumulator.refs[0].dtype)
    return accumulator.combine in (MAX, MIN) and element in ("float", "double")
