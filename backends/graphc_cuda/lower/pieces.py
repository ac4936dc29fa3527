"""Few results of long chains: pieces of every chain in parallel, then their merge in order.

    parallel i < 512                      parallel piece < 16
      sequential j < 4096; sum: sum         parallel i < 512
        sum sum= x[j, i]             ->       sequential j < 256; sum_piece: sum
      y[i] = f(sum)                             sum_piece sum= x[piece * 256 + j, i]
                                              sum_parts[piece, i] = sum_piece
                                          parallel i < 512
                                            sequential piece < 16; sum: sum
                                              sum sum= sum_parts[piece, i]
                                            y[i] = f(sum)

A kernel of the loop level becomes another one with the same bits. A piece is a block of steps,
which the loop level sums by itself; any number of steps where the grouping changes no bit; one
iteration of a loop around loops; or a block of one of the sixteen lanes.

Cost: a thread takes 256 steps instead of all; what is handed on is a 256th of what is read (a
sixteenth where iterations are pieces), written and read once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.loops.accumulators import is_blocked, is_direct, loops_in, updated
from graphc.ir.loops.combine import DOT, SUM
from graphc.ir.loops.contraction.index import Substitution
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Const,
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
    walk,
)
from graphc_cuda.contract.find import find_contraction
from graphc_cuda.lower.rewriting import (
    Names,
    loaded,
    needed,
    parallel_nest,
    rewritten,
    stored,
)
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable

FREE_STEPS = 64  # of a piece where the grouping changes no bit
LONG = 2  # pieces from which on a chain is cut
MIN_STEPS = 256  # of a chain of iterations that is worth another launch
HEAVY = 16  # steps of an iteration that is a piece
ROW_BLOCK = 256  # threads that work on a long row
STAGE_BYTES = 32 * 1024  # of shared memory
LIGHT = 64  # steps in front of a chain that every piece may take again
EXACT = ("sum", "prod")  # blocks of them start with an identity that changes no bit


def cut_chains(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with every chain cut that keeps few threads busy for long."""
    if not is_separable(kernel):
        return kernel
    while True:
        found = _first_cut(kernel, Sizes(kernel, dims), aliased)
        if found is None:
            return kernel
        kernel = found


def _first_cut(kernel: Kernel, sizes: Sizes, aliased: frozenset[Buffer]) -> Kernel | None:
    lets = [s for s in kernel.body if isinstance(s, Let)]
    for position, stmt in enumerate(kernel.body):
        if not isinstance(stmt, Loop) or stmt.kind != PARALLEL:
            continue
        chain = _find_chain(stmt, sizes, aliased)
        if chain is None or find_contraction((*lets, stmt), sizes.dims) is not None:
            continue
        cut = _Cut(chain, Names(kernel), sizes).statements()
        scratch = [s for s in cut if isinstance(s, Scratch)]
        loops = [s for s in cut if not isinstance(s, Scratch)]
        body = (*scratch, *kernel.body[:position], *loops, *kernel.body[position + 1 :])
        return replace(kernel, body=body)
    return None


# ------------------------------------------------------------------ finding


@dataclass(frozen=True)
class _Chain:
    """A loop to cut, in a nest; `steps` of a piece, or 0 where iterations are the pieces."""

    loops: Sequence[Loop]
    front: tuple[Stmt, ...]
    loop: Loop
    after: tuple[Stmt, ...]
    steps: int


def _find_chain(nest: Loop, sizes: Sizes, aliased: frozenset[Buffer]) -> _Chain | None:
    loops, body, lets = sizes.nest(nest)
    count = prod(sizes.trips(each) for each in loops)
    if not 0 < count < BUSY_THREADS or any(isinstance(s, Scratch) for s in body):
        return None
    if any(each.kind == PARALLEL for each in loops_in(body)) and not _is_row(body):
        return None
    whole = (*lets, *body)
    for position, loop in enumerate(whole):
        if not isinstance(loop, Loop) or loop.kind == PARALLEL:
            continue
        chain = _Chain(loops, whole[:position], loop, whole[position + 1 :], _steps(loop, sizes))
        if loop.lanes and count * ROW_BLOCK >= BUSY_THREADS:
            return None
        if chain.steps >= 0 and _is_free(chain, sizes, aliased):
            return chain
        if stored((loop,)):
            return None
    return None


