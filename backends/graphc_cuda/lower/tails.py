"""What a row does with every element once its sums are there, in a nest of its own.

    parallel i < 512                       scratch mean_at f32[512]
      sequential j < 4096; sum: sum        parallel i < 512
        sum sum= x[j, i]                     sequential j < 4096; sum: sum
      mean = sum / 4096              ->        sum sum= x[j, i]
      parallel j < 4096                      mean = sum / 4096
        y[j, i] = x[j, i] - mean             mean_at[i] = mean
                                           parallel j < 4096
                                             parallel i < 512
                                               y[j, i] = x[j, i] - mean_at[i]

Rows that are columns of memory, as the channels of a batch norm, would be read and written by few
threads that lie far apart. A kernel of the loop level becomes another one with the same bits, and
its sums can be cut in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from graphc.ir.dims import evaluate
from graphc.ir.loops.contraction.index import Substitution, flat_offset
from graphc.ir.loops.ir import (
    PARALLEL,
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
    exprs_in,
    index,
    walk,
)
from graphc.ir.types import bool_
from graphc_cuda.contract.find import find_contraction
from graphc_cuda.lower.rewriting import (
    Names,
    loaded,
    named_by,
    parallel_nest,
    rewritten,
    stored,
)
from graphc_cuda.lower.sizes import Sizes, is_separable

MIN_POINTS = 1 << 14  # that are worth a launch
MIN_STRIDE = 8  # elements from which on neighbours of a row are far apart


def spread_tails(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with nests of their own for what rows of columns do after their sums."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    lets = [s for s in kernel.body if isinstance(s, Let)]
    body: list[Stmt] = []
    for stmt in kernel.body:
        parts = _apart(stmt, sizes, names) if isinstance(stmt, Loop) else []
        is_product = bool(parts) and find_contraction((*lets, stmt), dims) is not None
        body += parts if parts and not is_product else [stmt]
    found = replace(kernel, body=tuple(body))
    return found if len(body) > len(kernel.body) and is_separable(found) else kernel


def _apart(nest: Loop, sizes: Sizes, names: Names) -> list[Stmt]:
    """Scratch, the nest without its tails, and the tails; nothing where it has none."""
    if nest.kind != PARALLEL:
        return []
    loops, body, lets = sizes.nest(nest)
    whole = (*lets, *body)
    tails = [s for s in whole if isinstance(s, Loop) and _is_tail(s, loops, sizes)]
    rest = [s for s in whole if s not in tails]
    chains = [s for s in rest if isinstance(s, Loop) and s.accumulators]
    if not tails or not chains or any(isinstance(s, Scratch) for s in walk(whole)):
        return []
    if any(isinstance(s, Loop) and s.kind == PARALLEL for s in rest):
        return []
    if not all(_is_last(t, whole, tails) for t in tails):
        return []
    points = tuple(index(each.axis) for each in loops)
    extents = tuple(sizes.trips(each) for each in loops)
    known = {name for s in rest for name in named_by(s)}
    used = {e.name: e for e in exprs_in(tails) if isinstance(e, Ref) and e.name in known}
    if any(ref.dtype == bool_ for ref in used.values()):
        return []
    places = {n: Buffer(names.new(f"{n}_at"), ref.dtype, extents) for n, ref in used.items()}
    puts = [Store(places[n], points, ref) for n, ref in used.items()]
    gets: dict[str, Expr] = {n: Load(b.dtype, b, points) for n, b in places.items()}
    moved = [_tail_nest(t, loops, Substitution(gets), sizes) for t in tails]
    return [*map(Scratch, places.values()), parallel_nest(loops, [*rest, *puts]), *moved]


def _is_tail(loop: Loop, rows: Sequence[Loop], sizes: Sizes) -> bool:
    """Whether a loop writes every element by itself, and neighbours are those of other rows."""
    if loop.kind != PARALLEL:
        return False
    inner, body, lets = sizes.nest(loop)
    every = [*rows, *inner]
    if any(not isinstance(s, (Let, Store)) for s in (*lets, *body)):
        return False
    if not all(map(sizes.is_fixed, every)):
        return False
    if prod(sizes.trips(each) for each in every) < MIN_POINTS:
        return False
    offsets = [flat_offset(s.buffer, s.index) for s in body if isinstance(s, Store)]

    def step(number: int, axis_of: Loop) -> int:
        return abs(evaluate(offsets[number].coefficient(axis_of.axis), sizes.dims))

    far = all(step(n, inner[-1]) >= MIN_STRIDE for n in range(len(offsets)))
    return bool(offsets) and far and all(step(n, rows[-1]) == 1 for n in range(len(offsets)))


def _is_last(tail: Loop, whole: Sequence[Stmt], tails: Sequence[Loop]) -> bool:
    """Whether nothing behind a tail has to do with what it reads and writes."""
    after = [s for s in whole[whole.index(tail) + 1 :] if s not in tails]
    mine = loaded((tail,)) | stored((tail,))
    others = [t for t in tails if t is not tail]
    apart = not stored((tail,)) & (loaded(others) | stored(others))
    return apart and not stored(after) & mine and not loaded(after) & stored((tail,))


def _tail_nest(tail: Loop, rows: Sequence[Loop], gets: Substitution, sizes: Sizes) -> Loop:
    """A tail around its rows, so that neighbouring threads are neighbours in memory."""
    inner, body, lets = sizes.nest(tail)
    return parallel_nest([*inner, *rows], rewritten((*lets, *body), gets, lambda s: [s]))
