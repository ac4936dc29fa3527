"""The hash table by which native code finds the variant for a call."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_void_p

from graphc_llvm.runtime import structs
from graphc_llvm.runtime.bound_code import BoundCode

MAX_LISTED = 8  # variants that are tried one after the other; of more, those in one bucket are
BUCKETS = 256
_FACTOR, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


class Lookup:
    """The chains of bound variants in a function's table: one, or one for each bucket.

    The caller holds the function's guards. A chain is changed by one word at a time: calls of
    other threads may be walking along it.
    """

    def __init__(self, table: structs.FunctionStruct) -> None:
        self._table = table
        self._buckets = (c_void_p * BUCKETS)()
        self._chains: dict[int, list[BoundCode]] = {}

    @property
    def built(self) -> bool:
        """Whether calls find anything."""
        return bool(self._table.first)

    def drop(self) -> None:
        """Clear the table."""
        self._table.first = None

    def build(self, variants: Sequence[BoundCode]) -> None:
        """Rebuild the table; of two variants for the same shapes the first wins."""
        hashed = len(variants) > MAX_LISTED
        self._chains = {}
        for variant in variants:
            self._chains.setdefault(bucket(variant) if hashed else 0, []).append(variant)
        for i in range(BUCKETS):
            self._buckets[i] = None
        for where in self._chains:
            self._link(where, hashed)
        self._table.buckets = structs.address(self._buckets) if hashed else None
        self._table.version += 1
        self._table.first = variants[0].address if variants else None

    def takes_one_more(self, count: int) -> bool:
        """Whether a variant can join the `count` that are found without building all anew."""
        return self.built and (count < MAX_LISTED or bool(self._table.buckets))

    def add(self, variant: BoundCode) -> None:
        """Insert a variant in front of the others."""
        hashed = bool(self._table.buckets)
        where = bucket(variant) if hashed else 0
        self._chains.setdefault(where, []).insert(0, variant)
        self._link(where, hashed)
        self._table.version += 1
        self._table.first = variant.address

    def remove(self, variant: BoundCode) -> None:
        """Remove one variant."""
        hashed = bool(self._table.buckets)
        where = bucket(variant) if hashed else 0
        self._chains[where].remove(variant)
        self._link(where, hashed)
        self._table.version += 1
        rest = next((chain[0] for chain in self._chains.values() if chain), None)
        self._table.first = None if rest is None else rest.address

    def _link(self, where: int, hashed: bool) -> None:
        following = None
        for variant in reversed(self._chains[where]):
            variant.table.next = following
            following = variant.address
        if hashed:
            self._buckets[where] = following


def bucket(variant: BoundCode) -> int:
    """Where a variant is found, from the sizes of its inputs; arguments.ll says the same."""
    code = 0
    for given in variant.description.inputs:
        for size in given.shape:
            code = (code + size) * _FACTOR & _MASK
    return code >> 56