def _is_row(body: Sequence[Stmt]) -> bool:
    return any(isinstance(s, Loop) and s.lanes and s.kind != PARALLEL for s in body)


def _steps(loop: Loop, sizes: Sizes) -> int:
    """The steps of a piece, 0 where each iteration is one; -1 where the loop stays whole."""
    own = loop.accumulators
    inner = loops_in(loop.body)
    if not own or set(updated(loop)) != set(own) or any(a.combine.carried for a in own):
        return -1
    if not all(is_direct(loop, a) for a in own) or any(s.lanes for s in inner):
        return -1
    trips = sizes.trips(loop)
    if loop.lanes:
        size = BLOCK * LANES
        fits = LONG * size <= trips <= BLOCK * size and sizes.is_fixed(loop) and not inner
        fits = fits and _stage_bytes(own) * size <= STAGE_BYTES
        return BLOCK if fits and all(map(_is_cuttable, own)) else -1
    if inner:
        weight = sizes.points(loop.body)
        return 0 if weight >= HEAVY and trips >= LONG and weight * trips >= MIN_STEPS else -1
    if not all(map(_is_cuttable, own)):
        return -1
    steps = BLOCK if any(map(is_blocked, own)) else FREE_STEPS
    fits = steps == FREE_STEPS or trips <= BLOCK * BLOCK
    return steps if fits and trips >= LONG * steps else -1


def _stage_bytes(accumulators: Sequence[Accumulator]) -> int:
    return sum(max(1, r.dtype.itemsize) for a in accumulators for r in a.refs)


def _is_cuttable(accumulator: Accumulator) -> bool:
    """Whether merging its pieces gives the bits of the whole."""
    name = accumulator.combine.name
    floats = any(r.dtype.is_float for r in accumulator.refs)
    return not floats or (name != "dot" and (not is_blocked(accumulator) or name in EXACT))


def _is_free(chain: _Chain, sizes: Sizes, aliased: frozenset[Buffer]) -> bool:
    """Whether pieces may run in any order, in front of all that follows."""
    front = needed(chain.loop.body, chain.front, chain.loop.extent)
    if stored(chain.front) or sizes.points([s for s in front if isinstance(s, Loop)]) > LIGHT:
        return False
    writes = stored((chain.loop,)) - {
        s.buffer for s in walk((chain.loop,)) if isinstance(s, Scratch)
    }
    if not writes:
        return True
    return not writes & (aliased | loaded((*chain.front, chain.loop))) and not loaded(chain.front)


# ------------------------------------------------------------------ cutting


