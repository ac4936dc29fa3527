"""Who owns a parameter: the layer in whose call it is made or read.

Every call of a layer is entered here. What the first call makes (layers, parameters) is recorded
under the place in the user's program, and how often that place was reached in this call; a later
call that comes to the same place gets the same object, so a layer that is written as a function
has one set of weights. A later call that would make something else is an error: its weights
would be new ones, which nothing has trained.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir import naming
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.origin import Origin

Path = tuple[tuple[CodeType, int], ...]  # the user's functions, and where in them
Key = tuple[Path, int]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Constructed:
    """An object constructed in a first call: its kind, settings and origin."""

    kind: str
    settings: Any
    origin: Origin
    value: Any


@dataclass(frozen=True, eq=False)
class Traced:
    """What a call took and gave."""

    sources: tuple[Node, ...]
    results: tuple[Node, ...]

    @property
    def flops(self) -> Size:
        """The arithmetic operations between the two."""
        seen, waiting = set(self.sources), list(self.results)
        total: Size = 0
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                total = total + node.op.flops(node.type, *(i.type for i in node.inputs))
                waiting.extend(node.inputs)
        return total


@dataclass(eq=False)
class Record:
    """What one owner's calls have constructed and used, in order of first use."""

    title: str = ""
    made: dict[Key, Constructed] = field(default_factory=dict)
    used: dict[int, Any] = field(default_factory=dict)  # layers and parameters by identity
    names: dict[str, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)  # how often attributes hold what
    attributes: dict[int, Any] = field(default_factory=dict)  # what they held after any call
    whole: bool = False  # whether a first call has ended
    pending: list[Any] = field(default_factory=list)  # files that were loaded before it
    last: Traced | None = None  # the last call

    def use(self, value: Any) -> None:
        """Note that a call reads a parameter, or calls a layer."""
        self.used.setdefault(id(value), value)

    def forget(self, before: Record) -> None:
        """Roll back a first call that failed; names of layers that remain stay taken."""
        made = {id(m.value) for m in self.made.values()}
        if not self.used.keys() - before.used.keys() - made:
            self.names.clear()
            self.names |= before.names
        self.made, self.used = before.made, before.used


@dataclass(eq=False)
class Frame:
    """One active call of an owner."""

    record: Record
    outer: Frame | None
    bottom: FrameType  # where the call was entered
    delegates: bool = False  # whether what is made belongs to the call around this one, too
    counts: dict[Path, int] = field(default_factory=dict)
    inner: set[Any] = field(default_factory=set)  # nodes that calls inside this one made

    def construct(self, kind: str, settings: Any, make: Callable[[], Any]) -> Any:
        """What the first call made at this place, or now makes."""
        path = _path(self.bottom)
        count = self.counts[path] = self.counts.get(path, 0) + 1
        key = (path, count)
        found = self.record.made.get(key)
        if found is not None:
            self._check(found, kind, settings)
            return found.value
        origin = origins.find_origin()
        if self.record.whole:
            self._refuse_new(kind, settings, origin)
        value = self._make(kind, settings, make)
        self.record.made[key] = Constructed(kind, settings, origin, value)
        return value

    def _make(self, kind: str, settings: Any, make: Callable[[], Any]) -> Any:
        token = _frame.set(None)  # what it is made of is its own
        try:
            if self.delegates and self.outer is not None:
                return self.outer.construct(kind, settings, make)
            return make()
        finally:
            _frame.reset(token)

    def _check(self, found: Constructed, kind: str, settings: Any) -> None:
        if found.kind == kind and same(found.settings, settings):
            return
        first, now = _text(found.kind, found.settings), _text(kind, settings)
        raise ArgumentError(
            f"{self.record.title}: this call makes {now} where its first one made {first}",
            operands=(("first", first, found.origin), ("now", now, origins.find_origin())),
            origin=origins.find_origin(),
            hint="calls of one layer share their weights, so all must make the same",
        )

    def _refuse_new(self, kind: str, settings: Any, origin: Origin) -> None:
        now = _text(kind, settings)
        made = [("first", _text(m.kind, m.settings), m.origin) for m in self.record.made.values()]
        raise ArgumentError(
            f"{self.record.title}: this call makes {now}, its first one made"
            f" {'others' if made else 'nothing'}: these weights would be new, not trained ones",
            operands=(*made[:4], ("now", now, origin)),
            origin=origin,
            hint="make layers in __init__, or the same ones in every call",
        )


