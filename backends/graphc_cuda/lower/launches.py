"""What a kernel of the loop level becomes: launches, and the memory that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphc.ir.loops.ir import Buffer
from graphc_cuda.device.program import (
    DeviceArray,
    DeviceKernel,
    Get,
    Intrinsic,
    Put,
    Stmt,
    Value,
    operands_of,
    values_of,
    walk,
)
from graphc_cuda.library.find import FoundProduct
from graphc_cuda.lower.mapping import Segment

STATUS = "status"  # the source of the word that a failed check lowers


@dataclass(frozen=True, eq=False)
class Work:
    """Global memory that the launches of one kernel call share: nothing of it outlives the call."""

    name: str
    array: DeviceArray


@dataclass(frozen=True, eq=False)
class LoweredLaunch:
    """A device kernel with its grid; a source for each array: a buffer, work, or the status.

    Where a library computes a `product`, the kernel has no statements; its arrays are a, b, c, the
    workspace and, where it has one, the bias.
    """

    kernel: DeviceKernel
    grid: int
    sources: tuple[Buffer | Work | str, ...]
    segment: Segment
    product: FoundProduct | None = None


def arrays_in(body: Sequence[Stmt]) -> Iterator[DeviceArray]:
    """The arrays that statements touch."""
    waiting: list[Value] = []
    for stmt in walk(body):
        waiting += values_of(stmt)
        if isinstance(stmt, Put):
            yield stmt.array
        if isinstance(stmt, Intrinsic):
            yield from (x for x in stmt.operands if isinstance(x, DeviceArray))
    seen: set[Value] = set()
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Get):
            yield value.array
        waiting += operands_of(value)