class _Cut:
    """The statements that a nest with a long chain becomes."""

    def __init__(self, chain: _Chain, names: Names, sizes: Sizes) -> None:
        self.chain, self.names, self.sizes = chain, names, sizes
        self.trips = sizes.trips(chain.loop)
        self.points = [index(each.axis) for each in chain.loops]
        self.extents = tuple(sizes.trips(each) for each in chain.loops)
        self.scratch: list[Stmt] = []
        self.stage: list[Stmt] = []

    def statements(self) -> list[Stmt]:
        """Scratch, the pieces, what is left."""
        if self.chain.loop.lanes:
            first, merge = self._lanes()
        elif self.chain.steps:
            first, merge = self._blocks()
        else:
            first, merge = self._iterations()
        chain = self.chain
        last = parallel_nest(chain.loops, (*chain.front, *merge, *chain.after))
        return [*self.scratch, first, last]

    def _parts(self, name: str, like: Expr, leading: tuple[int, ...]) -> Buffer:
        """Memory for a value of every piece of every point."""
        buffer = Buffer(self.names.new(f"{name}_parts"), like.dtype, (*leading, *self.extents))
        self.scratch.append(Scratch(buffer))
        return buffer

    def _nest(self, outer: Sequence[Loop], body: Sequence[Stmt]) -> Loop:
        """The pieces: outermost, so that neighbouring threads stay neighbours."""
        chain = self.chain
        front = needed(body, chain.front, chain.loop.extent)
        return parallel_nest([*outer, *chain.loops], (*front, *body))

    # -- iterations ---------------------------------------------------------------

    def _iterations(self) -> tuple[Loop, list[Stmt]]:
        """Each iteration computes what it accumulates; then they are merged.

        Pieces have an axis of their own: loops in front may go along the one of the chain.
        """
        loop, piece = self.chain.loop, Axis(self.chain.loop.axis.name)
        at, again = ((index(axis), *self.points) for axis in (piece, loop.axis))
        kept: dict[Accumulator, tuple[Expr, ...]] = {}

        def keep(stmt: Accumulate) -> list[Stmt]:
            if stmt.accumulator not in loop.accumulators:
                return [stmt]
            refs = stmt.accumulator.refs
            puts, gets = list[Stmt](), list[Expr]()
            for number, value in enumerate(stmt.values):
                if isinstance(value, Const):
                    gets.append(value)
                    continue
                parts = self._parts(refs[min(number, len(refs) - 1)].name, value, (self.trips,))
                puts.append(Store(parts, at, value))
                gets.append(Load(value.dtype, parts, again))
            kept[stmt.accumulator] = tuple(gets)
            return puts

        moved = Substitution(axes={loop.axis: index(piece)})
        body: tuple[Stmt, ...] = rewritten(loop.body, moved, keep)
        if not self.sizes.is_fixed(loop):
            body = (self._if_inside(piece, loop.extent, body),)
        outer = Loop(piece, const(self.trips), PARALLEL, ())
        merge = tuple(Accumulate(a, kept[a]) for a in loop.accumulators)
        last = Loop(loop.axis, loop.extent, SEQUENTIAL, merge, loop.accumulators)
        return self._nest([outer], body), [last]

    def _if_inside(self, axis: Axis, extent: Expr, body: tuple[Stmt, ...]) -> Loop:
        """A loop of one iteration, or of none beyond the end."""
        e = ExprEmitter()
        inside = e.apply("lt", index(axis), extent)
        once = e.apply("select", inside, const(1), const(0))
        return Loop(Axis("once"), once, SEQUENTIAL, body)

    # -- blocks -------------------------------------------------------------------

    def _blocks(self) -> tuple[Loop, list[Stmt]]:
        """Each block of steps has accumulators of its own."""
        loop, steps = self.chain.loop, self.chain.steps
        count = -(-self.trips // steps)
        piece, step = Axis("piece"), Axis(loop.axis.name)
        e = ExprEmitter()
        begin = e.times(index(piece), steps)
        left = e.sub(loop.extent, begin)
        even = self.sizes.is_fixed(loop) and self.trips % steps == 0
        extent = const(steps) if even else _smaller(e, left, const(steps))
        own = {a: self._own(a) for a in loop.accumulators}
        shift = Substitution(axes={loop.axis: e.add(begin, index(step))})
        body = rewritten(loop.body, shift, lambda s: [_moved(s, own)])
        inner = Loop(step, extent, SEQUENTIAL, body, tuple(own.values()))
        at = (index(piece), *self.points)
        parts = {a: [self._parts(r.name, r, (count,)) for r in a.refs] for a in own}
        first = self._nest(
            [Loop(piece, const(count), PARALLEL, ())], (inner, *_puts(own, parts, at))
        )
        total = tuple(map(_total, loop.accumulators))
        merge = Loop(piece, const(count), SEQUENTIAL, _merges(total, parts, at), total)
        return first, [merge]

    def _own(self, accumulator: Accumulator) -> Accumulator:
        refs = tuple(Ref(r.dtype, self.names.new(f"{r.name}_piece")) for r in accumulator.refs)
        return Accumulator(accumulator.combine, refs)

    # -- lanes --------------------------------------------------------------------

    def _lanes(self) -> tuple[Loop, list[Stmt]]:
        """A block of every lane: all its elements on a stage, then each lane takes its own."""
        loop, size = self.chain.loop, BLOCK * LANES
        count = -(-self.trips // size)
        piece, step, lane = Axis("piece"), Axis(loop.axis.name), Axis("lane")
        e = ExprEmitter()
        begin = e.times(index(piece), size)
        left = e.sub(loop.extent, begin)
        even = self.trips % size == 0
        extent = const(size) if even else _smaller(e, left, const(size))
        stages, fill = self._staged(Substitution(axes={loop.axis: e.add(begin, index(step))}), step)
        own = {a: self._own(a) for a in loop.accumulators}
        turn = Axis("turn")
        at = e.add(e.times(index(turn), LANES), index(lane))
        takes = tuple(Accumulate(own[a], stages(a, at)) for a in own)
        steps = e.over(e.sub(e.plus(extent, LANES - 1), index(lane)), LANES)
        chain = Loop(turn, steps, SEQUENTIAL, takes, tuple(own.values()))
        self.extents = (*self.extents, LANES)
        parts = {a: [self._parts(r.name, r, (count,)) for r in a.refs] for a in own}
        puts = _puts(own, parts, (index(piece), *self.points, index(lane)))
        body = [
            *self.stage, Loop(step, extent, PARALLEL, fill, (), True),
            Loop(lane, const(LANES), PARALLEL, (chain, *puts), (), True),
        ]  # fmt: skip
        first = self._nest([Loop(piece, const(count), PARALLEL, ())], body)
        # sixteen neighbours are a block of every lane, so that lanes merge their own
        part = Axis("part")
        here = (e.over(index(part), LANES), *self.points, e.modulo(index(part), LANES))
        total = tuple(map(_total, loop.accumulators))
        merges = _merges(total, parts, here)
        own_parts = const(count * LANES)
        return first, [Loop(part, own_parts, SEQUENTIAL, merges, total, True)]

    def _staged(
        self, shift: Substitution, step: Axis
    ) -> tuple[Callable[[Accumulator, Expr], tuple[Expr, ...]], tuple[Stmt, ...]]:
        """How to read what an element accumulates, and the statements that put it on a stage."""
        kept: dict[Accumulator, list[Buffer | Expr]] = {}

        def keep(stmt: Accumulate) -> list[Stmt]:
            found = kept.setdefault(stmt.accumulator, [])
            puts: list[Stmt] = []
            for value in stmt.values:
                if isinstance(value, Const):
                    found.append(value)
                    continue
                name = self.names.new(f"{stmt.accumulator.refs[0].name}_stage")
                stage = Buffer(name, value.dtype, (BLOCK * LANES,))
                self.stage.append(Scratch(stage))
                puts.append(Store(stage, (index(step),), value))
                found.append(stage)
            return puts

        def read(accumulator: Accumulator, at: Expr) -> tuple[Expr, ...]:
            return tuple(
                Load(x.dtype, x, (at,)) if isinstance(x, Buffer) else x for x in kept[accumulator]
            )

        return read, rewritten(self.chain.loop.body, shift, keep)


def _smaller(e: ExprEmitter, x: Expr, y: Expr) -> Expr:
    return e.apply("select", e.apply("lt", x, y), x, y)


def _moved(stmt: Accumulate, own: Mapping[Accumulator, Accumulator]) -> Stmt:
    return Accumulate(own.get(stmt.accumulator, stmt.accumulator), stmt.values)


def _total(accumulator: Accumulator) -> Accumulator:
    """What takes the pieces: those of a sum of products are added."""
    if accumulator.combine is DOT:
        return Accumulator(SUM, accumulator.refs)
    return accumulator


def _puts(
    own: Mapping[Accumulator, Accumulator],
    parts: Mapping[Accumulator, Sequence[Buffer]],
    at: tuple[Expr, ...],
) -> list[Stmt]:
    return [Store(b, at, r) for a in own for b, r in zip(parts[a], own[a].refs)]


def _merges(
    total: Sequence[Accumulator],
    parts: Mapping[Accumulator, Sequence[Buffer]],
    at: tuple[Expr, ...],
) -> tuple[Stmt, ...]:
    return tuple(
        Accumulate(a, tuple(Load(b.dtype, b, at) for b in buffers))
        for a, buffers in zip(total, parts.values())
    )
