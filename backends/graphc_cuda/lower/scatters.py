"""Updates at places that data decides: those of one place in order, the places in parallel.

    parallel i < 64                              keys[k] = row(k), or -1 where it is outside
      sequential k < 8192                        how many keys come before, how many are the same
        y[row(k), i] = y[row(k), i] + u[k, i] -> order[before] = k
                                                 parallel k, i: if k is the first of its row,
                                                   y[row(k), i] + u[order[...], i] + ...

A kernel of the loop level becomes another one with the same bits: updates of one place keep their
order. Where they overwrite, only the last one of every place is done.

Cost: n * n / 16 comparisons of keys by 16 * n threads (n = 8192: 14 us on 132 multiprocessors)
instead of n dependent reads and writes (a microsecond each); then each update is read once. From
16,384 updates on their keys are sorted instead (`sorted_updates.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from graphc.ir.loops.contraction.index import Substitution, axes_of
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Axis,
    Buffer,
    Check,
    Expr,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    exprs_in,
    walk_exprs,
)
from graphc_cuda.lower.rewriting import Names
from graphc_cuda.lower.sizes import BUSY_THREADS, Sizes, is_separable
from graphc_cuda.lower.sorted_updates import SortedUpdates
from graphc_cuda.lower.updates import ComparedUpdates, Updates, is_column

MIN_UPDATES = 64  # that are worth three launches
MIN_UPDATES_OF_ROWS = 512  # of a row, where each has places of its own
MAX_COMPARED = 1 << 14  # updates whose keys are compared with each other; more are sorted
MAX_UPDATES = 2**31 - 1  # whose numbers are int32


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
        spread = (ComparedUpdates if found.count <= MAX_COMPARED else SortedUpdates)(found, names)
        body += spread.statements()
        front += spread.scratch
    return replace(kernel, body=(*front, *body)) if front else kernel


# ------------------------------------------------------------------ finding


def _find(stmt: Loop, sizes: Sizes, aliased: frozenset[Buffer]) -> Updates | None:
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
    chain = prod(n for _, n in walked)
    columns = prod(sizes.trips(each) for each in loops)
    found = _plain(body)
    if not walked or found is None or columns >= BUSY_THREADS:
        return None
    rows = _rows(loops, *found)
    walked = [*((each.axis, sizes.trips(each)) for each in rows), *walked]
    count = prod(n for _, n in walked)
    if chain < (MIN_UPDATES_OF_ROWS if rows else MIN_UPDATES) or count > MAX_UPDATES:
        return None
    updates = Updates([each for each in loops if each not in rows], walked, *found, count)
    return updates if _is_free(updates, sizes, aliased) else None


def _rows(loops: Sequence[Loop], checks: Sequence[Check], store: Store) -> list[Loop]:
    """The parallel loops whose iterations have places of their own: they belong to the updates.

    Each place is one iteration's, so that the updates of all of them keep their order there.
    """
    axes = {each.axis for each in loops}
    used = {axis for x in _fixed(store, checks, axes) for axis in axes_of(x)}
    return [each for each in loops if each.axis in used]


def _fixed(store: Store, checks: Sequence[Check], columns: set[Axis]) -> list[Expr]:
    """What says where an update goes, and whether it does."""
    keys = [x for x in store.index if not is_column(x, columns)]
    conditions = [c.condition for c in checks]
    return [*keys, *conditions, *([] if store.where is None else [store.where])]


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


def _is_free(updates: Updates, sizes: Sizes, aliased: frozenset[Buffer]) -> bool:
    """Whether updates of different places have nothing to do with each other."""
    store, columns = updates.store, updates.columns
    target = store.buffer
    if sizes.elements(target) >= 2**31 or not _columns_are_plain(store, columns):
        return False
    fixed = _fixed(store, updates.checks, columns)
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


def _columns_are_plain(store: Store, columns: set[Axis]) -> bool:
    """Whether each common axis is one axis of the buffer."""
    found = [x.axis for x in store.index if isinstance(x, Index) and x.axis in columns]
    return len(found) == len(columns) == len(set(found)) and len(found) < len(store.index)
