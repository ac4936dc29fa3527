"""Rewrite statements of the loop level: axes replaced, new names, nests built again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from graphc.ir.loops.contraction.index import Substitution
from graphc.ir.loops.ir import (
    PARALLEL,
    Accumulate,
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
    exprs_in,
    walk,
)

Fed = Callable[[Accumulate], Sequence[Stmt]]


class Names:
    """Names of refs and buffers that a kernel does not have yet."""

    def __init__(self, kernel: Kernel) -> None:
        self.taken = {b.name for b in kernel.arguments}
        self.taken |= {e.name for e in exprs_in(kernel.body) if isinstance(e, Ref)}
        for stmt in walk(kernel.body):
            if isinstance(stmt, Scratch):
                self.taken.add(stmt.buffer.name)
            elif isinstance(stmt, Let):
                self.taken.add(stmt.ref.name)
            elif isinstance(stmt, Loop):
                self.taken |= {r.name for a in stmt.accumulators for r in a.refs}

    def new(self, wish: str) -> str:
        """A name like the one that is wished for."""
        name, count = wish, 1
        while name in self.taken:
            name, count = f"{wish}_{count}", count + 1
        self.taken.add(name)
        return name


def rewritten(body: Sequence[Stmt], replace: Substitution, fed: Fed) -> tuple[Stmt, ...]:
    """Statements with axes replaced; `fed` says what becomes of every `Accumulate`."""
    found: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Loop(axis=axis, extent=extent, kind=kind, body=inner):
                deeper = rewritten(inner, replace, fed)
                found.append(
                    Loop(axis, replace(extent), kind, deeper, stmt.accumulators, stmt.lanes)
                )
            case Accumulate(accumulator=accumulator, values=values):
                found += fed(Accumulate(accumulator, tuple(replace(v) for v in values)))
            case _:
                found.append(replace.statement(stmt))
    return tuple(found)


def parallel_nest(loops: Iterable[Loop], body: Sequence[Stmt]) -> Loop:
    """Parallel loops like these, around another body."""
    inner = tuple(body)
    for loop in reversed(list(loops)):
        inner = (Loop(loop.axis, loop.extent, PARALLEL, inner, (), loop.lanes),)
    (outermost,) = inner
    assert isinstance(outermost, Loop)
    return outermost


def needed(body: Sequence[Stmt], front: Sequence[Stmt], *more: Expr) -> tuple[Stmt, ...]:
    """What statements in front compute of what others use, directly or through each other."""
    used = {e.name for e in exprs_in(body) if isinstance(e, Ref)}
    used |= {e.name for e in exprs_in([Check(m, 0) for m in more]) if isinstance(e, Ref)}
    found: list[Stmt] = []
    for stmt in reversed(front):
        if named_by(stmt) & used:
            found.append(stmt)
            used |= {e.name for e in exprs_in((stmt,)) if isinstance(e, Ref)}
    return tuple(reversed(found))


def named_by(stmt: Stmt) -> set[str]:
    """The refs that have a value after a statement."""
    if isinstance(stmt, Let):
        return {stmt.ref.name}
    if isinstance(stmt, Loop):
        return {r.name for a in stmt.accumulators for r in a.refs}
    return set()


def loaded(body: Sequence[Stmt]) -> set[Buffer]:
    """The buffers that statements read."""
    return {e.buffer for e in exprs_in(body) if isinstance(e, Load)}


def stored(body: Sequence[Stmt]) -> set[Buffer]:
    """The buffers that statements write."""
    return {s.buffer for s in walk(body) if isinstance(s, Store)}
