"""Single kernels on a GPU beside PyTorch (cuBLAS), with the least time that an H200 allows.

    python -m tests.benchmarks.gpu.micro [CASE ...] [--rounds 3] [--json FILE] [--rehearse]
    python -m tests.benchmarks.gpu.micro --one SYSTEM DEVICE SECONDS [tiny]    one round, as JSON

A case is named by its group: copy, elementwise, rows, transpose, matmul.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.gpu.peaks import BYTES_PER_SECOND, FLOPS_PER_SECOND

ROOT = Path(__file__).resolve().parents[3]
PEERS = os.environ.get("GRAPHC_PEERS", sys.executable)
CHUNK = 10
HEADS = ("case", "us", "torch us", "torch / graphc", "bound us", "share of bound")


@dataclass(frozen=True)
class Case:
    """One function: `kind` says which, `sizes` are those of its result and the inner one."""

    kind: str
    sizes: tuple[int, ...]
    precision: str = "fp32"

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.sizes))
        return f"{self.kind} {sizes}" + (f" {self.precision}" if self.kind == "matmul" else "")

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the inputs."""
        if self.kind == "matmul":
            m, n, k = self.sizes
            return (m, k), (k, n)
        return (self.sizes,) * (3 if self.kind == "elementwise" else 1)

    @property
    def bound(self) -> float:
        """The least seconds on an H200: every input read once, the result written once."""
        size = 2 if self.precision == "bf16" else 4
        out = (self.sizes[:2] if self.kind == "matmul" else self.sizes,)
        memory = sum(size * int(np.prod(s)) for s in (*self.shapes, *out)) / BYTES_PER_SECOND
        if self.kind != "matmul":
            return memory
        return max(memory, 2 * float(np.prod(self.sizes)) / FLOPS_PER_SECOND[self.precision])


PRODUCTS = ((1024, 1024, 1024), (4096, 4096, 4096), (8192, 3072, 768), (64, 4096, 4096))
CASES = (
    Case("copy", (8192, 8192)), Case("elementwise", (8192, 8192)), Case("softmax", (8192, 4096)),
    Case("layer_norm", (8192, 1024)), Case("layer_norm", (65536, 128)),
    Case("column_sum", (8192, 4096)), Case("transpose", (8192, 8192)),
    *(Case("matmul", s, p) for s in PRODUCTS for p in ("fp32", "tf32", "bf16")),
)  # fmt: skip
GROUPS = {"softmax": "rows", "layer_norm": "rows", "column_sum": "rows"}


def chosen(groups: list[str], small: bool = False) -> list[Case]:
    """The cases of some groups, all if none is named."""
    found = [c for c in CASES if not groups or GROUPS.get(c.kind, c.kind) in groups]
    if not small:
        return found
    tiny = dict.fromkeys(Case(c.kind, (32,) * len(c.sizes), c.precision) for c in found)
    return list(tiny)


def arrays(case: Case) -> list[Any]:
    """Values of the inputs, without those of a low type."""
    rng = np.random.default_rng(0)
    return [rng.random(shape, dtype=np.float32) - 0.5 for shape in case.shapes]


