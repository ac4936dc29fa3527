"""Updates at places that data decides, by comparison: each one's key with those of all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from graphc.ir.loops.combine import ANY, SUM, carry
from graphc.ir.loops.contraction.index import Substitution
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Check,
    Combine,
    Expr,
    Index,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    all_of,
    const,
    index,
)
from graphc.ir.types import DType, bool_, int32, int64
from graphc_cuda.lower.rewriting import Names, loaded, parallel_nest


@dataclass(frozen=True)
class Updates:
    """`count` updates, the store and the checks of each; `loops` are the columns of a place."""

    loops: Sequence[Loop]
    walked: Sequence[tuple[Axis, int]]
    checks: tuple[Check, ...]
    store: Store
    count: int

    @property
    def columns(self) -> set[Axis]:
        """The axes that all updates have in common."""
        return {loop.axis for loop in self.loops}

    @property
    def merges(self) -> bool:
        """Whether an update sees what is there."""
        return self.store.buffer in loaded((self.store,))


def is_column(x: Expr, columns: set[Axis]) -> bool:
    """Whether an index is one of the axes that all updates have in common."""
    return isinstance(x, Index) and x.axis in columns


class SpreadUpdates:
    """What the statements that updates become have in common: keys, and chains of one place."""

    def __init__(self, updates: Updates, names: Names) -> None:
        self.updates, self.names = updates, names
        self.e = ExprEmitter()
        self.scratch: list[Stmt] = []
        self.k = Axis("k")
        self.at = index(self.k)

    def memory(self, name: str, dtype: DType) -> Buffer:
        """An element for each update."""
        buffer = Buffer(self.names.new(name), dtype, (self.updates.count,))
        self.scratch.append(Scratch(buffer))
        return buffer

    def ref(self, name: str, dtype: DType) -> Ref:
        """A value with a new name."""
        return Ref(dtype, self.names.new(name))

    def accumulator(self, combine: Combine, name: str, dtype: DType) -> Accumulator:
        """An accumulator of one value."""
        return Accumulator(combine, (self.ref(name, dtype),))

    def each(self, body: Sequence[Stmt], lanes: bool = True) -> Loop:
        """All updates side by side."""
        return Loop(self.k, const(self.updates.count), PARALLEL, tuple(body), (), lanes)

    def columns(self, body: Sequence[Stmt]) -> Loop:
        """Every update, all columns."""
        loops = self.updates.loops
        inner = (parallel_nest(loops, body),) if loops else tuple(body)
        return self.each(inner, lanes=not loops)

    def shift(self, at: Expr) -> Substitution:
        """Replaces the axes of updates by those of the update with a number."""
        replaced: dict[Axis, Expr] = {}
        (first, _), *inner = self.updates.walked
        for axis, size in reversed(inner):
            replaced[axis] = self.e.modulo(at, size)
            at = self.e.over(at, size)
        return Substitution(axes={**replaced, first: at})

    def store_of(self, number: Expr) -> Store:
        """The store of the update with a number."""
        store = self.shift(number).statement(self.updates.store)
        assert isinstance(store, Store)
        return store

    def place_keys(self) -> Stmt:
        """The place of each update as one number; -1 where it is outside."""
        updates, e, store = self.updates, self.e, self.store_of(self.at)
        self.keys = self.memory("keys", int32)
        key: Expr = const(0)
        for position, size in zip(store.index, store.buffer.shape):
            if not is_column(position, updates.columns):
                key = e.add(e.times(key, size), position)
        checks = [self.shift(self.at).statement(c) for c in updates.checks]
        outside = Store(self.keys, (self.at,), e.const(-1, int32))
        inside = Store(self.keys, (self.at,), e.cast(key, int32), store.where)
        return self.each([*checks, outside, inside])

    def put(self, number: Expr, is_last: Expr) -> Store:
        """An update that overwrites, where it is the last one of its place."""
        store = self.store_of(number)
        conditions = [is_last, *([store.where] if store.where is not None else [])]
        return Store(store.buffer, store.index, store.value, all_of(conditions))

    def chain(self, first: Expr, count: Expr, numbered: Callable[[Expr], Expr]) -> list[Stmt]:
        """So many updates of the place of the first, by their numbers; none if `count` is 0."""
        e, store, target = self.e, self.updates.store, self.store_of(first)
        dtype = store.buffer.dtype
        is_any = e.apply("lt", const(0), count)
        held, old = self.ref("held", dtype), self.ref("old", dtype)
        running = self.accumulator(carry(0), "running", dtype)
        t, number = Axis("t"), self.ref("number", int64)
        is_begin = e.apply("eq", index(t), const(0))
        update = _Merged(self.shift(number), store, old)
        body = (
            Let(number, numbered(index(t))),
            Let(old, e.apply("select", is_begin, held, running.refs[0])),
            Accumulate(running, (update(store.value),)),
        )
        return [
            Let(held, Load(dtype, store.buffer, target.index, is_any)),
            Loop(t, count, SEQUENTIAL, body, (running,)),
            Store(store.buffer, target.index, running.refs[0], is_any),
        ]


class _Merged(Substitution):
    """Replaces axes, and what is read at a store's place by a ref, for an update that is made."""

    def __init__(self, shift: Substitution, store: Store, old: Ref) -> None:
        super().__init__(shift.refs, shift.axes)
        self.store, self.old = store, old

    def _rewrite(self, expr: Expr) -> Expr:
        if expr is self.store.where:
            return const(True, bool_)  # what is outside is in no chain
        if not isinstance(expr, Load):
            return super()._rewrite(expr)
        if expr.buffer is self.store.buffer:
            return self.old
        where = None if expr.where is self.store.where else expr.where
        return super()._rewrite(replace(expr, where=where))


