"""How long a schedule takes, roughly: enough to decide about threads and the interpreter lock."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.dims import evaluate
from graphc.schedule import Schedule

# One core of a server processor of the 2020s; only the order of magnitude matters.
FLOPS_PER_SECOND = 60e9
BYTES_PER_SECOND = 30e9
SECONDS_PER_CALL = 50e-9
PARALLEL_SECONDS = 8e-6  # below this, meeting other threads costs more than they give


def estimate_seconds(schedule: Schedule, dims: Mapping[str, int]) -> float:
    """Seconds of one step on one thread."""
    total = 0.0
    for call in schedule.calls:
        compute = evaluate(call.flops, dims) / FLOPS_PER_SECOND
        memory = evaluate(call.bytes, dims) / BYTES_PER_SECOND
        total += max(compute, memory) + SECONDS_PER_CALL
    return total


def choose_threads(seconds: float, most: int) -> int:
    """How many threads a step of this length pays for."""
    return most if seconds > PARALLEL_SECONDS else 1
