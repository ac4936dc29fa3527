"""Training steps on a GPU beside PyTorch and JAX, in turn, several rounds, as ratios.

    python -m tests.benchmarks.gpu.run [SETTING ...] [--rounds 3] [--seconds 2] [--json FILE]

Each measurement is a process of its own; within a round the systems alternate. GRAPHC_PEERS names
a Python that has torch, jax and optax for the GPU (this one if unset); systems that are missing
there are left out, with the reason. `--rehearse` runs everything on this CPU, graphc in its
simulator, at tiny sizes: to try the programs, the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[3]
PEERS = os.environ.get("GRAPHC_PEERS", sys.executable)
SYSTEMS = ("graphc", "torch eager", "torch compile", "jax")
LIMIT = 150.0  # seconds of a measurement with its compilation
HEADS = ("system", "device ms", "call ms", "rounds", "x graphc", "call x", "first s", "x bound")
Result = dict[str, Any]


def run_once(
    system: str, name: str, seconds: float, rehearse: bool = False, limit: float = LIMIT
) -> Result:
    """The result of one process, or its error."""
    python = sys.executable if system == "graphc" else PEERS
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    env |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    device = "cpu" if rehearse else "cuda"
    command = [python, "-m", "tests.benchmarks.gpu.one", system, name, device, str(seconds)]
    command += ["tiny"] * rehearse
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {limit:.0f} s"}
    if done.returncode:
        return {"error": done.stderr.strip()[-1500:] or f"ended with {done.returncode}"}
    found: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return found


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

    What has not begun at the time `end` is left out.
    """
    results: dict[str, list[Result]] = {system: [] for system in systems}
    for _ in range(rounds):
        for system, found in results.items():
            if time.time() > end or (found and "error" in found[-1]):
                continue
            limit = min(LIMIT, max(10.0, end - time.time()))
            found.append(run_once(system, name, seconds, rehearse, limit))
            last = found[-1]
            why = last.get("error", "").splitlines()
            report(f"{name} {system}: {why[-1] if why else summary(last)}")
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
