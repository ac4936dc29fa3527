"""A rough cost model of schedules, to choose threads and whether to release the GIL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.ir.dims import Size, evaluate, nominal
from graphc.ir.schedule import KernelCall, LoopCall, Schedule

# One core of a server processor of the 2020s; only the order of magnitude matters.
FLOPS_PER_SECOND = 60e9
BYTES_PER_SECOND = 30e9
SECONDS_PER_CALL = 50e-9
SECONDS_PER_BARRIER = 100e-9  # of all threads, at a barrier
PARALLEL_SECONDS = 8e-6  # below this, barriers cost more than threads save


def estimate_seconds(schedule: Schedule, dims: Mapping[str, int]) -> float:
    """Seconds of one step on one thread."""
    total = 0.0
    for call in schedule.calls:
        compute = evaluate(call.flops, dims) / FLOPS_PER_SECOND
        memory = evaluate(call.bytes, dims) / BYTES_PER_SECOND
        total += max(compute, memory) + SECONDS_PER_CALL
    return total


def iteration_seconds(call: LoopCall, dims: Mapping[str, int] | None) -> float:
    """Seconds of one iteration of a loop, where `dims` is None for sizes of usual magnitude."""

    def number(size: Size) -> int:
        return nominal(size) if dims is None else evaluate(size, dims)

    compute = number(call.flops) / FLOPS_PER_SECOND
    memory = number(call.bytes) / BYTES_PER_SECOND
    calls = SECONDS_PER_CALL * len(call.repeated)
    return max(compute, memory) / max(1, number(call.length)) + calls


def count_barriers(
    calls: Sequence[KernelCall], barriers: frozenset[int], dims: Mapping[str, int]
) -> int:
    """How many barriers all threads pass in a step, in every iteration of its loops too."""
    found = len(barriers)
    for call in calls:
        if isinstance(call, LoopCall):
            each = 1 + count_barriers(call.repeated, call.barriers, dims)
            found += evaluate(call.length, dims) * each + len(call.before) + len(call.after)
    return found


def choose_threads(seconds: float, barriers: int, most: int) -> int:
    """The number of threads that pay off: parallel savings must exceed the cost of barriers."""
    saved = seconds - seconds / most
    return most if seconds > PARALLEL_SECONDS and saved > barriers * SECONDS_PER_BARRIER else 1
