"""The sizes of a kernel's loops and buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import (
    Apply,
    Buffer,
    Const,
    Extent,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    exprs_in,
    walk,
    walk_exprs,
)
from graphc.ir.types import int64
from graphc_cuda.device.program import Variable
from graphc_cuda.lower.hazards import Nest, perfect_nest
from graphc_cuda.lower.scalar import index_of
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.lower.writer import Writer

BUSY_THREADS = 132 * 256  # that keep all multiprocessors busy
UNKNOWN_TRIPS = 2**31 - 1  # of a loop that data decides about
_IN_EXTENTS = (Apply, Const, Extent, Index)


class Sizes:
    """The sizes of a kernel's loops and buffers."""

    def __init__(self, kernel: Kernel, dims: Mapping[str, int]) -> None:
        self.dims = dims
        self._range: dict[Loop, tuple[int, int] | None] = {}
        self._measure(kernel.body, Writer(Functions(), dims))

    def _measure(self, body: Sequence[Stmt], w: Writer) -> None:
        """Note between what numbers the extent of every loop lies."""
        for loop in (s for s in body if isinstance(s, Loop)):
            found = None
            if all(isinstance(e, _IN_EXTENTS) for e in walk_exprs((loop.extent,))):
                found = w.evaluate(loop.extent).range
            self._range[loop] = found
            most = UNKNOWN_TRIPS if found is None else found[1]
            w.axes[loop.axis] = index_of(Variable(int64, loop.axis.name), 0, max(0, most - 1))
            self._measure(loop.body, w)

    def trips(self, loop: Loop) -> int:
        """The iterations of a loop at most."""
        found = self._range[loop]
        return UNKNOWN_TRIPS if found is None else max(0, found[1])

    def is_fixed(self, loop: Loop) -> bool:
        """Whether a loop always has as many iterations."""
        found = self._range[loop]
        return found is not None and found[0] == found[1]

    def points(self, body: Sequence[Stmt]) -> int:
        """How often the innermost statements run in all."""
        total = 0
        for stmt in body:
            inner = self.points(stmt.body) if isinstance(stmt, Loop) else 1
            total += self.trips(stmt) * max(1, inner) if isinstance(stmt, Loop) else 1
        return total

    def elements(self, buffer: Buffer) -> int:
        """The elements of a buffer."""
        return prod(evaluate(s, self.dims) for s in buffer.shape)

    def nest(self, loop: Loop) -> Nest:
        """The parallel loops that stand directly in each other and have fixed extents."""
        return perfect_nest(loop, self.is_fixed)


def is_separable(kernel: Kernel) -> bool:
    """Whether statements can be launches of their own: named values can be computed again."""
    stored = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    lets = [s for s in kernel.body if isinstance(s, Let)]
    read = {e.buffer for e in exprs_in(lets) if isinstance(e, Load)}
    return not read & stored
