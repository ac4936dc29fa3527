"""Give names to the values that a statement uses more than once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from graphc.ir.types import DType
from graphc_cuda.device.program import (
    Assign,
    Call,
    Get,
    Literal,
    Op,
    Select,
    Special,
    Value,
    Variable,
    operands_of,
)

Fresh = Callable[[DType], Variable]
MAX_DEPTH = 12  # operations within operations that stand in one statement


def name_shared(
    roots: Sequence[Value], fresh: Fresh, forced: Collection[Value] = ()
) -> tuple[list[Assign], list[Value]]:
    """Assignments of what is used several times, and the roots in terms of their variables.

    What is read from memory only where a condition holds stays in its `Select`. Values that are
    `forced` get a name in any case.
    """
    naming = _Naming(roots, fresh, frozenset(forced))
    return naming.assigns, [naming.rewritten(root) for root in roots]


class _Naming:
    def __init__(self, roots: Sequence[Value], fresh: Fresh, forced: frozenset[Value]) -> None:
        self.fresh, self.forced = fresh, forced
        self.assigns: list[Assign] = []
        self.order = list(_postorder(roots))
        self.uses: dict[Value, int] = dict.fromkeys(self.order, 0)
        for value in [*roots, *(x for v in self.order for x in operands_of(v))]:
            self.uses[value] += 1
        self.lazy = self._lazy(roots)
        self.known: dict[Value, Value] = {}
        self.depth: dict[Value, int] = {}
        for value in self.order:
            self._settle(value)

    def _lazy(self, roots: Sequence[Value]) -> set[Value]:
        """The values that are read from memory under a condition alone."""
        readers = _readers(self.order)
        eager: set[Value] = set()
        waiting = [*roots, *self.forced]
        while waiting:
            value = waiting.pop()
            if value in eager:
                continue
            eager.add(value)
            guarded = _guarded_read(value)
            waiting += [x for x in operands_of(value) if x is not guarded]
            if guarded is not None and _index(guarded) not in readers:
                waiting.append(_index(guarded))
        return {v for v in self.order if v not in eager}

    def rewritten(self, value: Value) -> Value:
        """The value in terms of variables."""
        return self.known[value]

    def _settle(self, value: Value) -> None:
        parts = operands_of(value)
        new = _with_operands(value, tuple(self.known[x] for x in parts))
        self.depth[value] = 1 + max((self._depth_of(x) for x in parts), default=0)
        if self._is_named(value):
            variable = self.fresh(value.dtype)
            if value.is_index:
                variable = replace(variable, is_index=True)
            self.assigns.append(Assign(variable, new))
            self.known[value] = variable
        else:
            self.known[value] = new

    def _depth_of(self, value: Value) -> int:
        return 0 if isinstance(self.known[value], Variable) else self.depth[value]

    def _is_named(self, value: Value) -> bool:
        if isinstance(value, (Literal, Variable, Special)) or value in self.lazy:
            return False
        return value in self.forced or self.uses[value] > 1 or self.depth[value] > MAX_DEPTH


def _postorder(roots: Sequence[Value]) -> Iterator[Value]:
    seen: set[Value] = set()
    waiting = [(root, False) for root in reversed(roots)]
    while waiting:
        value, ready = waiting.pop()
        if ready:
            yield value
        elif value not in seen:
            seen.add(value)
            waiting.append((value, True))
            waiting += [(x, False) for x in reversed(operands_of(value))]


def _guarded_read(value: Value) -> Value | None:
    """What a select reads from memory where its condition holds, and only then."""
    if not isinstance(value, Select) or not isinstance(value.otherwise, Literal):
        return None
    taken = value.value
    read = taken.args[0] if isinstance(taken, Op) and taken.function == "ne" else taken
    return taken if isinstance(read, Get) else None


def _index(read: Value) -> Value:
    """The index of a guarded read."""
    get = read if isinstance(read, Get) else operands_of(read)[0]
    assert isinstance(get, Get)
    return get.index


def _readers(order: Sequence[Value]) -> set[Value]:
    """The values that read memory themselves or through an operand."""
    found: set[Value] = set()
    for value in order:
        if isinstance(value, Get) or any(x in found for x in operands_of(value)):
            found.add(value)
    return found


def _with_operands(value: Value, parts: tuple[Value, ...]) -> Value:
    if all(a is b for a, b in zip(parts, operands_of(value))):
        return value
    match value:
        case Get():
            return replace(value, index=parts[0])
        case Op() | Call():
            return replace(value, args=parts)
        case Select():
            condition, taken, otherwise = parts
            return replace(value, condition=condition, value=taken, otherwise=otherwise)
    raise AssertionError(value)
