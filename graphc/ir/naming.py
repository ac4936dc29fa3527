"""Automatic names, of layers, optimisers and random draws that the user did not name.

A name is the scope, the kind and a running number: dense, dense_1, ...; model/dropout, ....
Each pair of scope and kind counts by itself, so an edit in one scope renames nothing in another.
`restart` begins again; seeding calls it, so a notebook cell that starts with a seed builds the
same model, names and streams included, each time it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from graphc import origin as origins

_given: dict[str, int] = {}
_kinds: dict[str, str] = {}  # of names that the library gave
_counts: ContextVar[dict[str, int]] = ContextVar("graphc_names", default=_given)


def automatic(kind: str) -> str:
    """The next name of a kind in the present scope, scope included."""
    name = numbered(_counts.get(), scoped(kind))
    _kinds[name] = kind
    return name


def kind_of(path: str) -> str | None:
    """The kind of the last part of a name if the library gave it; also of a name behind another
    (adam/dense_1)."""
    while path:
        if path in _kinds:
            return _kinds[path]
        path = path.partition("/")[2]
    return None


def scoped(name: str) -> str:
    """A name that the user gave, with the present scope."""
    return origins.current().scope + name


def numbered(given: dict[str, int], name: str) -> str:
    """The name itself when it is new, else with the next number that makes it new."""
    count = given.get(name, 0)
    made = f"{name}_{count}" if count else name
    while made in given and made != name:
        count += 1
        made = f"{name}_{count}"
    given[name] = count + 1
    given.setdefault(made, 1)
    return made


def of_call(counts: dict[str, int], name: str) -> str:
    """The stream of a layer's call, which no other layer has: NAME, then NAME/call_1, ..."""
    count = counts.get(name, 0)
    counts[name] = count + 1
    return f"{name}/call_{count}" if count else name


@contextmanager
def inside(scope: str, given: dict[str, int]) -> Iterator[None]:
    """Make names in this whole scope, counted in a table of its own."""
    token = _counts.set(given)
    try:
        with origins.root_scope(), origins.name_scope(scope):
            yield
    finally:
        _counts.reset(token)


@contextmanager
def counted_apart() -> Iterator[None]:
    """Make names that begin again, outside of all scopes, for as long as the block lasts."""
    token = _counts.set({})
    try:
        with origins.root_scope():
            yield
    finally:
        _counts.reset(token)


def restart() -> None:
    """Begin counting again."""
    _given.clear()
