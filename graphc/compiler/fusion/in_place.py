"""Which results of a kernel may take the bytes of what it reads."""

from __future__ import annotations

from collections import Counter

from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.ir.loops.ir import (
    Buffer,
    Expr,
    Load,
    Loop,
    Stmt,
    Store,
    expressions,
    reversed_operands,
    walk,
    walk_exprs,
)  # fmt: skip
from graphc.ir.schedule import TEMPORARY, Storage


def find_in_place(builder: KernelBuilder) -> tuple[tuple[Storage, Storage], ...]:
    """Pairs (written, read) whose elements are read only where they are written."""
    body = builder.body()
    order = list(walk(body))
    stores = [s for s in order if isinstance(s, Store)]
    # What is stored twice, or in front of a loop, is written before all that is read.
    once = Counter(s.buffer for s in stores)
    last_loop = max((k for k, s in enumerate(order) if isinstance(s, Loop)), default=-1)
    late = [s for k, s in enumerate(order) if isinstance(s, Store) and k > last_loop]
    loads: dict[Buffer, set[tuple[Expr, ...]]] = {}
    # from the last operand on: a result takes the place of the last one first
    roots = (e for s in order for e in reversed(expressions(s)))
    for x in walk_exprs(roots, reversed_operands):
        if isinstance(x, Load):
            loads.setdefault(x.buffer, set()).add(x.index)
    storage = {b: s for s, b in builder.buffers.items()}
    written = {s.buffer for s in stores}
    pairs = []
    for s in late:
        for b, indices in loads.items():
            if b in written or b not in storage or s.buffer not in storage:
                continue
            same = indices == {s.index} and _alike(storage[b], storage[s.buffer])
            if same and once[s.buffer] == 1:
                pairs.append((storage[s.buffer], storage[b]))
    return tuple(pairs) if len(_nests(body)) == 1 else ()


def _alike(a: Storage, b: Storage) -> bool:
    return a.role == TEMPORARY and b.role == TEMPORARY and a.type.nbytes == b.type.nbytes


def _nests(body: tuple[Stmt, ...]) -> list[Loop]:
    """The innermost loops: with one, a store follows every load of its iteration."""
    return [
        s for s in walk(body)
        if isinstance(s, Loop) and not any(isinstance(t, Loop) for t in s.body)
    ]  # fmt: skip
