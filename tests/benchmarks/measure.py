"""Time steps in this process and report one line of JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

CLOCK = time.perf_counter


def machine_busy() -> float:
    """Processor seconds that the whole machine has been busy; 0 where the system does not tell."""
    try:
        with open("/proc/stat") as file:
            values = [int(v) for v in file.readline().split()[1:9]]
    except OSError:
        return 0.0
    idle = values[3] + values[4]
    return (sum(values) - idle) / os.sysconf("SC_CLK_TCK")


def measure(
    step: Callable[..., float], batches: Sequence[tuple[Any, ...]], seconds: float
) -> dict[str, float]:
    """Median milliseconds of a step over fresh minibatches in turn, after a warm-up.

    `step` takes numpy arrays and returns the loss as a Python float. `others` is how many
    processors somebody else kept busy meanwhile.
    """
    begin = CLOCK()
    first = step(*batches[0])
    first_call = CLOCK() - begin
    for i in range(1, 7):
        step(*batches[i % len(batches)])
    times: list[float] = []
    busy, own, begin = machine_busy(), time.process_time(), CLOCK()
    while CLOCK() - begin < seconds or len(times) < 5:
        start = CLOCK()
        last = step(*batches[len(times) % len(batches)])
        times.append(CLOCK() - start)
    wall = CLOCK() - begin
    others = (machine_busy() - busy - (time.process_time() - own)) / wall
    return {
        "median_ms": statistics.median(times) * 1e3,
        "min_ms": min(times) * 1e3,
        "steps": len(times),
        "first_call_s": first_call,
        "first_loss": first,
        "last_loss": last,
        "others": max(0.0, others),
    }


def report(result: dict[str, Any]) -> None:
    """Print the result where the driver finds it."""
    sys.stdout.write("\n" + json.dumps(result) + "\n")


def arguments() -> tuple[str, str, int, float]:
    """workload, variant, threads, seconds from the command line."""
    _, workload, variant, threads, seconds = sys.argv
    return workload, variant, int(threads), float(seconds)
