"""How a kernel is mapped to launches: one decision, made from the kernel and its sizes alone.

A kernel's statements become *segments*, one launch each:

  element  a nest of parallel loops: one thread for each point
  rows     a parallel loop with reductions along lanes in it: sixteen threads for each row, or
           (long rows) a block; a block, too, where contractions stand between them
  group    everything else, by one block: small kernels as a whole, sums over everything, loops
           whose iterations depend on each other
  chunks   the first half of a long sum over everything: each block sums 4096 elements
  tile     a contraction
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from graphc.ir.loops.accumulators import is_direct, loops_in, updated
from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    PARALLEL,
    Check,
    Kernel,
    Let,
    Loop,
    Ref,
    Scratch,
    Stmt,
    exprs_in,
)
from graphc_cuda.contract.find import TiledContraction, find_contraction
from graphc_cuda.lower.hazards import has_lanes
from graphc_cuda.lower.lanes import is_order_free
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable
from graphc_cuda.lower.stages import STAGE_THREADS, Stages, find_stages
from graphc_cuda.lower.vectors import vector_width

ELEMENT, ROWS, GROUP, CHUNKS, TILE = "element", "rows", "group", "chunks", "tile"
BLOCK_THREADS = 256
ROW_THREADS = 128  # of a block of short rows
SHORT_ROW = 256  # elements up to which lanes take few steps: barriers would cost more
LONG_ROW = 1024  # elements from which on a row has a block
MIN_ROW_BLOCK = 64  # threads of a block that works on a row of few
SMALL = 4096  # points of a kernel that one block runs as a whole
CHUNK = BLOCK * LANES
LONG_SUM = 8 * CHUNK  # elements of a sum over everything that is cut in chunks
FEW_COLUMNS = 16  # of an inner loop that one thread runs by itself


@dataclass(frozen=True, eq=False)
class Segment:
    """Statements of one launch and how its threads share them.

    `count` is the number of points, rows or chunks; `group` the threads that work together,
    `block` those of a block; a thread takes `width` points beside each other. `lets` are named
    values that stand in front, computed by every thread.
    """

    mode: str
    body: tuple[Stmt, ...]
    count: int
    group: int
    block: int
    grid: int
    lets: tuple[Let, ...] = ()
    tile: TiledContraction | None = None
    width: int = 1
    stages: Stages | None = None

    def __str__(self) -> str:
        if self.tile is not None:
            return str(self.tile)
        if self.mode == ELEMENT:
            together = f", {self.width} a thread" if self.width > 1 else ""
            return f"element: {self.count} points{together}"
        if self.stages is not None:
            tiles = "; ".join(str(t.tile) for t in self.stages.tiles.values())
            return f"rows: {self.count} of {self.group} threads, in tiles of {tiles}"
        if self.mode == ROWS:
            return f"rows: {self.count} of {self.group} threads"
        return self.mode


def map_kernel(kernel: Kernel, dims: Dict[str, int]) -> tuple[Segment, ...]:
    """The launches of a kernel, in order."""
    sizes = Sizes(kernel, dims)
    loops = [s for s in kernel.body if isinstance(s, Loop)]
    lone = len(loops) == 1 and loops[0].kind == PARALLEL and kernel.body[-1] is loops[0]
    front = kernel.body[:-1]
    if lone and all(isinstance(s, Let) for s in front):
        return (_parallel(loops[0], tuple(s for s in front if isinstance(s, Let)), sizes),)
    if sizes.points(kernel.body) <= SMALL or not is_separable(kernel):
        return (_one_group(kernel.body, sizes),)
    segments = _split(kernel, sizes)
    return tuple(segments) if len(segments) > 1 else (_one_group(kernel.body, sizes),)


# ------------------------------------------------------------------ one statement


def _parallel(loop: Loop, lets: tuple[Let, ...], sizes: Sizes) -> Segment:
    """A parallel loop at the top of a kernel."""
    tile = find_contraction((*lets, loop), sizes.dims)
    if tile is not None:
        return Segment(TILE, (loop,), 1, 1, tile.tile.threads, tile.grid, lets, tile)
    loops, body, _ = sizes.nest(loop)
    rows = prod(sizes.trips(each) for each in loops)
    stages = None if needs_lanes(loop) else find_stages(body, sizes.dims, sizes)
    if stages is not None:
        return Segment(
            ROWS, (loop,), rows, STAGE_THREADS, STAGE_THREADS, max(1, rows), lets, stages=stages
        )
    if not has_lanes(loop) and _is_short(body, sizes):
        return _element(loop, lets, sizes)
    group = _row_group(loop, rows, longest(body, sizes))
    if group == LANES:
        return Segment(ROWS, (loop,), rows, LANES, ROW_THREADS, max(1, -(-rows // 8)), lets)
    return Segment(ROWS, (loop,), rows, group, group, max(1, rows), lets)


def _element(loop: Loop, lets: tuple[Let, ...], sizes: Sizes) -> Segment:
    """A thread for each point, or for a few beside each other."""
    loops, body, front = sizes.nest(loop)
    count = prod(sizes.trips(each) for each in loops)
    width = vector_width(loops, (*front, *body), sizes)
    threads = count // width
    block = min(BLOCK_THREADS, max(32, -(-threads // 32) * 32))
    grid = max(1, -(-threads // block))
    return Segment(ELEMENT, (loop,), count, 1, block, grid, lets, width=width)


def _row_group(loop: Loop, rows: int, columns: int) -> int:
    """How many threads work on a row: sixteen, or a block for long rows and for few rows."""
    if needs_lanes(loop) or columns <= SHORT_ROW:
        return LANES
    if columns > LONG_ROW:
        spread = rows * LANES >= BUSY_THREADS and _is_order_free(loop)
        return LANES if spread else BLOCK_THREADS
    group = LANES
    while group < min(columns, BLOCK_THREADS) and rows * group < BUSY_THREADS:
        group *= 2
    return LANES if group < MIN_ROW_BLOCK else group


def _is_order_free(loop: Loop) -> bool:
    """Whether all that a group of threads does is to merge values in any order."""
    inner = loops_in((loop,))
    return all(each.accumulators or each.kind == PARALLEL for each in inner) and all(
        is_order_free(a) for each in inner for a in each.accumulators
    )


def _is_short(body: Sequence[Stmt], sizes: Sizes) -> bool:
    """Whether the parallel loops in a body are so short that one thread runs them."""
    inner = [each for each in loops_in(tuple(body)) if each.kind == PARALLEL]
    return all(sizes.trips(each) <= FEW_COLUMNS for each in inner)


def longest(body: Sequence[Stmt], sizes: Sizes) -> int:
    """The iterations of the longest loop that a group shares."""
    shared = [each for each in loops_in(tuple(body)) if each.lanes or each.kind == PARALLEL]
    return max((sizes.trips(each) for each in shared), default=0)


def needs_lanes(stmt: Stmt) -> bool:
    """Whether lanes feed an accumulator of a loop around them: only groups of sixteen can."""
    return any(
        loop.lanes and loop.kind != PARALLEL and set(updated(loop)) != set(loop.accumulators)
        for loop in loops_in((stmt,))
    )


def _one_group(body: tuple[Stmt, ...], sizes: Sizes) -> Segment:
    """Statements that one block runs."""
    if any(needs_lanes(s) for s in body if isinstance(s, Loop)):
        return Segment(GROUP, body, 1, LANES, LANES, 1)
    most = max([longest(body, sizes), *(_nest_points(s, sizes) for s in body)], default=0)
    threads = LANES
    while threads < min(most, BLOCK_THREADS):
        threads *= 2
    return Segment(GROUP, body, 1, threads, threads, 1)


def _nest_points(stmt: Stmt, sizes: Sizes) -> int:
    if not isinstance(stmt, Loop) or stmt.kind != PARALLEL:
        return 0
    loops, _, _ = sizes.nest(stmt)
    return prod(sizes.trips(each) for each in loops)


# ------------------------------------------------------------------ several statements


def _split(kernel: Kernel, sizes: Sizes) -> list[Segment]:
    """A launch for every parallel loop, and for what stands between two."""
    lets = [s for s in kernel.body if isinstance(s, Let)]
    found: list[Segment] = []
    between: list[Stmt] = []

    def close() -> None:
        if any(not isinstance(s, (Let, Scratch)) for s in between):
            body = tuple(s for s in between if not isinstance(s, Scratch))
            needed = _needed(body, [let for let in lets if let not in body])
            found.extend(_chunked(_with_lets(_one_group(body, sizes), needed), sizes))
        between.clear()

    for stmt in kernel.body:
        if isinstance(stmt, Loop) and stmt.kind == PARALLEL:
            close()
            found.append(_parallel(stmt, _needed((stmt,), lets), sizes))
        else:
            between.append(stmt)
    close()
    return found


def _with_lets(segment: Segment, lets: tuple[Let, ...]) -> Segment:
    return Segment(
        segment.mode, segment.body, segment.count, segment.group, segment.block, segment.grid, lets
    )


def _needed(body: Sequence[Stmt], lets: Sequence[Let]) -> tuple[Let, ...]:
    """The lets that statements use, directly or through others, in order."""
    by_name = {let.ref.name: let for let in lets}
    names = {e.name for e in exprs_in(body) if isinstance(e, Ref)}
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in found:
            found.add(name)
            inner = exprs_in((by_name[name],))
            waiting += [e.name for e in inner if isinstance(e, Ref)]
    return tuple(let for let in lets if let.ref.name in found)


def _chunked(segment: Segment, sizes: Sizes) -> list[Segment]:
    """Long sums of a segment in two launches: chunks by many blocks, then what they add up to."""
    found = []
    for stmt in segment.body:
        if isinstance(stmt, Loop) and is_long_sum(stmt, sizes):
            count = -(-sizes.trips(stmt) // CHUNK)
            lets = _needed(
                (stmt,), [*segment.lets, *(s for s in segment.body if isinstance(s, Let))]
            )
            found.append(Segment(CHUNKS, (stmt,), count, BLOCK_THREADS, BLOCK_THREADS, count, lets))
    return [*found, segment]


def is_long_sum(loop: Loop, sizes: Sizes) -> bool:
    """Whether a reduction is cut in chunks."""
    return (
        loop.kind != PARALLEL
        and loop.lanes
        and sizes.is_fixed(loop)
        and sizes.trips(loop) >= LONG_SUM
        and set(updated(loop)) == set(loop.accumulators)
        and all(is_direct(loop, a) for a in loop.accumulators)
    )


__all__ = ["Check", "Segment", "map_kernel"]