_frame: ContextVar[Frame | None] = ContextVar("graphc_owner", default=None)


def construct(kind: str, settings: Any, make: Callable[[], T]) -> T:
    """Make something that has weights, or get what the first call of the owner made here."""
    frame = _frame.get()
    made: T = make() if frame is None else frame.construct(kind, settings, make)
    return made


def call(owner: Any, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a layer's function in the scope of the layer; without a name, in the present scope."""
    record: Record = owner._record
    outer = _frame.get()
    if outer is not None and outer.record is record:  # super().__call__(x)
        return function(owner, *args, **kwargs)
    if outer is not None:
        outer.record.use(owner)
    record.title = name or record.title
    scope = naming.inside(name, record.names) if name else nullcontext()
    with _entered(Frame(record, outer, sys._getframe()), (args, kwargs)), scope:
        result = function(owner, *args, **kwargs)
    record.last = Traced(tuple(_nodes((args, kwargs))), tuple(_nodes(result)))
    for claim in tuple(record.pending):
        if not _has_pending_claim(outer, claim):  # else the call around this one knows all names
            claim(owner)
        record.pending.remove(claim)
    return result


def _has_pending_claim(frame: Frame | None, claim: Any) -> bool:
    """Whether an active call will resolve a claim when it returns."""
    while frame is not None:
        if claim in frame.record.pending:
            return True
        frame = frame.outer
    return False


def traced_repeatedly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function whose several traces count as one call, such as a loop body."""
    record = Record(getattr(function, "__name__", "body"))

    def run(*args: Any) -> Any:
        with _entered(Frame(record, _frame.get(), sys._getframe(), delegates=True), args):
            result = function(*args)
        outer = _frame.get()
        for value in record.used.values() if outer is not None else ():
            outer.record.use(value)  # type: ignore[union-attr]
        return result

    return run


@contextmanager
def _entered(frame: Frame, arguments: Any) -> Iterator[None]:
    given = set(_nodes(arguments))
    record = frame.record
    before = replace(
        record, made=dict(record.made), used=dict(record.used), names=dict(record.names)
    )
    token = _frame.set(frame)
    try:
        with origins.collecting_nodes() as nodes:
            yield
    except BaseException:
        if not record.whole and not frame.delegates:
            record.forget(before)
        raise
    finally:
        _frame.reset(token)
    record.whole = True
    for node in nodes:
        read = () if node in frame.inner else node.inputs
        for source in read:
            if isinstance(source.op, leaf.Parameter) and source not in given:
                record.use(source.handle)
    if frame.outer is not None:
        frame.outer.inner.update(nodes)


def _nodes(value: Any, depth: int = 8) -> Iterator[Node]:
    """The nodes of the tensors in nested tuples, lists and dicts."""
    node = getattr(value, "node", None)
    if isinstance(node, Node):
        yield node
    elif isinstance(value, (list, tuple, dict)) and depth:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _nodes(inner, depth - 1)


def _path(bottom: FrameType) -> Path:
    """Where the user's program is, from the call of the layer on."""
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not bottom:
        if origins.is_user(frame):
            found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


# ------------------------------------------------------------------------ settings


def same(a: Any, b: Any, depth: int = 4) -> bool:
    """Whether two settings are the same, as far as can be told.

    Functions are when they come from the same text and hold the same values.
    """
    if a is b or depth == 0:
        return True
    if type(a) is not type(b) or hasattr(type(a), "parameters"):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(p, q, depth) for p, q in zip(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k], depth) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, FunctionType):
        first, second = ([c.cell_contents for c in f.__closure__ or ()] for f in (a, b))
        return a.__code__ is b.__code__ and same(first, second, depth - 1)
    return bool(a == b) if isinstance(a, (bool, int, float, str, np.generic)) else True


def _text(kind: str, settings: Any) -> str:
    args, kwargs = settings
    parts = [_short(a) for a in args] + [f"{k}={_short(v)}" for k, v in kwargs.items()]
    return f"{kind}({', '.join(parts)})"


def _short(value: Any) -> str:
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return f"{value!r:.40}"
