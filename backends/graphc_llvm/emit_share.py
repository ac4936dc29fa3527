"""Static work sharing: a thread's range of a parallel nest depends on sizes and threads alone."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

from graphc.ir.loops.contraction.index import axes_of
from graphc.ir.loops.ir import PARALLEL, Loop
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_loops import (
    IterationRange,
    emit_block,
    emit_range,
    emit_row_blocks,
    emit_transposed_rows,
)
from graphc_llvm.emit_prefetch import emit_prefetches
from graphc_llvm.emit_rows import find_rows
from graphc_llvm.emit_transpose import SQUARE_SIDE, find_transposed
from graphc_llvm.emit_value import uniform
from graphc_llvm.ir_builder import Operand

# lanes are shared in units of this many, so that every share starts at a multiple of it
SHARED_LANES = 64
# from this many iterations on, the outermost loop alone is divided
_MIN_BUSY_ITERATIONS = 64


def emit_share(c: EmitContext, loop: Loop) -> None:
    """Emit this thread's share of a parallel loop and of the loops right inside it."""
    chain = _chain(c, loop)
    transposes = find_transposed(c, chain[-1])
    if transposes is not None:

        def some_rows(first: Operand, end: Operand) -> None:
            emit_transposed_rows(c, transposes, first, end)

        _share_blocks(c, chain[:-1], transposes.outer, SQUARE_SIDE, some_rows)
        return
    blocks = find_rows(c, chain[-1])
    if blocks is not None:

        def some_rows(first: Operand, end: Operand) -> None:
            emit_row_blocks(c, blocks, first, end)

        _share_blocks(c, chain[:-1], blocks.loop, blocks.per_block, some_rows)
        return
    lanes = chain.pop() if chain[-1].lanes else None
    extents = [uniform(c, each.extent) for each in chain]
    rows: Operand = 1
    for size in extents:
        rows = c.builder.mul(rows, size, "rows")
    if lanes is not None:
        _share_lanes(c, chain, extents, rows, lanes)
        return
    low, high = _range(c, rows)

    def body(row: Operand, _: list[str]) -> list[str]:
        with c.inside(chain[0]):
            _place(c, chain, extents, row)
            emit_prefetches(c, chain[-1])
            emit_block(c, chain[-1].body)
        return []

    c.builder.loop(chain[-1].axis.name, low, high, 1, [], body)


def _share_blocks(
    c: EmitContext,
    chain: list[Loop],
    loop: Loop,
    per_block: int,
    emit: Callable[[Operand, Operand], None],
) -> None:
    """Distribute blocks of `per_block` iterations of an inner loop over threads."""
    f, size = c.builder, uniform(c, loop.extent)
    extents = [uniform(c, each.extent) for each in chain]
    blocks = f.div(f.add(size, per_block - 1), per_block, "blocks")
    units = blocks
    for extent in extents:
        units = f.mul(units, extent, "units")

    def unit(number: Operand, _: list[str]) -> list[str]:
        with c.inside(loop):
            _place(c, chain, extents, f.div(number, blocks))
            first = f.mul(f.rem(number, blocks), per_block, "first")
            emit(first, f.minimum(f.add(first, per_block), size))
        return []

    f.loop("block", *_range(c, units), 1, [], unit)


def _chain(c: EmitContext, loop: Loop) -> list[Loop]:
    """The perfectly nested parallel loops that are divided as one."""
    chain, count = [loop], c.trips(loop)
    while count is None or count < _MIN_BUSY_ITERATIONS:
        outer = chain[-1]
        if find_transposed(c, outer) is not None:
            break
        inner = outer.body[0] if len(outer.body) == 1 else None
        if outer.lanes or not isinstance(inner, Loop) or inner.kind != PARALLEL:
            break
        if inner.accumulators or axes_of(inner.extent):
            break
        chain.append(inner)
        trips = c.trips(inner)
        count = None if count is None or trips is None else count * trips
    return chain


def _range(c: EmitContext, units: Operand) -> tuple[Operand, Operand]:
    """The thread's range: [units * thread / threads, units * (thread + 1) / threads)."""
    f = c.builder
    following = f.add("%thread", 1, "following")
    low = f.div(f.mul(units, "%thread", "share"), "%threads", "low")
    return low, f.div(f.mul(units, following, "share"), "%threads", "high")


def _place(c: EmitContext, chain: list[Loop], extents: list[Operand], row: Operand) -> None:
    """Set the axes of collapsed loops from the number of the iteration."""
    f = c.builder
    for position in range(len(chain) - 1, 0, -1):
        c.axes[chain[position].axis] = f.rem(row, extents[position], chain[position].axis.name)
        row = f.div(row, extents[position], chain[position - 1].axis.name)
    if chain:
        c.axes[chain[0].axis] = row


def _share_lanes(
    c: EmitContext, chain: list[Loop], extents: list[Operand], rows: Operand, lanes: Loop
) -> None:
    f, size = c.builder, uniform(c, lanes.extent)
    units = f.div(f.add(size, SHARED_LANES - 1, "padded"), SHARED_LANES, "units")
    low, high = _range(c, f.mul(rows, units, "all"))

    def part(first: Operand, last: Operand) -> None:
        begin, end = f.mul(first, SHARED_LANES, "begin"), f.mul(last, SHARED_LANES, "end")
        grain = gcd(c.divisor(lanes), SHARED_LANES)
        if grain < SHARED_LANES:
            end = f.minimum(end, size, "end")
        emit_range(c, lanes, IterationRange(begin, end, SHARED_LANES, grain))

    if not chain:
        part(low, high)
        return

    def row(number: Operand, _: list[str]) -> list[str]:
        with c.inside(chain[0]):
            _place(c, chain, extents, number)
            passed = f.mul(number, units, "passed")
            first = f.maximum(f.sub(low, passed), 0, "first")
            last = f.minimum(f.sub(high, passed), units, "last")
            part(first, last)
        return []

    def rows_of_share() -> list[str]:
        end = f.div(f.add(high, f.sub(units, 1)), units, "end")
        f.loop(chain[-1].axis.name, f.div(low, units, "begin"), end, 1, [], row)
        return []

    # without lanes there is nothing to divide by
    f.when(f.compare("sgt", units, 0, "some"), [], rows_of_share)
