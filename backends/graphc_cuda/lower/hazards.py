"""Which statements of a group of threads must wait for the threads that touched memory before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphc.ir.loops.ir import (
    PARALLEL,
    Axis,
    Buffer,
    Const,
    Expr,
    Index,
    Let,
    Load,
    Loop,
    Scratch,
    Stmt,
    Store,
    exprs_in,
    walk,
)

Pattern = tuple[object, ...]  # equal patterns: each thread touches the elements it touched before


@dataclass(frozen=True)
class Access:
    """A buffer that a statement reads or writes, and which thread touches which element.

    Without a pattern any thread may touch any element.
    """

    buffer: Buffer
    writes: bool
    pattern: Pattern | None


FIRST: Pattern = ("first",)  # the first thread alone


def accesses(stmt: Stmt, nest: Sequence[tuple[Axis, int]] | None, alone: bool) -> list[Access]:
    """What a statement touches.

    `nest` are the axes that are distributed over the threads, and their extents; without it all
    threads run the statement, but for stores and what the first thread does `alone`.
    """
    own = {s.buffer for s in walk((stmt,)) if isinstance(s, Scratch)}
    found = []
    for buffer, at, writes in _touched(stmt):
        if buffer in own and nest is not None:
            continue
        if alone or (writes and nest is None):
            pattern: Pattern | None = FIRST
        else:
            pattern = None if nest is None else _pattern(at, nest)
        found.append(Access(buffer, writes, pattern))
    return found


def _touched(stmt: Stmt) -> Iterator[tuple[Buffer, tuple[Expr, ...], bool]]:
    for inner in walk((stmt,)):
        if isinstance(inner, Store):
            yield inner.buffer, inner.index, True
    for expr in exprs_in((stmt,)):
        if isinstance(expr, Load):
            yield expr.buffer, expr.index, False


def _pattern(at: tuple[Expr, ...], nest: Sequence[tuple[Axis, int]]) -> Pattern | None:
    """The place of every distributed axis in the index; None for other indices."""
    numbers = {axis: number for number, (axis, _) in enumerate(nest)}
    parts: list[object] = []
    for expr in at:
        match expr:
            case Index(axis=axis) if axis in numbers:
                parts.append(("axis", numbers[axis]))
            case Index(axis=axis):
                parts.append(("outer", axis))
            case Const(value=value):
                parts.append(("number", value))
            case _:
                return None
    used = [p for p in parts if isinstance(p, tuple) and p[0] == "axis"]
    if len(used) != len(nest) or len(set(used)) != len(used):
        return None
    return (tuple(n for _, n in nest), *parts)


class Hazards:
    """What has been touched since the last barrier of the group.

    Buffers that are `aliased` may share bytes: what is said of one is said of all.
    """

    def __init__(self, aliased: Collection[Buffer]) -> None:
        self.pending: list[Access] = []
        self._one = next(iter(sorted(aliased, key=lambda b: b.name)), None)
        self._aliased = frozenset(aliased)
        self._alike = len({(b.dtype.itemsize, b.shape) for b in aliased}) == 1

    def _joined(self, found: Iterable[Access]) -> list[Access]:
        """The same accesses, those of aliased buffers as accesses of one of them."""
        joined = []
        for access in found:
            if access.buffer in self._aliased and self._one is not None:
                keeps = self._alike or access.pattern == FIRST
                pattern = access.pattern if keeps else None
                joined.append(Access(self._one, access.writes, pattern))
            else:
                joined.append(access)
        return joined

    def conflict(self, found: Iterable[Access]) -> bool:
        """Whether some access must wait."""
        return any(_clash(a, b) for a in self._joined(found) for b in self.pending)

    def note(self, found: Iterable[Access]) -> None:
        """Remember accesses."""
        self.keep(self._joined(found))

    def keep(self, accesses: Iterable[Access]) -> None:
        """Remember accesses of which none has been awaited."""
        self.pending += [a for a in accesses if a not in self.pending]

    def clear(self) -> None:
        """All threads have met."""
        self.pending = []


def _clash(a: Access, b: Access) -> bool:
    if a.buffer is not b.buffer or not (a.writes or b.writes):
        return False
    return a.pattern is None or a.pattern != b.pattern


def writes_memory(stmt: Stmt) -> bool:
    """Whether a statement stores anything."""
    return any(isinstance(s, Store) for s in walk((stmt,)))


def has_lanes(stmt: Stmt) -> bool:
    """Whether accumulators in it have a value for each lane."""
    loops = [s for s in walk((stmt,)) if isinstance(s, Loop)]
    return any(loop.lanes and loop.kind != PARALLEL for loop in loops)


def is_distributable(stmt: Stmt) -> bool:
    """Whether a group gains from running a statement together."""
    loops = [s for s in walk((stmt,)) if isinstance(s, Loop)]
    return any(loop.kind == PARALLEL or loop.lanes for loop in loops)


Nest = tuple[list[Loop], tuple[Stmt, ...], list[Let]]


def perfect_nest(loop: Loop, is_fixed: Callable[[Loop], bool]) -> Nest:
    """The parallel loops that stand directly in each other, the innermost body, the lets between.

    Lets in front of an inner loop belong to every iteration of it. A loop whose extent is not
    fixed stays in the body.
    """
    loops, body = [loop], loop.body
    lets: list[Let] = []
    while True:
        front = [s for s in body if isinstance(s, Let)]
        rest = [s for s in body if not isinstance(s, Let)]
        if len(rest) != 1 or not isinstance(rest[0], Loop) or body[-1] is not rest[0]:
            return loops, body, lets
        inner = rest[0]
        if inner.kind != PARALLEL or inner.accumulators or not is_fixed(inner):
            return loops, body, lets
        lets += front
        loops.append(inner)
        body = inner.body
