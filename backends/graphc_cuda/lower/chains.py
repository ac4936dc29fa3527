"""Loops that hand on a value, taken apart: what does not depend on it, the chain, what needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from graphc.ir.loops.contraction.index import Substitution, flat_offset
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Axis,
    Buffer,
    Expr,
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
from graphc_cuda.lower.rewriting import Names, needed, parallel_nest
from graphc_cuda.lower.sizes import Sizes

TILE = 512  # iterations whose values a block of threads holds at a time
TOGETHER = 16  # of them for which a chain waits at a time


@dataclass(frozen=True)
class Chain:
    """A loop that hands on values, in a nest; `waiting` are the lets that need these."""

    loops: Sequence[Loop]
    front: tuple[Stmt, ...]
    loop: Loop
    after: tuple[Stmt, ...]

    @cached_property
    def waiting(self) -> frozenset[str]:
        """What in the loop has a name and depends on what it hands on."""
        names = {r.name for r in self.refs}
        for stmt in self.loop.body:
            if isinstance(stmt, Let) and _names(stmt) & names:
                names.add(stmt.ref.name)
        return frozenset(names)

    @cached_property
    def free(self) -> list[Let]:
        """The lets that do not wait."""
        lets = (s for s in self.loop.body if isinstance(s, Let))
        return [s for s in lets if s.ref.name not in self.waiting]

    @property
    def refs(self) -> list[Ref]:
        """What is handed on."""
        return [r for a in self.loop.accumulators for r in a.refs]

    @cached_property
    def sums(self) -> list[Accumulate]:
        """What is handed on, without lets that wait."""
        waiting = Substitution()
        for stmt in self.loop.body:
            if isinstance(stmt, Let) and stmt.ref.name in self.waiting:
                waiting = Substitution({**waiting.refs, stmt.ref.name: waiting(stmt.value)})
        fed = (s for s in self.loop.body if isinstance(s, Accumulate))
        return [Accumulate(s.accumulator, tuple(map(waiting, s.values))) for s in fed]

    @property
    def loads(self) -> int:
        """How much an iteration reads that its sums need and that does not wait."""
        body = [*needed(self.sums, self.free), *self.sums]
        return sum(isinstance(e, Load) and not self._waits(e) for e in exprs_in(body))

    @property
    def is_plain(self) -> bool:
        """Whether nothing is read at a place that depends on what is handed on."""
        return not any(isinstance(e, Load) and self._waits(e) for e in exprs_in(self.sums))

    def _waits(self, expr: Expr) -> bool:
        return any(isinstance(e, Ref) and e.name in self.waiting for e in walk_exprs((expr,)))


def _names(stmt: Stmt) -> set[str]:
    return {e.name for e in exprs_in((stmt,)) if isinstance(e, Ref)}


class SplitChain:
    """The three nests that a chain becomes: before it, the chain alone, behind it."""

    def __init__(self, chain: Chain, sizes: Sizes, names: Names) -> None:
        self.chain, self.names, self.e = chain, names, ExprEmitter()
        self.trips = sizes.trips(chain.loop)
        self.fixed = sizes.is_fixed(chain.loop)
        self.extents = tuple(sizes.trips(each) for each in chain.loops)
        self.at = self.place()
        self.scratch: list[Stmt] = []
        self.puts: list[Stmt] = []
        self._take_apart()

    def place(self) -> tuple[Expr, ...]:
        """Where the values of an iteration are in memory."""
        return index(self.chain.loop.axis), *(index(each.axis) for each in self.chain.loops)

    def memory(self, name: str, like: Expr) -> Buffer:
        """An element for each iteration."""
        buffer = Buffer(self.names.new(name), like.dtype, (self.trips, *self.extents))
        self.scratch.append(Scratch(buffer))
        return buffer

    def _take_apart(self) -> None:
        chain, loop = self.chain, self.chain.loop
        self.sums = [
            Accumulate(s.accumulator, tuple(map(self._kept, s.values))) for s in chain.sums
        ]
        self.before = [self.memory(f"{r.name}_before", r) for r in chain.refs]
        self.rest = [s for s in loop.body if not isinstance(s, Accumulate)]

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
        buffer = self.memory(f"{name}_parts", value)
        self.puts.append(Store(buffer, self.at, value))
        return Load(value.dtype, buffer, self.at)

    @property
    def parts(self) -> list[Stmt]:
        """What does not wait, put into memory."""
        return [*needed(self.puts, self.chain.free), *self.puts]

    def statements(self) -> list[Stmt]:
        """Scratch, what comes before the chain, the chain and what follows, the rest."""
        chain, loop, refs = self.chain, self.chain.loop, self.chain.refs
        noted = [Store(b, self.at, r) for b, r in zip(self.before, refs)]
        known = [Let(r, Load(r.dtype, b, self.at)) for b, r in zip(self.before, refs)]
        again = Loop(loop.axis, loop.extent, SEQUENTIAL, (*noted, *self.sums), loop.accumulators)
        found = [
            self._apart(self.parts),
            parallel_nest(chain.loops, (*chain.front, again, *chain.after)),
            self._apart([*known, *self.rest]),
        ]
        return [*self.scratch, *found]

    def _apart(self, body: Sequence[Stmt]) -> Loop:
        """Every iteration by itself."""
        loop, chain = self.chain.loop, self.chain
        front = needed(body, chain.front, loop.extent)
        if not self.fixed:
            inside = self.e.apply("lt", index(loop.axis), loop.extent)
            once = self.e.apply("select", inside, const(1), const(0))
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


class _Kept(Substitution):
    """Replaces the largest expressions that do not wait."""

    def __init__(self, chain: SplitChain, waits: Mapping[Expr, bool]) -> None:
        super().__init__()
        self.chain, self.waits = chain, waits
        self.known: dict[Expr, Expr] = {}

    def __call__(self, expr: Expr) -> Expr:
        if not self.waits[expr]:
            if expr not in self.known:
                self.known[expr] = self.chain.part(expr)
            return self.known[expr]
        return self._rewrite(expr)


class TiledChain(SplitChain):
    """One nest in which a block of threads works on a chain, some hundred iterations at a time.

    All threads put what the chain waits for beside each other, one adds, all use the results. The
    chain reads sixteen values before it notes the first sum, so that one wait is for all of them;
    behind the end of the loop it goes on with what is there, and nobody looks at that.
    """

    def place(self) -> tuple[Expr, ...]:
        """The place in the tile."""
        self.j = Axis("j")
        return (index(self.j),)

    def memory(self, name: str, like: Expr) -> Buffer:
        """An element for each iteration of a tile, and for what comes behind the last one."""
        size = -(-min(TILE, self.trips) // TOGETHER) * TOGETHER + 1
        buffer = Buffer(self.names.new(name), like.dtype, (size,))
        self.scratch.append(Scratch(buffer))
        return buffer

    def statements(self) -> list[Stmt]:
        """One parallel nest."""
        chain, e, loop = self.chain, self.e, self.chain.loop
        tile = Axis("tile")
        tiles = e.over(e.plus(loop.extent, TILE - 1), TILE)
        self.begin = e.times(index(tile), TILE)
        left = e.sub(loop.extent, self.begin)
        count = e.apply("select", e.apply("lt", left, const(TILE)), left, const(TILE))
        if self.fixed and self.trips % TILE == 0:
            count = const(TILE)
        known = [self._new(r) for r in chain.refs]
        moved = self._moved(index(self.j), dict(zip(chain.refs, known)))
        loads = [Let(k, Load(k.dtype, b, self.at)) for k, b in zip(known, self.before)]
        handed = {r: Load(r.dtype, b, (count,)) for r, b in zip(chain.refs, self.before)}
        body: tuple[Stmt, ...] = (
            self._each(count, [moved.statement(s) for s in self.parts]),
            *(Store(b, (const(0),), r) for b, r in zip(self.before, chain.refs)),
            self._chain(count),
            self._each(count, [*loads, *(moved.statement(s) for s in self.rest)]),
            *(Accumulate(a, tuple(handed[r] for r in a.refs)) for a in loop.accumulators),
        )
        again = Loop(tile, tiles, SEQUENTIAL, body, loop.accumulators)
        outer = [replace(each, lanes=False) for each in chain.loops]
        outer = outer or [Loop(Axis("row"), const(1), PARALLEL, ())]
        return [parallel_nest(outer, (*chain.front, *self.scratch, again, *chain.after))]

    def _new(self, ref: Ref) -> Ref:
        return Ref(ref.dtype, self.names.new(ref.name))

    def _moved(self, j: Expr, refs: Mapping[Ref, Expr]) -> _Replaced:
        """Replaces the loop's axis by iteration `j` of a tile, and what is handed on."""
        named = {r.name: value for r, value in refs.items()}
        return _Replaced(named, {self.chain.loop.axis: self.e.add(self.begin, j)})

    def _each(self, count: Expr, body: Sequence[Stmt]) -> Loop:
        return Loop(self.j, count, PARALLEL, tuple(body), (), lanes=True)

    def _chain(self, count: Expr) -> Loop:
        """The chain of a tile, sixteen iterations together."""
        e, refs, axis = self.e, self.chain.refs, Axis("g")
        is_begin = e.apply("eq", index(axis), const(0))
        own = [replace(a, refs=tuple(map(self._new, a.refs))) for a in self.chain.loop.accumulators]
        fresh = [r for a in own for r in a.refs]
        olds = [self._new(r) for r in refs]
        body: list[Stmt] = [
            Let(old, e.apply("select", is_begin, r, mine))
            for old, r, mine in zip(olds, refs, fresh)
        ]
        places = [e.plus(e.times(index(axis), TOGETHER), k) for k in range(TOGETHER)]
        read = [self._read(place) for place in places]
        body += [let for found in read for let in found.values()]
        for place, found in zip(places, read):
            use = self._moved(place, dict(zip(refs, olds)))
            use.loads = {load: let.ref for load, let in found.items()}
            olds = [self._new(r) for r in refs]
            values = [use(v) for s in self.sums for v in s.values]
            body += [Let(new, value) for new, value in zip(olds, values)]
            body += [Store(b, (e.plus(place, 1),), new) for b, new in zip(self.before, olds)]
        ends = dict(zip(fresh, olds))
        body += [Accumulate(a, tuple(ends[r] for r in a.refs)) for a in own]
        groups = e.over(e.plus(count, TOGETHER - 1), TOGETHER)
        return Loop(axis, groups, SEQUENTIAL, tuple(body), tuple(own))

    def _read(self, place: Expr) -> dict[Load, Let]:
        """What an iteration of the chain reads, with names."""
        found: dict[Load, Let] = {}
        for load in exprs_in(self.sums):
            if isinstance(load, Load):
                ref = Ref(load.dtype, self.names.new("waited"))
                found[load] = Let(ref, Load(load.dtype, load.buffer, (place,)))
        return found


class _Replaced(Substitution):
    """Replaces axes, refs, and what is read."""

    loads: Mapping[Load, Ref] = MappingProxyType({})

    def _rewrite(self, expr: Expr) -> Expr:
        found = self.loads.get(expr) if isinstance(expr, Load) else None
        return super()._rewrite(expr) if found is None else found
