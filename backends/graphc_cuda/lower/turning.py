"""Reads that jump with the innermost axis, through tiles in shared memory.

    parallel i < m                parallel tile i, j
      parallel j < n                scratch tile f32[64 * 33]
        y[i, j] = f(x[j, i])  ->    parallel p < 2048     i fast: x is read along its rows
                                      tile[.., ..] = x[j, i]
                                    parallel p < 2048     j fast: y is written along its rows
                                      y[i, j] = f(tile[.., ..])

A kernel of the loop level becomes another one with the same bits; a block works on a tile.
Rows of a tile are padded by one element, so that a warp never meets a bank twice.

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
from graphc_cuda.lower.rewriting import Names, parallel_nest, stored
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
    """`loads` jump with the loop `inner` and move by one with the loop `outer`."""

    loops: Sequence[Loop]
    body: tuple[Stmt, ...]
    inner: Loop
    outer: Loop
    loads: tuple[Load, ...]
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
    stores = [s for s in whole if isinstance(s, Store)]
    if any(_step(flat_offset(s.buffer, s.index), inner, sizes) != 1 for s in stores):
        return None
    taboo = stored(whole) | (aliased if stored(whole) & aliased else frozenset())
    loads = [e for e in exprs_in(whole) if isinstance(e, Load) and e.buffer not in taboo]
    found = {load: _along(load, inner, loops[:-1], sizes) for load in loads}
    outer = next((loop for loop in found.values() if loop is not None), None)
    if outer is None:
        return None
    chosen = tuple(load for load, loop in found.items() if loop is outer)
    nbytes = sum(max(1, x.dtype.itemsize) for x in chosen) * WIDE * PITCH
    extents = sizes.trips(inner), sizes.trips(outer)
    if nbytes > TILE_BYTES or min(extents) < MIN_STRIDE:
        return None
    return _Turn(loops, whole, inner, outer, chosen, extents)


def _step(offset: Affine, loop: Loop, sizes: Sizes) -> int:
    """How far an access moves with a loop."""
    return evaluate(offset.coefficient(loop.axis), sizes.dims)


def _along(load: Load, inner: Loop, others: Sequence[Loop], sizes: Sizes) -> Loop | None:
    """The loop along which a read that jumps with the innermost axis moves by one."""
    offset = flat_offset(load.buffer, load.index)
    if load.where is not None or offset.others or abs(_step(offset, inner, sizes)) < MIN_STRIDE:
        return None
    return next((loop for loop in others if _step(offset, loop, sizes) == 1), None)


# ------------------------------------------------------------------ turning


class _FromTile(Substitution):
    """Replaces axes, and what is in a tile by what the tile holds."""

    def __init__(self, axes: Mapping[Axis, Expr], tiles: Mapping[Load, Buffer], at: Expr) -> None:
        super().__init__(axes=axes)
        self.tiles, self.place = tiles, at

    def _rewrite(self, expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr in self.tiles:
            return Load(expr.dtype, self.tiles[expr], (self.place,))
        return super()._rewrite(expr)


def _turned(turn: _Turn, names: Names) -> Loop:
    """Tiles of both axes; in each, the reads and then the rest."""
    e = ExprEmitter()
    tiles = {
        load: Buffer(names.new(f"{load.buffer.name}_tile"), load.dtype, (WIDE * PITCH,))
        for load in turn.loads
    }
    numbers = Axis(f"{turn.outer.axis.name}_tile"), Axis(f"{turn.inner.axis.name}_tile")
    first_outer, first_inner = (
        e.times(index(number), size) for number, size in zip(numbers, (DEEP, WIDE))
    )

    p, q = Axis("p"), Axis("q")
    reads = _Share(e, turn, (first_inner, first_outer), p)
    reads.at(e.over(index(p), DEEP), e.modulo(index(p), DEEP))
    rest = _Share(e, turn, (first_inner, first_outer), q)
    rest.at(e.modulo(index(q), WIDE), e.over(index(q), WIDE))
    fill = Substitution(axes=reads.axes)
    filled = [Store(tile, (reads.place,), fill(load)) for load, tile in tiles.items()]
    use = _FromTile(rest.axes, tiles, rest.place)
    used = [use.statement(s) for s in turn.body]
    counts = -(-turn.extents[1] // DEEP), -(-turn.extents[0] // WIDE)
    kept = [loop for loop in turn.loops if loop is not turn.inner and loop is not turn.outer]
    outer = [Loop(n, const(c), PARALLEL, ()) for n, c in zip(numbers, counts)]
    scratch = [Scratch(tile) for tile in tiles.values()]
    return parallel_nest([*kept, *outer], [*scratch, reads.loop(filled), rest.loop(used)])


class _Share:
    """A loop over the points of a tile, and the axes of the nest in it."""

    def __init__(self, e: ExprEmitter, turn: _Turn, first: tuple[Expr, Expr], axis: Axis) -> None:
        self.e, self.turn, self.first, self.axis = e, turn, first, axis

    def at(self, wide: Expr, deep: Expr) -> None:
        """Say which point of the tile each iteration is."""
        e, turn = self.e, self.turn
        self.place = e.add(e.times(wide, PITCH), deep)
        self.axes: dict[Axis, Expr] = {
            turn.inner.axis: e.add(self.first[0], wide),
            turn.outer.axis: e.add(self.first[1], deep),
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
