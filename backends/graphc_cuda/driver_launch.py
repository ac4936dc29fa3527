"""One launch as the driver takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.types import Array

Handle = Any  # of a stream, an event, a module, a function, a graph or a node


@dataclass(frozen=True, eq=False)
class Launch:
    """A kernel on addresses: what the driver wants to know of one launch.

    `shared` are bytes of shared memory that the code does not name itself, `addresses` the
    arguments, `slots` where the driver finds each of them.
    """

    function: Handle
    grid: int
    block: int
    shared: int
    addresses: Array
    slots: Array

    @staticmethod
    def of(
        function: Handle, grid: int, block: int, shared: int, addresses: Sequence[int]
    ) -> Launch:
        """A launch whose arguments can be changed later in `addresses`."""
        values = np.array(addresses, np.uint64)
        start, each = values.ctypes.data, values.itemsize
        slots = np.array([start + i * each for i in range(len(values))], np.uint64)
        return Launch(function, grid, block, shared, values, slots)
