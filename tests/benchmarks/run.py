"""Training steps side by side: graphc and its peers in turn, several rounds, as ratios.

    python -m tests.benchmarks.run [WORKLOAD ...] [--rounds 5] [--seconds 1.5] [--threads 2]

Each measurement is a process of its own; within a round the systems alternate, and a
measurement during which others used the machine is repeated. GRAPHC_PEERS names a Python that
has torch, jax and optax (this one if unset); systems that do not import are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import machine_busy
from tests.benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
PEERS = os.environ.get("GRAPHC_PEERS", sys.executable)
SYSTEMS = {
    "graphc": (sys.executable, "ours", ""),
    "torch eager": (PEERS, "peer_torch", "eager"),
    "torch compile": (PEERS, "peer_torch", "compile"),
    "jax jit": (PEERS, "peer_jax", "jit"),
}
DISTURBED = 0.12  # processors that others may use before a measurement is repeated


def wait_until_quiet(limit: float = 30.0) -> None:
    """Return when nobody uses the processors, or after `limit` seconds."""
    end = time.time() + limit
    while time.time() < end:
        before = machine_busy()
        time.sleep(0.4)
        if machine_busy() - before < 0.06:
            return


def run_once(system: str, workload: str, threads: int, seconds: float) -> dict[str, Any] | None:
    """The result of one process; None where the system is not there."""
    python, module, variant = SYSTEMS[system]
    number = str(threads)
    limits = {"OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number}
    paths = [str(ROOT), str(ROOT / "backends")]
    extra = {"PYTHONPATH": os.pathsep.join(paths)} if system == "graphc" else {}
    best: dict[str, Any] | None = None
    for _ in range(3):
        wait_until_quiet()
        command = [
            python,
            "-m",
            f"tests.benchmarks.{module}",
            workload,
            variant,
            number,
            str(seconds),
        ]
        env = os.environ | limits | extra
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        if done.returncode:
            sys.stderr.write(f"{system} {workload}: {done.stderr.strip()[-300:]}\n")
            return None
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        if best is None or result["others"] < best["others"]:
            best = result
        if best["others"] < DISTURBED:
            break
    return best


def compare(workload: str, rounds: int, threads: int, seconds: float) -> dict[str, list[Any]]:
    """All results by system; the systems take turns."""
    results: dict[str, list[Any]] = {system: [] for system in SYSTEMS}
    for _ in range(rounds):
        for system, found in results.items():
            result = run_once(system, workload, threads, seconds)
            if result is not None:
                found.append(result)
    return {system: found for system, found in results.items() if found}


def table(workload: str, results: dict[str, list[Any]]) -> Table:
    """Milliseconds, spread and ratios to graphc."""
    flops = WORKLOADS[workload].flops
    medians = {s: statistics.median(r["median_ms"] for r in found) for s, found in results.items()}
    shown = Table(title=f"{workload}: ms per training step ({flops / 1e6:.1f} MFLOP)")
    for column in ("system", "ms", "min-max", "rounds", "GFLOP/s", "x graphc", "first call s"):
        shown.add_column(column, justify="left" if column == "system" else "right")
    for system, ms in sorted(medians.items(), key=lambda item: item[1]):
        rows = [r["median_ms"] for r in results[system]]
        first = statistics.median(r["first_call_s"] for r in results[system])
        shown.add_row(
            system, f"{ms:.4f}", f"{min(rows):.4f}-{max(rows):.4f}", str(len(rows)),
            f"{flops / ms / 1e6:.1f}", f"{ms / medians['graphc']:.2f}", f"{first:.2f}",
        )  # fmt: skip
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    console = Console()
    for workload in options.workloads:
        results = compare(workload, options.rounds, options.threads, options.seconds)
        console.print(table(workload, results))
        losses = {s: round(found[0]["first_loss"], 4) for s, found in results.items()}
        console.print(f"first losses: {losses}")


if __name__ == "__main__":
    main()
