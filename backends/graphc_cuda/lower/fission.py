"""Loops that hand on a value: what does not depend on it in parallel, then the chain alone.

    parallel i < m                        parallel i, g    part[g, i] = a + b + c + d
      sequential g < n; run: carry   ->   parallel i
        run = run + (a + b + c + d)         sequential g < n; run: carry
        y[i, 4g] = run + a; ...               before[g, i] = run; run = run + part[g, i]
                                          parallel i, g    y[i, 4g] = before[g, i] + a; ...

A kernel of the loop level becomes another one with the same bits: each value is computed by the
same operations, and the chain takes its steps in order.

Cost: what is read is read twice; the chain has one addition and no wait for what is far away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.loops.accumulators import is_direct, loops_in, updated
from graphc.ir.loops.contraction.index import Substitution, flat_offset
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Axis,
    Buffer,
    Check,
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
    exprs_in,
    index,
    operands,
    walk_exprs,
    walk_new,
)
from graphc_cuda.lower.rewriting import Names, loaded, needed, parallel_nest, stored
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable

MIN_TRIPS = 64  # of a chain that is worth two more launches
MIN_LOADS = 4  # of an iteration, beside the chain


def split_chains(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with chains of their own."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    body: list[Stmt] = []
    for stmt in kernel.body:
        found = _find(stmt, sizes, aliased) if isinstance(stmt, Loop) else None
        body += [stmt] if found is None else _Fission(found, sizes, names).statements()
    scratch = [s for s in body if isinstance(s, Scratch)]
    rest = [s for s in body if not isinstance(s, Scratch)]
    changed = len(body) != len(kernel.body)
    return replace(kernel, body=(*scratch, *rest)) if changed else kernel


# ------------------------------------------------------------------ finding


@dataclass(frozen=True)
class _Chain:
    """A loop that hands on values, in a nest; `waiting` are the lets that need these."""

    loops: Sequence[Loop]
    front: tuple[Stmt, ...]
    loop: Loop
    after: tuple[Stmt, ...]
    waiting: frozenset[str]


def _find(nest: Loop, sizes: Sizes, aliased: frozenset[Buffer]) -> _Chain | None:
    if nest.kind != PARALLEL:
        return None
    loops, body, lets = sizes.nest(nest)
    whole = (*lets, *body)
    writes = stored(whole)
    if writes & (aliased | loaded(whole)) or any(isinstance(s, Scratch) for s in whole):
        return None
    if not 0 < prod(sizes.trips(each) for each in loops) < BUSY_THREADS:
        return None
    if any(each.lanes or each.kind == PARALLEL for each in loops_in(whole)):
        return None
    for position, loop in enumerate(whole):
        if isinstance(loop, Loop) and _is_chain(loop, sizes):
            front = whole[:position]
            if any(not isinstance(s, Let) for s in front):
                return None
            waiting = _waiting(loop)
            chain = _Chain(loops, front, loop, whole[position + 1 :], waiting)
            return chain if _beside(chain) >= MIN_LOADS else None
    return None


def _is_chain(loop: Loop, sizes: Sizes) -> bool:
    own = loop.accumulators
    plain = all(isinstance(s, (Let, Check, Store, Accumulate)) for s in loop.body)
    carried = bool(own) and all(a.combine.carried and is_direct(loop, a) for a in own)
    return plain and carried and set(updated(loop)) == set(own) and sizes.trips(loop) >= MIN_TRIPS


def _waiting(loop: Loop) -> frozenset[str]:
    """What in a loop has a name and depends on what it hands on."""
    names = {r.name for a in loop.accumulators for r in a.refs}
    for stmt in loop.body:
        if isinstance(stmt, Let) and _refs(stmt) & names:
            names.add(stmt.ref.name)
    return frozenset(names)


def _refs(stmt: Stmt) -> set[str]:
    return {e.name for e in exprs_in((stmt,)) if isinstance(e, Ref)}


def _beside(chain: _Chain) -> int:
    """How much an iteration reads that its sums need and that does not wait."""
    free = [s for s in chain.loop.body if isinstance(s, Let) and s.ref.name not in chain.waiting]
    sums = [s for s in chain.loop.body if isinstance(s, Accumulate)]
    return sum(isinstance(e, Load) for e in exprs_in([*needed(sums, free), *sums]))


# ------------------------------------------------------------------ splitting


class _Fission:
    """The statements that a chain becomes."""

    def __init__(self, chain: _Chain, sizes: Sizes, names: Names) -> None:
        self.chain, self.names = chain, names
        self.trips = sizes.trips(chain.loop)
        self.fixed = sizes.is_fixed(chain.loop)
        self.extents = tuple(sizes.trips(each) for each in chain.loops)
        self.at = (index(chain.loop.axis), *(index(each.axis) for each in chain.loops))
        self.scratch: list[Stmt] = []
        self.puts: list[Stmt] = []

    def statements(self) -> list[Stmt]:
        """Scratch, what comes before the chain, the chain and what follows, the rest."""
        chain, loop = self.chain, self.chain.loop
        lets = [s for s in loop.body if isinstance(s, Let)]
        free = [s for s in lets if s.ref.name not in chain.waiting]
        waiting = Substitution()
        for let in lets:
            if let.ref.name in chain.waiting:
                waiting = Substitution({**waiting.refs, let.ref.name: waiting(let.value)})
        sums = [
            Accumulate(s.accumulator, tuple(self._kept(waiting(v)) for v in s.values))
            for s in loop.body
            if isinstance(s, Accumulate)
        ]
        refs = [r for a in loop.accumulators for r in a.refs]
        before = [self._memory(f"{r.name}_before", r) for r in refs]
        noted = [Store(b, self.at, r) for b, r in zip(before, refs)]
        known = [Let(r, Load(r.dtype, b, self.at)) for b, r in zip(before, refs)]
        again = Loop(loop.axis, loop.extent, SEQUENTIAL, (*noted, *sums), loop.accumulators)
        rest = [s for s in loop.body if not isinstance(s, Accumulate)]
        found = [
            self._apart([*needed(self.puts, free), *self.puts]),
            parallel_nest(chain.loops, (*chain.front, again, *chain.after)),
            self._apart([*known, *rest]),
        ]
        return [*self.scratch, *found]

    def _memory(self, name: str, like: Expr) -> Buffer:
        buffer = Buffer(self.names.new(name), like.dtype, (self.trips, *self.extents))
        self.scratch.append(Scratch(buffer))
        return buffer

    def _apart(self, body: Sequence[Stmt]) -> Loop:
        """Every iteration by itself."""
        loop, chain = self.chain.loop, self.chain
        front = needed(body, chain.front, loop.extent)
        if not self.fixed:
            e = ExprEmitter()
            inside = e.apply("lt", index(loop.axis), loop.extent)
            once = e.apply("select", inside, const(1), const(0))
            body = [Loop(Axis("once"), once, SEQUENTIAL, tuple(body))]
        mine = Loop(loop.axis, const(self.trips), PARALLEL, ())
        order = [*chain.loops, mine] if self._is_row() else [mine, *chain.loops]
        return parallel_nest(order, [*front, *body])

    def _is_row(self) -> bool:
        """Whether iterations lie beside each other, and not the points of the nest."""
        inner, mine = self.chain.loops[-1].axis, self.chain.loop.axis
        loads = [e for e in exprs_in((self.chain.loop,)) if isinstance(e, Load)]
        found = [flat_offset(e.buffer, e.index) for e in loads]
        return not any(x.coefficient(inner) == 1 for x in found if x.coefficient(mine) != 0)

    def _kept(self, value: Expr) -> Expr:
        """A value in which what does not wait is read from memory."""
        waits: dict[Expr, bool] = {}
        for expr in walk_new(value, waits.__contains__):
            named = isinstance(expr, Ref) and expr.name in self.chain.waiting
            waits[expr] = named or any(waits[x] for x in operands(expr))
        return _Kept(self, waits)(value)

    def part(self, value: Expr) -> Expr:
        """What reads a value that does not wait in the chain."""
        own = {s.ref.name for s in self.chain.loop.body if isinstance(s, Let)}
        reads = any(
            isinstance(e, Load) or (isinstance(e, Ref) and e.name in own)
            for e in walk_exprs((value,))
        )
        if not reads:
            return value
        name = value.name if isinstance(value, Ref) else "part"
        buffer = self._memory(f"{name}_parts", value)
        self.puts.append(Store(buffer, self.at, value))
        return Load(value.dtype, buffer, self.at)


class _Kept(Substitution):
    """Replaces the largest expressions that do not wait."""

    def __init__(self, fission: _Fission, waits: Mapping[Expr, bool]) -> None:
        super().__init__()
        self.fission, self.waits = fission, waits
        self.known: dict[Expr, Expr] = {}

    def __call__(self, expr: Expr) -> Expr:
        if not self.waits[expr]:
            if expr not in self.known:
                self.known[expr] = self.fission.part(expr)
            return self.known[expr]
        return self._rewrite(expr)
