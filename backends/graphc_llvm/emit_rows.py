"""Loops over rows that process several rows together, each by vector loops.

Statements between the lane loops are emitted once for all rows of a block, with the rows as lanes.
A lane loop runs for one row after the other; only then its accumulators are folded, those of all
rows in the same instructions. So no row waits for the last merges of its own reductions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from graphc.ir.loops.accumulators import updated
from graphc.ir.loops.contraction.index import axes_of
from graphc.ir.loops.ir import (
    LANES,
    PARALLEL,
    Buffer,
    Expr,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    expressions,
    exprs_in,
    reversed_operands,
    walk,
    walk_exprs,
)
from graphc.ir.types import bool_, int32, int64, uint8
from graphc_llvm.emit_context import AccumulatorState, EmitContext, Lane
from graphc_llvm.emit_memory import stored_dtype
from graphc_llvm.emit_prefetch import emit_prefetches
from graphc_llvm.emit_reduce import fold_rows, last_values
from graphc_llvm.emit_width import holds_loops
from graphc_llvm.ir_builder import Operand, vector
from graphc_llvm.values import Value, memory_type

_MIN_ROWS = 4  # of a block; fewer are not worth code of their own

Block = Callable[[EmitContext, tuple[Stmt, ...]], None]
Finish = Callable[[EmitContext, AccumulatorState], None]
Whole = Callable[[EmitContext, Loop, Finish], None]


@dataclass(frozen=True)
class RowLoop:
    """A parallel loop that processes `per_block` iterations at a time."""

    loop: Loop
    per_block: int


def find_rows(c: EmitContext, loop: Loop) -> RowLoop | None:
    """The row loop of a loop, if the working set of a block stays in the L1 cache."""
    inner = [stmt for stmt in loop.body if isinstance(stmt, Loop)]
    if loop.kind != PARALLEL or loop.lanes or c.lane is not None or updated(loop):
        return None
    if not any(each.accumulators for each in inner):
        return None
    if any(not each.lanes or holds_loops(each) or axes_of(each.extent) for each in inner):
        return None
    counts = [c.trips(each) for each in inner]
    if any(count is None for count in counts):
        return None
    longest = max(count for count in counts if count is not None)
    touched = {buffer for each in inner for buffer in _buffers(each)}
    row_bytes = longest * sum(buffer.dtype.itemsize for buffer in touched)
    trips, per_block = c.trips(loop), c.unroll.rows
    while per_block * row_bytes > c.target.l1_bytes // 2 or (
        trips is not None and per_block > trips
    ):
        per_block //= 2
        if per_block < _MIN_ROWS:
            break
    return RowLoop(loop, per_block) if per_block >= _MIN_ROWS else None


def _buffers(loop: Loop) -> set[Buffer]:
    """What is read or written along the lanes of a loop."""
    stored = {s.buffer for s in loop.body if isinstance(s, Store)}
    return stored | {e.buffer for e in exprs_in((loop,)) if isinstance(e, Load)}


def emit_rows(
    c: EmitContext, rows: RowLoop, begin: Operand, end: Operand, block: Block, whole: Whole
) -> None:
    """Emit rows begin (a multiple of `per_block`) .. end - 1.

    `block` emits statements; `whole` emits a loop and hands its accumulators to a function
    instead of finishing them.
    """
    f, per_block = c.builder, rows.per_block

    def rows_at(first: Operand, _: list[str]) -> list[str]:
        divides = c.divisor(rows.loop) % per_block == 0
        count = per_block if divides else f.minimum(f.sub(end, first), per_block)
        outside = c.memo
        with c.inside(rows.loop, _lane(c, rows, count)):
            c.axes[rows.loop.axis] = first
            emit_prefetches(c, rows.loop, per_block)
            emitted = _RowBlock(c, rows, first, count, outside)
            for stmt in rows.loop.body:
                emitted.emit(stmt, block, whole)
        return []

    f.loop(rows.loop.axis.name, begin, end, per_block, [], rows_at)


def _lane(c: EmitContext, rows: RowLoop, count: Operand) -> Lane:
    axis, per_block = rows.loop.axis, rows.per_block
    if isinstance(count, int):
        exists = [k < count for k in range(per_block)]
        mask = None if all(exists) else c.emit.vector_of(exists, bool_)
        return Lane(axis, per_block, mask, per_block, count)
    numbers = c.emit.vector_of(range(per_block), int32)
    mask = c.emit.lt(numbers, c.emit.cast(Value(count, int64), int32))
    return Lane(axis, per_block, mask, per_block)


class _RowBlock:
    """A block of rows: where it begins, how many rows exist, and what is kept for each."""

    def __init__(
        self,
        c: EmitContext,
        rows: RowLoop,
        first: Operand,
        count: Operand,
        outside: dict[Expr, Value],
    ) -> None:
        self.c, self.f, self.rows = c, c.builder, rows
        self.first, self.count, self.outside = first, count, outside
        self.kept: dict[str, str] = {}  # the memory of refs that differ from row to row
        self.scratch: dict[Buffer, tuple[str, Operand]] = {}

    def emit(self, stmt: Stmt, block: Block, whole: Whole) -> None:
        """Emit one statement for all rows."""
        if isinstance(stmt, Loop):
            self._each_row(stmt, whole)
        elif isinstance(stmt, Scratch):
            apart = self.c.reserve(stmt.buffer, self.rows.per_block)
            self.scratch[stmt.buffer] = self.c.pointers[stmt.buffer], apart
        else:
            block(self.c, (stmt,))

    def _each_row(self, loop: Loop, whole: Whole) -> None:
        c = self.c
        # from the last operand on: rows are loaded in this order
        roots = (e for stmt in walk((loop,)) for e in reversed(expressions(stmt)))
        found = (e for e in walk_exprs(roots, reversed_operands) if isinstance(e, Ref))
        used = {e.name: e for e in found if e.name in c.refs}
        refs = {name: c.refs[name] for name in used if c.refs[name].width > 1}
        slots = {name: self._keep(name, value) for name, value in refs.items()}
        partial: dict[str, str] = {}
        finished: list[AccumulatorState] = []

        def row(number: Operand, _: list[str]) -> list[str]:
            def finish(c: EmitContext, running: AccumulatorState) -> None:
                finished.append(running)
                for ref, value in zip(running.accumulator.refs, last_values(c, running)):
                    partial[ref.name] = self._slot(ref.name, value, LANES * self.rows.per_block)
                    self._write(partial[ref.name], value, self.f.mul(number, LANES))

            with self._one_row(loop, number):
                for name, value in refs.items():
                    c.refs[name] = self._read(slots[name], value, number, 1)
                whole(c, loop, finish)
            return []

        self.f.loop("row", 0, self.count, 1, [], row)
        c.refs.update(refs)
        for running in finished:
            names = [ref.name for ref in running.accumulator.refs]
            parts = [
                tuple(
                    self._read(partial[n], v, LANES * number, LANES)
                    for n, v in zip(names, running.current)
                )
                for number in range(self.rows.per_block)
            ]
            c.refs.update(zip(names, fold_rows(c, running, parts)))

    @contextmanager
    def _one_row(self, loop: Loop, number: Operand) -> Iterator[None]:
        """Be in one row, without lanes."""
        c = self.c
        lane, active, memo = c.lane, c.emit.active, c.memo
        c.lane, c.emit.active, c.memo = None, None, dict(self.outside)
        c.axes[self.rows.loop.axis] = self.f.add(self.first, number, self.rows.loop.axis.name)
        with c.inside(loop):
            for buffer, (start, apart) in self.scratch.items():
                place = self.f.mul(number, apart)
                c.pointers[buffer] = self.f.gep(start, "i8", place, buffer.name)
            yield
        c.axes[self.rows.loop.axis] = self.first
        c.lane, c.emit.active, c.memo = lane, active, memo

    # -- memory for what differs from row to row ---------------------------------------

    def _keep(self, name: str, value: Value) -> str:
        if name not in self.kept:
            self.kept[name] = self._slot(name, value, value.width)
            self._write(self.kept[name], value, 0)
        return self.kept[name]

    def _slot(self, name: str, value: Value, count: int) -> str:
        return self.f.stack(f"{name}.rows", memory_type(value.dtype), count)

    def _write(self, slot: str, value: Value, at: Operand) -> None:
        kept = self.c.emit.cast(value, stored_dtype(value.dtype))
        type = memory_type(value.dtype)
        place = self.f.gep(slot, type, at)
        self.f.store(vector(type, kept.width), kept.text, place, value.dtype.itemsize)

    def _read(self, slot: str, like: Value, at: Operand, width: int) -> Value:
        dtype, type = stored_dtype(like.dtype), memory_type(like.dtype)
        place = self.f.gep(slot, type, at)
        text = self.f.load(vector(type, width), place, like.dtype.itemsize)
        value = Value(text, dtype, width)
        if like.dtype.kind != "b":
            return Value(text, like.dtype, width)
        return self.c.emit.op("icmp ne", (value, self.c.emit.const(0, uint8)), bool_)
