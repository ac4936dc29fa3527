"""Loops that hand on a value: what does not depend on it in parallel, then the chain alone.

    parallel i < m                        parallel i, g    part[g, i] = a + b + c + d
      sequential g < n; run: carry   ->   parallel i
        run = run + (a + b + c + d)         sequential g < n; run: carry
        y[i, 4g] = run + a; ...               before[g, i] = run; run = run + part[g, i]
                                          parallel i, g    y[i, 4g] = before[g, i] + a; ...

Where few rows have long chains, a block of threads does all three for 512 iterations at a time: the
chain then reads shared memory, sixteen values at a time. Counted in its machine code, a step of a
sum takes 6 cycles, of which the addition alone takes 4; from global memory, which eight steps wait
for together, it would be about 90.

A kernel of the loop level becomes another one with the same bits: each value is computed by the
same operations, and the chain takes its steps in order.

Cost: what is read is read twice; the chain has one addition and no wait for what is far away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from graphc.ir.loops.accumulators import is_direct, loops_in, updated
from graphc.ir.loops.ir import (
    LANES,
    PARALLEL,
    Accumulate,
    Buffer,
    Check,
    Const,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    exprs_in,
    walk,
)
from graphc_cuda.lower.chains import Chain, SplitChain, TiledChain
from graphc_cuda.lower.rewriting import Names, loaded, stored
from graphc_cuda.lower.sizes import BUSY_THREADS, UNKNOWN_TRIPS, Sizes, is_separable

MIN_TRIPS = 64  # of a chain that is worth two more launches
MIN_LOADS = 4  # of an iteration, beside the chain
MIN_TILED_TRIPS = 256  # of a chain that a block of threads works on


def split_chains(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with chains of their own."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    body: list[Stmt] = []
    for stmt in kernel.body:
        chain = _find(stmt, kernel, sizes, aliased) if isinstance(stmt, Loop) else None
        form = None if chain is None else _form(chain, sizes)
        body += [stmt] if chain is None or form is None else form(chain, sizes, names).statements()
    scratch = [s for s in body if isinstance(s, Scratch)]
    rest = [s for s in body if not isinstance(s, Scratch)]
    changed = any(new is not old for new, old in zip(body, kernel.body))
    return replace(kernel, body=(*scratch, *rest)) if changed else kernel


def _form(chain: Chain, sizes: Sizes) -> type[SplitChain] | None:
    """How a chain is taken apart, if it is."""
    trips, rows = sizes.trips(chain.loop), prod(sizes.trips(each) for each in chain.loops)
    is_few = trips >= MIN_TILED_TRIPS and 0 < rows * LANES <= BUSY_THREADS
    if is_few and chain.loads and chain.is_plain:
        return TiledChain
    is_long = trips >= MIN_TRIPS and chain.loads >= MIN_LOADS
    return SplitChain if is_long and chain.loops and 0 < rows < BUSY_THREADS else None


def _find(stmt: Loop, kernel: Kernel, sizes: Sizes, aliased: frozenset[Buffer]) -> Chain | None:
    """The chain in a statement; what it hands on is read there alone."""
    loops: list[Loop] = []
    whole: tuple[Stmt, ...] = (stmt,)
    if stmt.kind == PARALLEL:
        loops, body, lets = sizes.nest(stmt)
        whole = (*lets, *body)
    writes = stored(whole)
    if writes & aliased or any(isinstance(s, Scratch) for s in whole):
        return None
    if any(each.lanes or each.kind == PARALLEL for each in loops_in(whole)):
        return None
    for position, loop in enumerate(whole):
        if isinstance(loop, Loop) and _is_chain(loop, sizes):
            chain = Chain(loops, whole[:position], loop, whole[position + 1 :])
            return chain if _is_free(chain, stmt, kernel) else None
    return None


def _is_chain(loop: Loop, sizes: Sizes) -> bool:
    own = loop.accumulators
    plain = all(isinstance(s, (Let, Check, Store, Accumulate)) for s in loop.body)
    carried = bool(own) and all(a.combine.carried and is_direct(loop, a) for a in own)
    fed_here = carried and set(updated(loop)) == set(own)
    return plain and fed_here and MIN_TRIPS <= sizes.trips(loop) < UNKNOWN_TRIPS


def _is_free(chain: Chain, stmt: Loop, kernel: Kernel) -> bool:
    """Whether iterations have nothing to do with each other but for what is handed on."""
    if any(not isinstance(s, Let) for s in chain.front):
        return False
    others = [s for s in kernel.body if s is not stmt]
    used = {e.name for e in exprs_in(others) if isinstance(e, Ref)}
    if not chain.loops and used & {r.name for r in chain.refs}:
        return False
    inside, around = (chain.loop,), (*chain.front, *chain.after)
    if stored(inside) & loaded(around) or stored(around) & loaded((*inside, *around)):
        return False
    return all(_is_own_place(buffer, chain) for buffer in stored(inside) & loaded(inside))


def _is_own_place(buffer: Buffer, chain: Chain) -> bool:
    """Whether an iteration reads and writes one element, which no other one touches."""
    inside = (chain.loop,)
    places = [s.index for s in walk(inside) if isinstance(s, Store) and s.buffer is buffer]
    loads = (e for e in exprs_in(inside) if isinstance(e, Load) and e.buffer is buffer)
    places += [e.index for e in loads]
    first = places[0]
    if any(any(a is not b for a, b in zip(first, other)) for other in places):
        return False
    own = {loop.axis for loop in (*chain.loops, chain.loop)}
    plain = all(isinstance(x, (Const, Index)) for x in first)
    return plain and own <= {x.axis for x in first if isinstance(x, Index)}
