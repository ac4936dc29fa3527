"""The data set of a function's latest epoch, which may stay on a device until the next one."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc.forked import ProcessLock
from graphc.ir.types import Array
from graphc.runtime.backend import HeldData


class KeptData:
    """Arrays that nobody can change are held from one epoch to the next, while they are the same.

    They are given back with the first of them, with other arrays, or with what owns this.
    """

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._arrays: list[weakref.ref[Array]] = []
        self._ends: list[weakref.finalize[Any, Any]] = []
        self._held = HeldData()

    @contextmanager
    def of(self, arrays: Sequence[Array]) -> Iterator[HeldData | None]:
        """What is held for these arrays during an epoch; None where they may change after it."""
        with self._lock:
            known = [ref() for ref in self._arrays]
            same = len(known) == len(arrays) and all(a is b for a, b in zip(known, arrays))
            immutable = all(map(is_immutable, arrays))
            if not (same and immutable):
                self._release()
                self._keep(arrays if immutable else ())
            yield self._held if immutable else None

    def _keep(self, arrays: Sequence[Array]) -> None:
        self._held = HeldData()
        self._arrays = [weakref.ref(a) for a in arrays]
        if arrays:
            self._ends = [weakref.finalize(x, self._held.release) for x in (self, *arrays)]
        for end in self._ends:
            end.atexit = False

    def _release(self) -> None:
        for end in self._ends:
            end.detach()
        self._ends = []
        self._held.release()


def is_immutable(array: Array) -> bool:
    """Whether nobody can write to an array, through whatever it is a view of either."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None or isinstance(base, bytes)
