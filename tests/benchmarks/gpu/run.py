"""Training steps on a GPU beside PyTorch and JAX, in turn, several rounds, as ratios.

    python -m tests.benchmarks.gpu.run [SETTING ...] [--rounds 3] [--seconds 2] [--json FILE]

Each system is a process of its own; within a round they alternate. GRAPHC_PEERS names a Python that
has torch, jax and optax for the GPU (this one if unset); systems that are missing there are left
out, with the reason. `--rehearse` runs everything on this CPU, graphc in its
simulator, at tiny sizes: to try the programs, the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.settings import SETTINGS
from tests.benchmarks.gpu.system import Result, System

SYSTEMS = ("graphc", "torch eager", "torch compile", "jax")
LIMIT = 400.0  # seconds of a setting with all compilations
HEADS = ("system", "device ms", "call ms", "rounds", "x graphc", "call x", "first s", "x bound")


def compare(
    name: str,
    rounds: int,
    seconds: float,
    rehearse: bool = False,
    report: Callable[[str], object] = lambda line: None,
    end: float = float("inf"),
    systems: Sequence[str] = SYSTEMS,
) -> dict[str, list[Result]]:
    """All results by system, in turn; a system that fails is not asked again.

    All of them compile at the same time; none works while another one is measured.
    """
    end = min(end, time.time() + LIMIT)
    ready = end - rounds * len(systems) * (seconds + 1)
    started = {system: System(system, name, rehearse) for system in systems}
    try:
        for system in started.values():
            system.wait(ready)
        return _rounds(name, started, rounds, seconds, report, end)
    finally:
        for system in started.values():
            system.close()


def _rounds(
    name: str,
    started: dict[str, System],
    rounds: int,
    seconds: float,
    report: Callable[[str], object],
    end: float,
) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {system: [] for system in started}
    for _ in range(rounds):
        for name_of, system in started.items():
            if "error" not in system.known:
                found = system.measure(seconds, end + 2 * seconds)
                results[name_of].append(system.known | found)
            why = system.known.get("error", "").splitlines()
            report(f"{name} {name_of}: {why[-1] if why else summary(results[name_of][-1])}")
    for name_of, system in started.items():
        if "error" in system.known:
            results[name_of].append({"error": system.known["error"]})
    return results


def summary(result: Result) -> str:
    """A result in a few words."""
    device = result["device_ms"]
    return f"call {result['call_ms']:.3f} ms" + (f", device {device:.3f} ms" if device else "")


def medians(results: dict[str, list[Result]]) -> dict[str, Result]:
    """Medians over rounds, and ratios to graphc: of steps on the device, and of calls."""
    found: dict[str, Result] = {}
    for system, rows in results.items():
        good = [r for r in rows if "error" not in r]
        if not good:
            found[system] = {"error": rows[-1]["error"] if rows else "no time left"}
            continue
        row: Result = {"rounds": len(good)}
        for key in ("device_ms", "call_ms", "first_call_s"):
            values = [r[key] for r in good if r[key] is not None]
            row[key] = statistics.median(values) if values else None
            row[f"{key}_rounds"] = values
        row |= {k: good[0][k] for k in ("first_loss", "parameters")}
        row |= {k: good[0][k] for k in ("bound_ms", "flops", "bytes") if k in good[0]}
        found[system] = row
    mine = found.get("graphc", {})
    for row in found.values():
        for key in ("device_ms", "call_ms"):
            if row.get(key) and mine.get(key):
                row[f"{key}_ratio"] = row[key] / mine[key]
    return found


def table(name: str, found: dict[str, Result]) -> str:
    """The medians of a setting in Markdown."""
    bound = found.get("graphc", {}).get("bound_ms")
    lines = [f"**{name}**", "", f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    for system, row in found.items():
        if "error" in row:
            lines.append(f"| {system} | {row['error'].splitlines()[-1][:100]} |")
            continue
        device = row["device_ms"]
        cells = [system, _number(device), _number(row["call_ms"]), str(row["rounds"])]
        cells += [_number(row.get(f"{k}_ratio"), 2) for k in ("device_ms", "call_ms")]
        cells.append(_number(row["first_call_s"], 1))
        cells.append(_number(device / bound if device and bound else None, 1))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("settings", nargs="*", default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for all")
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    everything: dict[str, Any] = {}
    end = time.time() + options.budget
    say = lambda line: sys.stderr.write(line + "\n")  # noqa: E731
    for name in options.settings:
        rows = compare(
            name, options.rounds, options.seconds, options.rehearse, say, end, options.systems
        )
        everything[name] = medians(rows)
        sys.stdout.write(table(name, everything[name]) + "\n\n")
        if options.json:
            options.json.write_text(json.dumps(everything, indent=1))
    return int(any("error" in found.get("graphc", {}) for found in everything.values()))


if __name__ == "__main__":
    sys.exit(main())
