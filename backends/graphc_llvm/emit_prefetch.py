"""Software prefetch: the heaviest loop of a row prefetches for the loops that follow.

The first loop of a row waits for its operands and the last one for the lines that it writes; the
loop between them is busy with arithmetic and leaves the memory idle.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.loops.contraction.index import flat_offset, loads_of
from graphc.ir.loops.ir import Axis, Buffer, Expr, Loop, Scratch, Store, expressions
from graphc_llvm.emit_address import address
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_value import evaluate
from graphc_llvm.emit_width import holds_loops, weigh
from graphc_llvm.target import CACHE_LINE

_MIN_WEIGHT = 8  # operations of a loop that leave time to fetch for others


@dataclass(frozen=True)
class PrefetchTarget:
    """An access to prefetch, `shift` rows from here."""

    buffer: Buffer
    at: tuple[Expr, ...]
    shift: int
    written: bool


@dataclass(frozen=True)
class Prefetches:
    """What one loop of a row prefetches for the others."""

    rows: Axis
    loop: Loop
    places: tuple[PrefetchTarget, ...]


def find_prefetches(rows: Loop, per_block: int) -> Prefetches | None:
    """Find what to prefetch in a loop over rows, `per_block` of which are processed together."""
    loops = [s for s in rows.body if isinstance(s, Loop) and s.lanes and not holds_loops(s)]
    if len(loops) < 2:
        return None
    busy = max(range(1, len(loops)), key=lambda k: weigh(loops[k].body)[0])
    if weigh(loops[busy].body)[0] < _MIN_WEIGHT:
        return None
    local = {s.buffer for s in rows.body if isinstance(s, Scratch)}
    places: dict[Buffer, PrefetchTarget] = {}
    for loop in loops[:busy]:
        for load in (x for s in loop.body for e in expressions(s) for x in loads_of(e)):
            places.setdefault(
                load.buffer, PrefetchTarget(load.buffer, load.index, per_block, False)
            )
    for loop in loops[busy + 1 :]:
        for stmt in loop.body:
            if isinstance(stmt, Store):
                places.setdefault(stmt.buffer, PrefetchTarget(stmt.buffer, stmt.index, 0, True))
    axes = rows.axis, loops[busy].axis
    found = [p for p in places.values() if p.buffer not in local and _is_row(p, *axes)]
    return Prefetches(rows.axis, loops[busy], tuple(found)) if found else None


def _is_row(place: PrefetchTarget, row: Axis, lane: Axis) -> bool:
    """True if the lanes are neighbours, in another place for every row."""
    form = flat_offset(place.buffer, place.at)
    return not form.others and form.coefficient(lane) == 1 and form.coefficient(row) != 0


def emit_prefetches(c: EmitContext, rows: Loop, per_block: int = 1) -> None:
    """Make the heaviest loop of each row prefetch for the others."""
    prefetches = find_prefetches(rows, per_block)
    if prefetches is not None:
        c.prefetches[prefetches.loop] = lambda: _prefetch(c, prefetches)


def _prefetch(c: EmitContext, prefetches: Prefetches) -> None:
    """Emit the prefetches for the current lanes."""
    assert c.lane is not None
    f, here = c.builder, c.axes[prefetches.rows]
    f.module.declare("@llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    for place in prefetches.places:
        c.axes[prefetches.rows] = f.add(here, place.shift, prefetches.rows.name)
        first = address(c, place.buffer, place.at, evaluate).pointer
        for offset in range(0, c.lane.width * place.buffer.dtype.itemsize, CACHE_LINE):
            line = f.gep(first, "i8", offset, place.buffer.name)
            how = f"i32 {int(place.written)}, i32 3, i32 1"
            f.effect(f"call void @llvm.prefetch.p0(ptr {line}, {how})")
    c.axes[prefetches.rows] = here
