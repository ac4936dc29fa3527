"""Contractions of few results and many steps: the sum in pieces, each with tiles of its own.

    parallel i < 144                      parallel piece < 32
      parallel j < 16                       parallel i < 144
        sequential k < 32768; sum: dot        parallel j < 16
          sum dot= x[k, i], y[k, j]   ->        sequential k < 1024; sum_piece: dot
        w[i, j] = f(sum)                          sum_piece dot= x[piece * 1024 + k, i], ...
                                                sum_parts[piece, i, j] = sum_piece
                                          parallel i < 144
                                            parallel j < 16
                                              sequential piece < 32; sum: sum
                                                sum sum= sum_parts[piece, i, j]
                                              w[i, j] = f(sum)

A kernel of the loop level becomes another one in which these sums have another order: each piece
is an ascending chain, and the pieces are added in ascending order. The shape alone decides.
Pieces are equally long: iterations of the outermost loops, and an equal share of the next one's.

Cost: every piece of every result is written and read once, and there is one launch more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.loops.combine import SUM
from graphc.ir.loops.contraction.index import Substitution
from graphc.ir.loops.contraction.match import recognise
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    const,
    index,
)
from graphc_cuda.contract import shape
from graphc_cuda.contract.find import TiledContraction, find_contraction
from graphc_cuda.contract.low import HELD
from graphc_cuda.lower.rewriting import Names, needed, parallel_nest, rewritten
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable

MOST_PIECES = 256  # a block of the loop level: pieces are added in one ascending chain
MIN_STEPS = 512  # of a chain that is worth being split
MIN_PIECE = 32  # steps
GAIN = 1.25  # at least, by an estimate that may be wrong
LAUNCH_CYCLES = 4500.0  # between two launches that wait for each other
MERGE_CYCLES = 60.0  # of a step of the chain that adds the pieces
LOOSE_CYCLES = 30.0  # of a step of a chain that one thread takes from memory
MOST_PARTS = 1 << 23  # values that wait to be added: they stay in the cache of a large GPU
MEMORY_BYTES_PER_CYCLE = 2800.0  # of all multiprocessors together


def split_sums(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with every contraction split whose tiles leave most of a GPU idle."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    lets = tuple(s for s in kernel.body if isinstance(s, Let))
    scratch, body = list[Stmt](), list[Stmt]()
    for stmt in kernel.body:
        split = _split(stmt, lets, sizes, names) if isinstance(stmt, Loop) else None
        scratch += split[:1] if split else ()
        body += split[1:] if split else (stmt,)
    return replace(kernel, body=(*scratch, *body)) if scratch else kernel


def _split(nest: Loop, lets: tuple[Let, ...], sizes: Sizes, names: Names) -> tuple[Stmt, ...]:
    """Scratch, the pieces and their sum; nothing where the nest stays whole."""
    if nest.kind != PARALLEL or recognise((*lets, nest), sizes.dims) is None:
        return ()
    loops, body, front = sizes.nest(nest)
    chain = next((s for s in body if isinstance(s, Loop)), None)
    if chain is None:
        return ()
    steps = list(_reduction(chain))
    trips = [sizes.trips(each) for each in steps]
    if prod(trips) < MIN_STEPS or not all(map(sizes.is_fixed, steps)):
        return ()
    found = find_contraction((*lets, nest), sizes.dims)
    points = prod(sizes.trips(each) for each in loops)
    pieces = _choose_pieces(trips, found, points)
    if pieces is None:
        return ()
    at = body.index(chain)
    parts = _Parts(loops, (*front, *body[:at]), chain, tuple(body[at + 1 :]), pieces)
    return parts.statements(sizes, names)


def _reduction(chain: Loop) -> Iterator[Loop]:
    """The loops of a chain from the outermost one on."""
    inner: Loop | None = chain
    while inner is not None:
        yield inner
        inner = next((s for s in inner.body if isinstance(s, Loop)), None)


# ------------------------------------------------------------------ how many


@dataclass(frozen=True)
class Pieces:
    """The first `whole` loops of a chain are iterations of pieces, and `shares` of the next."""

    whole: int
    shares: int
    count: int


def _choose_pieces(
    trips: Sequence[int], found: TiledContraction | None, points: int
) -> Pieces | None:
    """The cheapest way to split; None where the whole is not much worse."""
    steps = prod(trips)
    now = _chain_cycles(found, points, steps, 1)
    best, least = None, now / GAIN
    for pieces in _ways(trips):
        if points * pieces.count > MOST_PARTS:
            break
        merge = MERGE_CYCLES * pieces.count + 8.0 * points * pieces.count / MEMORY_BYTES_PER_CYCLE
        cost = _chain_cycles(found, points, steps, pieces.count) + merge + LAUNCH_CYCLES
        if cost < least:
            best, least = pieces, cost
    return best


def _ways(trips: Sequence[int]) -> Iterator[Pieces]:
    """All ways into equal pieces, by their number."""
    steps, before = prod(trips), 1
    for whole, trip in enumerate(trips):
        for shares in range(2, trip + 1):
            count = before * shares
            if count > MOST_PIECES or steps < MIN_PIECE * count:
                return
            if trip % shares == 0:
                yield Pieces(whole, shares, count)
        before *= trip


def _chain_cycles(found: TiledContraction | None, points: int, steps: int, pieces: int) -> float:
    """How long the chains take, with so many pieces side by side."""
    if found is None:
        return LOOSE_CYCLES * steps / pieces * max(1.0, points * pieces / BUSY_THREADS)
    whole = found.sizes
    sizes = replace(whole, batch=whole.batch * pieces, steps=steps // pieces)
    if not found.kind:
        return shape.cycles(shape.choose_tile(sizes, found.dtype), sizes, found.dtype)
    held = HELD[found.kind]
    return shape.matrix_cycles(shape.choose_matrix_tile(sizes, held), sizes, held)


# ------------------------------------------------------------------ rewriting


@dataclass(frozen=True)
class _Parts:
    """A nest around a chain, with what stands in front of the chain and what follows it."""

    loops: Sequence[Loop]
    front: tuple[Stmt, ...]
    chain: Loop
    after: tuple[Stmt, ...]
    pieces: Pieces

    def statements(self, sizes: Sizes, names: Names) -> tuple[Stmt, ...]:
        """Scratch, the pieces, what adds them."""
        (accumulator,), count = self.chain.accumulators, self.pieces.count
        (total,) = accumulator.refs
        extents = [sizes.trips(each) for each in self.loops]
        parts = Buffer(names.new(f"{total.name}_parts"), total.dtype, (count, *extents))
        own = Accumulator(
            accumulator.combine, (Ref(total.dtype, names.new(f"{total.name}_piece")),)
        )
        points = [index(each.axis) for each in self.loops]
        outer, number, body = self._piece(sizes, own)
        body = (*body, Store(parts, (number, *points), own.refs[0]))
        front = needed(body, self.front)
        first = parallel_nest([*outer, *self.loops], (*front, *body))
        piece = Axis("piece")
        summed = Accumulator(SUM, accumulator.refs)
        part = Load(total.dtype, parts, (index(piece), *points))
        merge = Loop(piece, const(count), SEQUENTIAL, (Accumulate(summed, (part,)),), (summed,))
        last = parallel_nest(self.loops, (*self.front, merge, *self.after))
        return Scratch(parts), first, last

    def _piece(self, sizes: Sizes, own: Accumulator) -> tuple[list[Loop], Expr, tuple[Stmt, ...]]:
        """The loops over pieces, the number of one, and the statements that sum it."""
        e = ExprEmitter()
        chain = list(_reduction(self.chain))
        whole, shared = chain[: self.pieces.whole], chain[self.pieces.whole]
        trips, shares = sizes.trips(shared), self.pieces.shares
        piece, step = Axis("piece"), Axis(shared.axis.name)
        counts = [(each.axis, sizes.trips(each)) for each in whole]
        outer = list[Loop]()
        number: Expr = const(0)
        for axis, count in [*counts, (piece, shares)]:
            outer.append(Loop(axis, const(count), PARALLEL, ()))
            number = e.add(e.times(number, count), index(axis))
        length = trips // shares
        shift = Substitution(axes={shared.axis: e.add(e.times(index(piece), length), index(step))})
        body = rewritten(shared.body, shift, lambda s: [Accumulate(own, s.values)])
        inner = Loop(step, const(length), SEQUENTIAL, body, (own,))
        lets = [s for each in whole for s in each.body if not isinstance(s, Loop)]
        return outer, number, (*lets, inner)
