"""What one block of threads can do of what launches do, and whether it pays."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.types import bool_
from graphc_cuda.device.program import (
    GRID_SIZE,
    WARP,
    Barrier,
    Declare,
    DeviceKernel,
    For,
    If,
    Intrinsic,
    Literal,
    Op,
    Return,
    Shuffle,
    Special,
    Stmt,
    WarpBarrier,
    While,
    bodies,
    operands_of,
    values_of,
    walk,
)

LAUNCH_SECONDS = 2.5e-6  # of a node in a graph
PASS_SECONDS = 0.6e-6  # in which a block of many threads does its share and meets
TURN_SECONDS = 2e-8  # of a loop of a thread that loads what is near
UNKNOWN_TURNS = 16  # where the number depends on values
THREADS = 512  # of the block, where no launch has barriers
SHARED_BYTES = 48 * 1024  # of the block
MOVABLE = ("atomic_min",)  # what a thread does by itself


def saving(grid: int, threads: int, turns: int, width: int = THREADS) -> float:
    """Seconds that a block of `width` saves over a launch, whose threads go through `turns`."""
    passes = -(-grid * threads // width)
    more = (passes - 1) * turns * TURN_SECONDS
    return LAUNCH_SECONDS - passes * PASS_SECONDS - more


def width_of(kernel: DeviceKernel) -> int:
    """The threads of a block that can do the work of a kernel's blocks; 0 where none can."""
    return THREADS if is_free(kernel) else kernel.block * _is_whole(kernel)


def turns_of(body: Sequence[Stmt]) -> int:
    """How often a thread goes through the loops inside, about."""
    total = 1
    for stmt in body:
        inside = max((turns_of(b) for b in bodies(stmt)), default=0)
        total += inside * _count(stmt)
    return total


def _count(stmt: Stmt) -> int:
    if isinstance(stmt, For):
        ends = (stmt.start, stmt.stop, stmt.step)
        if all(isinstance(x, Literal) for x in ends):
            start, stop, step = (int(x.value) for x in ends if isinstance(x, Literal))
            return len(range(start, stop, step))
    return UNKNOWN_TURNS if isinstance(stmt, (For, While)) else 1


def is_free(kernel: DeviceKernel) -> bool:
    """Whether any warp of a block may do the work of any other."""
    every = list(walk(without_return(kernel.body)))
    if kernel.block > THREADS or any(isinstance(s, (Barrier, Declare, Return)) for s in every):
        return False
    if kernel.block % WARP and any(isinstance(s, (Shuffle, WarpBarrier)) for s in every):
        return False
    if any(isinstance(s, Intrinsic) and s.function not in MOVABLE for s in every):
        return False
    return not _asks_for_grid(every)


def _is_whole(kernel: DeviceKernel) -> bool:
    """Whether the threads of one block can do the work of all blocks, one after the other."""
    every = list(walk(without_return(kernel.body)))
    if kernel.block % WARP or any(isinstance(s, Return) for s in every):
        return False
    return kernel.shared_bytes <= SHARED_BYTES and not _asks_for_grid(every)


def _asks_for_grid(body: Sequence[Stmt]) -> bool:
    waiting = [v for s in body for v in values_of(s)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Special) and value.name == GRID_SIZE.name:
            return True
        waiting += operands_of(value)
    return False


def without_return(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The same, where a thread that is done goes past the rest: there are barriers after it."""
    for i, stmt in enumerate(body):
        match stmt:
            case If(condition=condition, body=(Return(),), otherwise=()):
                goes_on = Op(bool_, "logical_not", (condition,))
                return (*body[:i], If(goes_on, without_return(body[i + 1 :])))
    return body