def ours(case: Case, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """What starts graphc's kernel, and what waits for it."""
    import ml_dtypes

    import graphc as gx
    from tests.benchmarks.gpu.graphc_step import replayed

    low = case.precision == "bf16"
    dtype = "bfloat16" if low else "float32"
    inputs = [gx.input(f"x{i}", shape, dtype=dtype) for i, shape in enumerate(case.shapes)]
    x = inputs[0]
    result = {
        "copy": lambda: -x,  # a plain copy would be no kernel
        "elementwise": lambda: gx.nn.gelu(x) * inputs[1] + inputs[2],
        "softmax": lambda: gx.nn.softmax(x),
        "layer_norm": lambda: gx.nn.layer_norm(x),
        "column_sum": lambda: x.sum(axis=0),
        "transpose": lambda: x.T + 0.0,
        "matmul": lambda: x @ inputs[1],
    }[case.kind]()
    target = "cuda" if device == "cuda" else "cuda-simulate"
    precision = "tf32" if case.precision == "tf32" else None
    function = gx.compile(inputs, result, target=target, precision=precision, name="case")
    given = [a.astype(ml_dtypes.bfloat16) if low else a for a in arrays(case)]
    function(*given)
    launch, wait = replayed(function)
    return launch, wait


def torch_case(case: Case, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same of torch, eager: its fastest way for the case, with the result in place."""
    import torch
    import torch.nn.functional as F

    torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
    dtype = torch.bfloat16 if case.precision == "bf16" else torch.float32
    inputs = [torch.from_numpy(a).to(device, dtype) for a in arrays(case)]
    x = inputs[0]
    out = torch.empty_like(x)
    call = {
        "copy": lambda: out.copy_(x),
        "elementwise": lambda: F.gelu(x) * inputs[1] + inputs[2],
        "softmax": lambda: torch.softmax(x, -1),
        "layer_norm": lambda: F.layer_norm(x, x.shape[-1:]),
        "column_sum": lambda: x.sum(0),
        "transpose": lambda: out.copy_(x.t()),
        "matmul": lambda: x @ inputs[1],
    }[case.kind]
    return call, torch.cuda.synchronize if device == "cuda" else lambda: None


SYSTEMS = {"graphc": ours, "torch": torch_case}


def time_of(start: Callable[[], object], wait: Callable[[], object], seconds: float) -> float:
    """Median seconds of one of many that follow each other."""
    for _ in range(3):
        start()
    wait()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        for _ in range(CHUNK):
            start()
        wait()
        times.append((time.perf_counter() - begin) / CHUNK)
    return statistics.median(times)


def one_round(
    system: str, cases: list[Case], device: str, seconds: float
) -> dict[str, float | str]:
    """Microseconds of each case, or why there are none."""
    found: dict[str, float | str] = {}
    for case in cases:
        try:
            found[str(case)] = time_of(*SYSTEMS[system](case, device), seconds) * 1e6
        except Exception as error:  # the other cases are measured all the same
            found[str(case)] = f"{type(error).__name__}: {error}"[:500]
    return found


def run_round(
    system: str, groups: list[str], seconds: float, rehearse: bool, limit: float
) -> dict[str, Any]:
    """One round in a process of its own."""
    python = sys.executable if system == "graphc" else PEERS
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
    command = [python, "-m", "tests.benchmarks.gpu.micro", *groups, "--one", system]
    command += ["cpu" if rehearse else "cuda", str(seconds), *["tiny"] * rehearse]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths},
            capture_output=True, text=True, timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {limit:.0f} s"}
    if done.returncode:
        return {"error": done.stderr.strip()[-1500:]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def compare(
    groups: list[str],
    rounds: int,
    seconds: float,
    rehearse: bool = False,
    end: float = float("inf"),
) -> list[dict[str, Any]]:
    """A row for each case: medians of the rounds, ratio, bound; or the errors."""
    cases = chosen(groups, rehearse)
    found: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
    for _ in range(rounds):
        for system, results in found.items():
            left = end - time.time()
            if left > 0 and not (results and "error" in results[-1]):
                limit = min(300.0, left + 20)
                results.append(run_round(system, groups, seconds, rehearse, limit))
    return [_row(case, found) for case in cases]


def _row(case: Case, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": str(case), "bound_us": case.bound * 1e6}
    for system, results in found.items():
        values = [r.get(str(case), r.get("error")) for r in results]
        good = [v for v in values if isinstance(v, float)]
        row[system] = statistics.median(good) if good else None
        row[f"{system}_rounds"] = good
        row |= {f"{system}_error": v for v in values if isinstance(v, str)}
    if row["graphc"]:
        row["share_of_bound"] = row["bound_us"] / row["graphc"]
        if row["torch"]:
            row["ratio"] = row["torch"] / row["graphc"]
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    for r in rows:
        numbers = (r["graphc"], r["torch"], r.get("ratio"), r["bound_us"], r.get("share_of_bound"))
        cells = ["" if v is None else f"{v:.2f}" for v in numbers]
        lines.append(f"| {r['case']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        system, device, seconds, *small = options.one
        cases = chosen(options.groups, bool(small))
        found = one_round(system, cases, device, float(seconds))
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return 0
    rows = compare(options.groups, options.rounds, options.seconds, options.rehearse)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    sys.stdout.write(table(rows) + "\n")
    failed = [f"{r['case']}: {r['graphc_error']}" for r in rows if "graphc_error" in r]
    sys.stdout.write("\n".join(failed) + "\n" * bool(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