class ComparedUpdates(SpreadUpdates):
    """Every key is compared with all: how many are lower, how many are the same."""

    def statements(self) -> list[Stmt]:
        """Keys, what they say of each update, the updates."""
        return [self.place_keys(), *(self._merged() if self.updates.merges else self._last())]

    def _search(self, accumulators: Sequence[Accumulator], values: Sequence[Expr]) -> Loop:
        body = tuple(Accumulate(a, (v,)) for a, v in zip(accumulators, values))
        return Loop(self.j, const(self.updates.count), SEQUENTIAL, body, tuple(accumulators), True)

    def _relations(self) -> tuple[Expr, Expr, Expr]:
        """Whether another update has a lower key, the same one, and comes earlier."""
        e = self.e
        self.j = Axis("j")
        other = Load(int32, self.keys, (index(self.j),))
        own = Load(int32, self.keys, (self.at,))
        earlier = e.apply("lt", index(self.j), self.at)
        return e.apply("lt", other, own), e.apply("eq", other, own), earlier

    def _last(self) -> list[Stmt]:
        """Which update of its place is the last; that one."""
        e = self.e
        last = self.memory("is_last", bool_)
        _, same, _ = self._relations()
        later = self.accumulator(ANY, "later", bool_)
        after = e.apply("lt", self.at, index(self.j))
        search = self._search([later], [e.apply("logical_and", same, after)])
        noted = Store(last, (self.at,), e.apply("logical_not", later.refs[0]))
        final = self.put(self.at, Load(bool_, last, (self.at,)))
        return [self.each([search, noted], lanes=False), self.columns([final])]

    def _merged(self) -> list[Stmt]:
        """The updates of each place side by side; then each place."""
        e, at = self.e, (self.at,)
        order, start, length = (self.memory(n, int32) for n in ("order", "start", "length"))
        lower, same, earlier = self._relations()
        first = e.apply("logical_and", same, earlier)
        before = e.apply("logical_or", lower, first)
        sums = [self.accumulator(SUM, n, int32) for n in ("before", "equal")]
        found = self.accumulator(ANY, "earlier", bool_)
        one, none = e.const(1, int32), e.const(0, int32)
        values = [*(e.apply("select", x, one, none) for x in (before, same)), first]
        search = self._search([*sums, found], values)
        place, equal = sums[0].refs[0], sums[1].refs[0]
        outside = e.apply("lt", Load(int32, self.keys, at), none)
        skipped = e.apply("logical_or", found.refs[0], outside)
        noted = [
            Store(order, (e.cast(place, int64),), e.cast(self.at, int32)),
            Store(start, at, place),
            Store(length, at, e.apply("select", skipped, none, equal)),
        ]
        count, begin = (e.cast(Load(int32, b, at), int64) for b in (length, start))

        def numbered(t: Expr) -> Expr:
            return e.cast(Load(int32, order, (e.add(begin, t),)), int64)

        chain = self.chain(self.at, count, numbered)
        return [self.each([search, *noted], lanes=False), self.columns(chain)]
