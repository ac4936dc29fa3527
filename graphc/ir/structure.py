"""Pytrees: nested tuples, lists and dicts, flattened and rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import ArgumentError

Key = int | str
Nested = Any  # nested tuples, lists and dicts of tensors


@dataclass(frozen=True)
class Structure:
    """The shape of a nested structure: `kind` is None at a leaf, else the container's class."""

    kind: type | None
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()

    @property
    def leaf_count(self) -> int:
        """Number of leaves."""
        return 1 if self.kind is None else sum(child.leaf_count for child in self.children)

    def build(self, leaves: Sequence[Any]) -> Any:
        """The structure with these leaves, in the order of `flatten`."""
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.kind is None:
            return next(leaves)
        values = [child._build(leaves) for child in self.children]
        if issubclass(self.kind, Mapping):
            return dict(zip(self.keys, values))
        kind: Any = self.kind
        if hasattr(kind, "_fields"):  # a named tuple
            return kind(*values)
        return kind(values)

    def paths(self, prefix: tuple[Key, ...] = ()) -> list[tuple[Key, ...]]:
        """For every leaf, the keys that lead to it."""
        if self.kind is None:
            return [prefix]
        return [
            path
            for key, child in zip(self.keys, self.children)
            for path in child.paths((*prefix, key))
        ]

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        inner = [str(child) for child in self.children]
        if issubclass(self.kind, Mapping):
            return "{" + ", ".join(f"{k!r}: {c}" for k, c in zip(self.keys, inner)) + "}"
        return ("[{}]" if self.kind is list else "({})").format(", ".join(inner))


LEAF = Structure(None)


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """The leaves of nested tuples, lists and dicts (in their own order), and the structure."""
    leaves: list[Any] = []
    try:
        return leaves, _flatten(value, leaves)
    except RecursionError:
        raise ArgumentError("a structure is nested too deeply, or holds itself") from None


def _flatten(value: Any, leaves: list[Any]) -> Structure:
    if isinstance(value, Mapping):
        children = tuple(_flatten(v, leaves) for v in value.values())
        return Structure(dict, tuple(value), children)
    if isinstance(value, (list, tuple)):
        children = tuple(_flatten(v, leaves) for v in value)
        return Structure(type(value), tuple(range(len(value))), children)
    leaves.append(value)
    return LEAF


def map_structure(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with the function applied to every leaf."""
    leaves, structure = flatten(value)
    return structure.build([function(leaf) for leaf in leaves])


def flatten_like(structure: Structure, value: Any, what: str) -> list[Any]:
    """The leaves of a value that must have a given structure."""
    leaves, found = flatten(value)
    if not _matches(structure, found):
        raise ArgumentError(f"{what} must be structured like {structure}, got {found}")
    if str(structure) == str(found):
        return leaves
    # dicts with the same keys in another order
    return _pick(structure, value)


def _matches(wanted: Structure, found: Structure) -> bool:
    if wanted.kind is None or found.kind is None:
        return wanted.kind is found.kind
    if wanted.kind is dict or found.kind is dict:
        if wanted.kind is not found.kind or set(wanted.keys) != set(found.keys):
            return False
        table = dict(zip(found.keys, found.children))
        return all(_matches(c, table[k]) for k, c in zip(wanted.keys, wanted.children))
    if len(wanted.children) != len(found.children):
        return False
    return all(_matches(w, f) for w, f in zip(wanted.children, found.children))


def _pick(wanted: Structure, value: Any) -> list[Any]:
    if wanted.kind is None:
        return [value]
    return [leaf for k, c in zip(wanted.keys, wanted.children) for leaf in _pick(c, value[k])]
