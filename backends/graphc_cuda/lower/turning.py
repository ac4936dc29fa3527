"""Reads and writes that jump with the innermost axis, through tiles in shared memory.

    parallel i < m                parallel tile i, j
      parallel j < n                scratch tile f32[64 * 33]
        y[i, j] = f(x[j, i])  ->    parallel p < 2048     i fast: x is read along its rows
                                      tile[.., ..] = x[j, i]
                                    parallel p < 2048     j fast: y is written along its rows
                                      y[i, j] = f(tile[.., ..])

A kernel of the loop level becomes another one with the same bits; a block works on a tile. What is
written along columns goes through a tile of its own in the same way, the other way round. Rows of
a tile are padded by one element, so that a warp never meets a bank twice.

Cost: each element is read and written once, in runs of 32 elements and more: bytes / 4.8 TB/s,
where single elements 32 bytes apart would take eight times as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.dims import evaluate
from graphc.ir.loops.contraction.index import Affine, Substitution, flat_offset
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Axis,
    Buffer,
    Check,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Scratch,
    Stmt,
    Store,
    all_of,
    const,
    exprs_in,
    index,
)
from graphc_cuda.contract.find import find_contraction
from graphc_cuda.lower.rewriting import Names, loaded, parallel_nest, stored
from graphc_cuda.lower.sizes import Sizes, is_separable

MIN_POINTS = 1 << 16  # that are worth a barrier
MIN_STRIDE = 8  # elements from which on neighbours are not read together
DEEP, WIDE = 32, 64  # of a tile: elements that are read, and written, beside each other
PITCH = DEEP + 1
TILE_BYTES = 40 * 1024  # of shared memory


def turn_tiles(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with tiles where it would read along columns."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    lets = [s for s in kernel.body if isinstance(s, Let)]
    body: list[Stmt] = []
    for stmt in kernel.body:
        found = _find(stmt, sizes, aliased) if isinstance(stmt, Loop) else None
        if found is None or find_contraction((*lets, stmt), dims) is not None:
            body.append(stmt)
        else:
            body.append(_turned(found, names))
    changed = any(new is not old for new, old in zip(body, kernel.body))
    return replace(kernel, body=tuple(body)) if changed else kernel


# ------------------------------------------------------------------ finding


@dataclass(frozen=True)
class _Turn:
    """`loads` and `stores` jump with the loop `inner` and move by one with the loop `outer`."""

    loops: Sequence[Loop]
    body: tuple[Stmt, ...]
    inner: Loop
    outer: Loop
    loads: tuple[Load, ...]
    stores: tuple[Store, ...]
    extents: tuple[int, int]  # of inner and outer


def _find(nest: Loop, sizes: Sizes, aliased: frozenset[Buffer]) -> _Turn | None:
    if nest.kind != PARALLEL:
        return None
    loops, body, lets = sizes.nest(nest)
    whole = (*lets, *body)
    if len(loops) < 2 or prod(sizes.trips(each) for each in loops) < MIN_POINTS:
        return None
    if any(not isinstance(s, (Let, Check, Store)) for s in whole):
        return None
    inner = loops[-1]
    loads = _turned_loads(whole, loops, sizes, aliased)
    stores = _turned_stores(whole, loops, sizes, aliased)
    outer = next(iter((*loads.values(), *stores.values())), None)
    straight = [s for s in whole if isinstance(s, Store) and stores.get(s) is not outer]
    if outer is None or any(_jump(s, inner, sizes) != 1 for s in straight):
        return None
    chosen = tuple(load for load, loop in loads.items() if loop is outer)
    written = tuple(store for store, loop in stores.items() if loop is outer)
    dtypes = [x.dtype for x in chosen] + [s.buffer.dtype for s in written]
    nbytes = sum(max(1, dtype.itemsize) for dtype in dtypes) * WIDE * PITCH
    extents = sizes.trips(inner), sizes.trips(outer)
    if nbytes > TILE_BYTES or min(extents) < MIN_STRIDE:
        return None
    if not straight and not _reads_along(whole, inner, sizes):
        return None
    return _Turn(loops, whole, inner, outer, chosen, written, extents)


def _turned_loads(
    whole: Sequence[Stmt], loops: Sequence[Loop], sizes: Sizes, aliased: frozenset[Buffer]
) -> dict[Load, Loop]:
    """What is read along columns of memory that the nest does not write, and along which loop."""
    taboo = stored(whole) | (aliased if stored(whole) & aliased else frozenset())
    reads = [e for e in exprs_in(whole) if isinstance(e, Load) and e.buffer not in taboo]
    found = {load: _along(load, loops, sizes) for load in reads}
    return {load: loop for load, loop in found.items() if loop is not None}


def _turned_stores(
    whole: Sequence[Stmt], loops: Sequence[Loop], sizes: Sizes, aliased: frozenset[Buffer]
) -> dict[Store, Loop]:
    """What is written along columns of memory that the nest does nothing else with."""
    stores = [s for s in whole if isinstance(s, Store)]
    once = {s.buffer for s in stores if sum(s.buffer is x.buffer for x in stores) == 1}
    free = once - aliased - loaded(whole)
    found = {store: _along(store, loops, sizes) for store in stores if store.buffer in free}
    return {store: loop for store, loop in found.items() if loop is not None}


def _reads_along(whole: Sequence[Stmt], inner: Loop, sizes: Sizes) -> bool:
    """Whether anything is read along rows, so that the loops are not just the other way round."""
    reads = (e for e in exprs_in(whole) if isinstance(e, Load))
    return any(_jump(load, inner, sizes) == 1 for load in reads)


def _step(offset: Affine, loop: Loop, sizes: Sizes) -> int:
    """How far an access moves with a loop."""
    return evaluate(offset.coefficient(loop.axis), sizes.dims)


def _jump(access: Load | Store, inner: Loop, sizes: Sizes) -> int:
    """How far neighbouring threads would be from each other."""
    return _step(flat_offset(access.buffer, access.index), inner, sizes)


def _along(access: Load | Store, loops: Sequence[Loop], sizes: Sizes) -> Loop | None:
    """The loop along which an access that jumps with the innermost one moves by one."""
    offset = flat_offset(access.buffer, access.index)
    jumps = abs(_step(offset, loops[-1], sizes)) >= MIN_STRIDE
    if access.where is not None or offset.others or not jumps:
        return None
    return next((loop for loop in loops[:-1] if _step(offset, loop, sizes) == 1), None)


# ------------------------------------------------------------------ turning


class _WithTiles(Substitution):
    """Replaces axes; what is read from a tile and written to one has its place there."""

    def __init__(
        self,
        axes: Mapping[Axis, Expr],
        reads: Mapping[Load, Buffer],
        writes: Mapping[Store, Buffer],
        at: Expr,
    ) -> None:
        super().__init__(axes=axes)
        self.reads, self.writes, self.place = reads, writes, at

    def _rewrite(self, expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr in self.reads:
            return Load(expr.dtype, self.reads[expr], (self.place,))
        return super()._rewrite(expr)

    def statement(self, stmt: Stmt) -> Stmt:
        """The statement with what it reads and writes replaced."""
        if isinstance(stmt, Store) and stmt in self.writes:
            return Store(self.writes[stmt], (self.place,), self(stmt.value))
        return super().statement(stmt)


def _turned(turn: _Turn, names: Names) -> Loop:
    """Tiles of both axes; in each, what is read along columns, the rest, what is written so."""
    e = ExprEmitter()

    def tile(buffer: Buffer) -> Buffer:
        return Buffer(names.new(f"{buffer.name}_tile"), buffer.dtype, (WIDE * PITCH,))

    reads = {load: tile(load.buffer) for load in turn.loads}
    writes = {store: tile(store.buffer) for store in turn.stores}
    numbers = Axis(f"{turn.outer.axis.name}_tile"), Axis(f"{turn.inner.axis.name}_tile")
    outer, inner = (e.times(index(n), size) for n, size in zip(numbers, (DEEP, WIDE)))
    phases: list[Stmt] = []
    if reads:
        first = _Share(e, turn, (inner, outer), Axis("p"), along_columns=True)
        fill = Substitution(axes=first.axes)
        phases.append(first.loop([Store(t, (first.place,), fill(x)) for x, t in reads.items()]))
    rest = _Share(e, turn, (inner, outer), Axis("q"), along_columns=False)
    use = _WithTiles(rest.axes, reads, writes, rest.place)
    phases.append(rest.loop([use.statement(s) for s in turn.body]))
    if writes:
        last = _Share(e, turn, (inner, outer), Axis("r"), along_columns=True)
        drain = Substitution(axes=last.axes)
        phases.append(last.loop([_drained(s, t, drain, last.place) for s, t in writes.items()]))
    counts = -(-turn.extents[1] // DEEP), -(-turn.extents[0] // WIDE)
    kept = [loop for loop in turn.loops if loop is not turn.inner and loop is not turn.outer]
    tiles = [Loop(n, const(c), PARALLEL, ()) for n, c in zip(numbers, counts)]
    scratch = [Scratch(t) for t in (*reads.values(), *writes.values())]
    return parallel_nest([*kept, *tiles], [*scratch, *phases])


def _drained(store: Store, tile: Buffer, drain: Substitution, place: Expr) -> Store:
    """The store of what a tile holds."""
    at = tuple(drain(x) for x in store.index)
    return Store(store.buffer, at, Load(tile.dtype, tile, (place,)))


class _Share:
    """A loop over the points of a tile, and the axes of the nest in it.

    Neighbouring iterations are neighbours along the outer axis, or along the inner one.
    """

    def __init__(
        self,
        e: ExprEmitter,
        turn: _Turn,
        first: tuple[Expr, Expr],
        axis: Axis,
        *,
        along_columns: bool,
    ) -> None:
        self.e, self.turn, self.axis = e, turn, axis
        fast = DEEP if along_columns else WIDE
        slow, quick = e.over(index(axis), fast), e.modulo(index(axis), fast)
        wide, deep = (slow, quick) if along_columns else (quick, slow)
        self.place = e.add(e.times(wide, PITCH), deep)
        self.axes: dict[Axis, Expr] = {
            turn.inner.axis: e.add(first[0], wide),
            turn.outer.axis: e.add(first[1], deep),
        }

    def loop(self, body: Sequence[Stmt]) -> Loop:
        """The loop, which leaves out what is beyond the ends."""
        inside = _inside(self.e, self.turn, self.axes)
        if inside is not None:
            once = self.e.apply("select", inside, const(1), const(0))
            body = [Loop(Axis("once"), once, SEQUENTIAL, tuple(body))]
        return Loop(self.axis, const(WIDE * DEEP), PARALLEL, tuple(body), (), True)


def _inside(e: ExprEmitter, turn: _Turn, axes: Mapping[Axis, Expr]) -> Expr | None:
    """Whether a point of a tile is one of the nest; None where all are."""
    found = [
        e.apply("lt", axes[loop.axis], const(extent))
        for loop, extent, size in zip((turn.inner, turn.outer), turn.extents, (WIDE, DEEP))
        if extent % size
    ]
    return all_of(found)
