"""Bytes for compiled code: aligned, backed by large pages where that helps."""

from __future__ import annotations

import numpy as np

from graphc.errors import MemoryBudgetError
from graphc.ir.limits import physical_bytes
from graphc.ir.types import Array
from graphc_llvm.target import CACHE_LINE

HUGE_PAGE_BYTES = 2 << 20


def aligned_bytes(count: int, *, zero: bool = False) -> Array:
    """`count` bytes at the beginning of a cache line; of 2 MiB from that size on.

    What they hold is undefined unless `zero`. Pages come into being when they are first touched.
    """
    alignment = HUGE_PAGE_BYTES if count >= HUGE_PAGE_BYTES else CACHE_LINE
    whole = (np.zeros if zero else np.empty)(count + alignment, np.uint8)
    start = -whole.ctypes.data % alignment
    return whole[start : start + count]


class Workspace:
    """The arena and the threads' scratch of one function, shared by its variants.

    Contents are undefined between calls.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.arena = aligned_bytes(0)
        self.scratch = aligned_bytes(0)

    def has(self, arena_bytes: int, scratch_bytes: int) -> bool:
        """Whether there is room."""
        return arena_bytes <= self.arena.size and scratch_bytes <= self.scratch.size

    def reserve(self, arena_bytes: int, scratch_bytes: int, spare: bool = False) -> None:
        """Make room, with `spare` for half as much again; contents are lost.

        Raises MemoryBudgetError naming the size.
        """
        if arena_bytes > self.arena.size:
            self.arena = aligned_bytes(0)  # first give back what is too small
            wanted = arena_bytes + arena_bytes // 2 if spare else arena_bytes
            self.arena = self._allocate("arena", wanted)
        if scratch_bytes > self.scratch.size:
            self.scratch = aligned_bytes(0)
            self.scratch = self._allocate("threads' scratch", scratch_bytes)

    def _allocate(self, what: str, count: int) -> Array:
        total = physical_bytes()
        if total is None or count <= total:
            try:
                return aligned_bytes(count)
            except MemoryError:
                pass
        has = "" if total is None else f"; this machine has {total / 1e9:.3f} GB"
        raise MemoryBudgetError(f"{self._name}: the {what} needs {count / 1e9:.3f} GB{has}")
