"""Updates at places that data decides: those of one place in order, the places in parallel.

    parallel i < 64                              keys[k] = row(k), or -1 where it is outside
      sequential k < 8192                        how many keys come before, how many are the same
        y[row(k), i] = y[row(k), i] + u[k, i] -> order[before] = k
                                                 parallel k, i: if k is the first of its row,
                                                   y[row(k), i] + u[order[...], i] + ...

A kernel of the loop level becomes another one with the same bits: updates of one place keep their
order. Where they overwrite, only the last one of every place is done.

Cost: n * n / 16 comparisons of keys by 16 * n threads (n = 8192: 14 us, n = 65536: 0.9 ms on 132
multiprocessors) instead of n dependent reads and writes (a microsecond each); then each update is
read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from graphc.ir.loops.combine import ANY, SUM, carry
from graphc.ir.loops.contraction.index import Substitution, axes_of
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Check,
    Expr,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    all_of,
    const,
    exprs_in,
    index,
    walk_exprs,
)
from graphc.ir.types import bool_, int32, int64
from graphc_cuda.lower.rewriting import Names, loaded, parallel_nest
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable

MIN_UPDATES = 64  # that are worth three launches
MAX_UPDATES = 1 << 16  # whose keys are compared with each other


def spread_updates(
    kernel: Kernel, dims: Mapping[str, int], aliased: frozenset[Buffer] = frozenset()
) -> Kernel:
    """The kernel with the places of its updates in parallel."""
    if not is_separable(kernel):
        return kernel
    sizes, names = Sizes(kernel, dims), Names(kernel)
    front: list[Stmt] = []
    body: list[Stmt] = []
    for stmt in kernel.body:
        found = _find(stmt, sizes, aliased) if isinstance(stmt, Loop) else None
        if found is None:
            body.append(stmt)
            continue
        spread = _Spread(found, names)
        body += spread.statements()
        front += spread.scratch
    return replace(kernel, body=(*front, *body)) if front else kernel


# ------------------------------------------------------------------ finding


@dataclass(frozen=True)
class _Updates:
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


def _find(stmt: Loop, sizes: Sizes, aliased: frozenset[Buffer]) -> _Updates | None:
    loops: list[Loop] = []
    inner: Stmt = stmt
    if stmt.kind == PARALLEL:
        loops, body, lets = sizes.nest(stmt)
        if lets or len(body) != 1:
            return None
        inner = body[0]
    walked: list[tuple[Axis, int]] = []
    body = (inner,)
    while len(body) == 1 and isinstance(body[0], Loop):
        loop = body[0]
        if loop.kind != SEQUENTIAL or loop.accumulators or loop.lanes or not sizes.is_fixed(loop):
            return None
        walked.append((loop.axis, sizes.trips(loop)))
        body = loop.body
    count = prod(n for _, n in walked)
    columns = prod(sizes.trips(each) for each in loops)
    if not walked or not MIN_UPDATES <= count <= MAX_UPDATES or columns >= BUSY_THREADS:
        return None
    found = _plain(body)
    if found is None:
        return None
    updates = _Updates(loops, walked, *found, count)
    return updates if _is_free(updates, sizes, aliased) else None


def _plain(body: Sequence[Stmt]) -> tuple[tuple[Check, ...], Store] | None:
    """The checks and the store of a body, which has nothing but lets beside them."""
    named = Substitution()
    checks: list[Check] = []
    stores: list[Store] = []
    for stmt in body:
        new = named.statement(stmt)
        match new:
            case Let(ref=ref, value=value):
                named = Substitution({**named.refs, ref.name: value})
            case Check():
                checks.append(new)
            case Store():
                stores.append(new)
            case _:
                return None
    return (tuple(checks), stores[0]) if len(stores) == 1 else None


def _is_free(updates: _Updates, sizes: Sizes, aliased: frozenset[Buffer]) -> bool:
    """Whether updates of different places have nothing to do with each other."""
    store, columns = updates.store, updates.columns
    target = store.buffer
    if sizes.elements(target) >= 2**31 or not _columns_are_plain(store, columns):
        return False
    keys = [x for x in store.index if not _is_column(x, columns)]
    conditions = [c.condition for c in updates.checks]
    fixed = [*keys, *conditions, *([] if store.where is None else [store.where])]
    if any(set(axes_of(x)) & columns for x in fixed):
        return False
    reads = [e for e in exprs_in((store, *updates.checks)) if isinstance(e, Load)]
    if any(e.buffer is target for e in walk_exprs(fixed) if isinstance(e, Load)):
        return False
    own = [e for e in reads if e.buffer is target]
    if any(not _is_same_place(e, store) for e in own):
        return False
    others = {e.buffer for e in reads} - {target}
    return target not in aliased or not others & aliased


def _is_same_place(load: Load, store: Store) -> bool:
    same = all(a is b for a, b in zip(load.index, store.index))
    return same and (load.where is None or load.where is store.where)


def _is_column(x: Expr, columns: set[Axis]) -> bool:
    return isinstance(x, Index) and x.axis in columns


def _columns_are_plain(store: Store, columns: set[Axis]) -> bool:
    """Whether each common axis is one axis of the buffer."""
    found = [x.axis for x in store.index if isinstance(x, Index) and x.axis in columns]
    return len(found) == len(columns) == len(set(found)) and len(found) < len(store.index)


# ------------------------------------------------------------------ spreading


class _Spread:
    """The statements that updates become."""

    def __init__(self, updates: _Updates, names: Names) -> None:
        self.updates, self.names = updates, names
        self.e = ExprEmitter()
        self.scratch: list[Stmt] = []
        self.k = Axis("k")
        self.at = index(self.k)
        self.here = self._shift(self.at)

    def statements(self) -> list[Stmt]:
        """Keys, what they say of each update, the updates."""
        return [self._keys(), *(self._merged() if self.updates.merges else self._last())]

    def _memory(self, name: str, dtype: object) -> Buffer:
        buffer = Buffer(self.names.new(name), dtype, (self.updates.count,))  # type: ignore[arg-type]
        self.scratch.append(Scratch(buffer))
        return buffer

    def _shift(self, at: Expr) -> Substitution:
        """Replaces the axes of updates by those of the update with a number."""
        replaced: dict[Axis, Expr] = {}
        (first, _), *inner = self.updates.walked
        for axis, size in reversed(inner):
            replaced[axis] = self.e.modulo(at, size)
            at = self.e.over(at, size)
        return Substitution(axes={**replaced, first: at})

    def _loop(self, axis: Axis, body: Sequence[Stmt], lanes: bool = False) -> Loop:
        return Loop(axis, const(self.updates.count), PARALLEL, tuple(body), (), lanes)

    def _keys(self) -> Stmt:
        """The place of each update as one number."""
        updates, e = self.updates, self.e
        self.keys = self._memory("keys", int32)
        store = self.here.statement(updates.store)
        assert isinstance(store, Store)
        key: Expr = const(0)
        for position, size in zip(store.index, store.buffer.shape):
            if not _is_column(position, updates.columns):
                key = e.add(e.times(key, size), position)
        checks = [self.here.statement(c) for c in updates.checks]
        outside = Store(self.keys, (self.at,), e.const(-1, int32))
        inside = Store(self.keys, (self.at,), e.cast(key, int32), store.where)
        return self._loop(self.k, [*checks, outside, inside], lanes=True)

    def _compared(self, accumulators: Sequence[Accumulator], values: Sequence[Expr]) -> Loop:
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

    def _accumulator(self, combine: object, name: str, dtype: object) -> Accumulator:
        ref = Ref(dtype, self.names.new(name))  # type: ignore[arg-type]
        return Accumulator(combine, (ref,))  # type: ignore[arg-type]

    # -- overwriting --------------------------------------------------------------

    def _last(self) -> list[Stmt]:
        """Which update of its place is the last; that one."""
        e = self.e
        last = self._memory("is_last", bool_)
        _, same, _ = self._relations()
        later = self._accumulator(ANY, "later", bool_)
        after = e.apply("lt", self.at, index(self.j))
        search = self._compared([later], [e.apply("logical_and", same, after)])
        put = Store(last, (self.at,), e.apply("logical_not", later.refs[0]))
        store = self.here.statement(self.updates.store)
        assert isinstance(store, Store)
        conditions = [Load(bool_, last, (self.at,)), *([store.where] if store.where else [])]
        final = Store(store.buffer, store.index, store.value, all_of(conditions))
        return [self._loop(self.k, [search, put]), self._columns([final])]

    def _columns(self, body: Sequence[Stmt]) -> Loop:
        """Every update, all columns."""
        loops = self.updates.loops
        inner = (parallel_nest(loops, body),) if loops else tuple(body)
        return self._loop(self.k, inner, lanes=not loops)

    # -- merging ------------------------------------------------------------------

    def _merged(self) -> list[Stmt]:
        """The updates of each place side by side; then each place."""
        e, at = self.e, (self.at,)
        order, start, length = (self._memory(n, int32) for n in ("order", "start", "length"))
        lower, same, earlier = self._relations()
        first = e.apply("logical_and", same, earlier)
        before = e.apply("logical_or", lower, first)
        sums = [self._accumulator(SUM, n, int32) for n in ("before", "equal")]
        found = self._accumulator(ANY, "earlier", bool_)
        one, none = e.const(1, int32), e.const(0, int32)
        values = [*(e.apply("select", x, one, none) for x in (before, same)), first]
        search = self._compared([*sums, found], values)
        place, equal = sums[0].refs[0], sums[1].refs[0]
        outside = e.apply("lt", Load(int32, self.keys, at), none)
        skipped = e.apply("logical_or", found.refs[0], outside)
        puts = [
            Store(order, (e.cast(place, int64),), e.cast(self.at, int32)),
            Store(start, at, place),
            Store(length, at, e.apply("select", skipped, none, equal)),
        ]
        chain = self._chain(order, start, length)
        return [self._loop(self.k, [search, *puts]), self._columns(chain)]

    def _chain(self, order: Buffer, start: Buffer, length: Buffer) -> list[Stmt]:
        """All updates of one place, for the first of them."""
        e, store = self.e, self.updates.store
        target = self.here.statement(store)
        assert isinstance(target, Store)
        dtype = store.buffer.dtype
        count = e.cast(Load(int32, length, (self.at,)), int64)
        is_first = e.apply("lt", const(0), count)
        held = Ref(dtype, self.names.new("held"))
        running = self._accumulator(carry(0), "running", dtype)
        t, number = Axis("t"), Ref(int64, self.names.new("number"))
        sorted_at = e.add(e.cast(Load(int32, start, (self.at,)), int64), index(t))
        is_begin = e.apply("eq", index(t), const(0))
        old = Ref(dtype, self.names.new("old"))
        update = _WithOld(self._shift(number), store.buffer, old)
        body = (
            Let(number, e.cast(Load(int32, order, (sorted_at,)), int64)),
            Let(old, e.apply("select", is_begin, held, running.refs[0])),
            Accumulate(running, (update(store.value),)),
        )
        return [
            Let(held, Load(dtype, store.buffer, target.index, is_first)),
            Loop(t, count, SEQUENTIAL, body, (running,)),
            Store(store.buffer, target.index, running.refs[0], is_first),
        ]


class _WithOld(Substitution):
    """Replaces axes, and what is read of a buffer by a ref."""

    def __init__(self, shift: Substitution, buffer: Buffer, old: Ref) -> None:
        super().__init__(shift.refs, shift.axes)
        self.buffer, self.old = buffer, old

    def _rewrite(self, expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr.buffer is self.buffer:
            return self.old
        return super()._rewrite(expr)
