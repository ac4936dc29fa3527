"""Two times of a step: a call with arrays of the host, and a step with inputs on the device.

The second does not wait for a step before it starts the next: it is what a training loop costs
that looks at its losses seldom.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

CLOCK = time.perf_counter
CHUNK = 10  # steps between two looks at the clock


@dataclass(frozen=True)
class Timed:
    """A step: `call` takes numpy arrays and returns the loss as a float.

    `replay` takes what `put` made of them and returns at once, `wait` waits for all of it; None
    where a system has no such form. `parameters` is how many numbers are trained.
    """

    call: Callable[..., float]
    replay: Callable[..., Any] | None
    put: Callable[..., tuple[Any, ...]]
    wait: Callable[[], None]
    parameters: int


def prepare(step: Timed, batches: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """The first call, which compiles, and a warm-up."""
    begin = CLOCK()
    first = step.call(*batches[0])
    seconds = CLOCK() - begin
    for i in range(1, 5):
        step.call(*batches[i % len(batches)])
    return {"first_call_s": seconds, "first_loss": first, "parameters": step.parameters}


def measure(step: Timed, batches: Sequence[tuple[Any, ...]], seconds: float) -> dict[str, Any]:
    """Milliseconds of both forms, each measured for half of the time."""
    times: list[float] = []
    end = CLOCK() + seconds / 2
    while CLOCK() < end or len(times) < 3:
        start = CLOCK()
        last = step.call(*batches[len(times) % len(batches)])
        times.append(CLOCK() - start)
    found = {"call_ms": statistics.median(times) * 1e3, "call_min_ms": min(times) * 1e3}
    return found | {"calls": len(times), "last_loss": last} | _replay(step, batches, seconds / 2)


def _replay(step: Timed, batches: Sequence[tuple[Any, ...]], seconds: float) -> dict[str, Any]:
    if step.replay is None:
        return {"device_ms": None}
    placed = [step.put(*batch) for batch in batches]
    for batch in placed:
        step.replay(*batch)
    step.wait()
    times: list[float] = []
    end = CLOCK() + seconds
    while CLOCK() < end or len(times) < 3:
        start = CLOCK()
        for i in range(CHUNK):
            step.replay(*placed[i % len(placed)])
        step.wait()
        times.append((CLOCK() - start) / CHUNK)
    return {"device_ms": statistics.median(times) * 1e3, "device_min_ms": min(times) * 1e3}
