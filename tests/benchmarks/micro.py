"""Single facts: products against the peak, call overhead, compile time, import time.

python -m tests.benchmarks.micro [matmul] [call] [compile] [import]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import graphc as gx
from tests.benchmarks.peak import Kernel, peak_gflops
from tests.benchmarks.run import wait_until_quiet

ROOT = Path(__file__).parents[2]
PRODUCTS = ((128, 512, 512), (512, 512, 512), (64, 64, 64), (128, 784, 512), (128, 512, 10))
ROUNDS = 9


def matmul(console: Console) -> None:
    """Products on one thread, alternating with the peak; rows x inner x columns."""
    shown = Table(title="matmul, float32, one thread, percent of the multiply-add peak")
    for column in ("shape", "us", "GFLOP/s", "peak", "%", "min-max %", "numpy GFLOP/s"):
        shown.add_column(column, justify="right")
    for m, k, n in PRODUCTS:
        x, y = (np.random.rand(*s).astype(np.float32) for s in ((m, k), (k, n)))
        a, b = gx.input("a", (m, k)), gx.input("b", (k, n))
        function = gx.compile([a, b], a @ b, threads=1)
        function(x, y)
        kernel = Kernel(function, x, y)
        ours, peaks, other = [], [], []
        for _ in range(ROUNDS):
            peaks.append(peak_gflops())
            ours.append(kernel.seconds())
            other.append(_numpy_seconds(x, y))
        work, peak = 2 * m * k * n, statistics.median(peaks)
        shares = [work / s / p / 1e7 for s, p in zip(ours, peaks)]
        shown.add_row(
            f"{m}x{k}x{n}", f"{statistics.median(ours) * 1e6:.1f}",
            f"{work / statistics.median(ours) / 1e9:.1f}", f"{peak:.1f}",
            f"{statistics.median(shares):.1f}", f"{min(shares):.1f}-{max(shares):.1f}",
            f"{work / statistics.median(other) / 1e9:.1f}",
        )  # fmt: skip
    console.print(shown)


def _numpy_seconds(x: Any, y: Any) -> float:
    out = np.empty((x.shape[0], y.shape[1]), np.float32)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        np.dot(x, y, out=out)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def call(console: Console) -> None:
    """A step of a few operations: what a call costs."""
    x, y = gx.input("x", (4,)), gx.input("y", (4,))
    w = gx.parameter("w", value=np.zeros(4, np.float32))
    loss = ((x * y + w) ** 2).sum()
    step = gx.compile([x, y], {"loss": loss}, {w: w - 0.1 * gx.grad(loss, w)})
    a, b = np.ones(4, np.float32), np.ones(4, np.float32)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(20000):
            step(a, b)
        times.append((time.perf_counter() - start) / 20000)
    console.print(
        f"call of a trivial training step: {statistics.median(times) * 1e9:.0f} ns"
        f" ({min(times) * 1e9:.0f}-{max(times) * 1e9:.0f}, {ROUNDS} rounds of 20,000)"
    )


_COMPILE = """
import time
begin = time.perf_counter()
from tests.benchmarks.ours import build
from tests.benchmarks.workloads import WORKLOADS, minibatches
x, t = minibatches(WORKLOADS["mlp"])[0]
import graphc
imported = time.perf_counter()
step = build(WORKLOADS["mlp"], 2)
defined = time.perf_counter()
step(x, t)
print(imported - begin, defined - imported, time.perf_counter() - defined)
"""


def compile_time(console: Console) -> None:
    """The mlp training step: definition and first call, cold and from the cache."""
    with tempfile.TemporaryDirectory() as cache:
        for what in ("cold", "from the cache"):
            rows = []
            for i in range(5):
                place = os.path.join(cache, "warm" if what != "cold" else str(i))
                if what != "cold" and i == 0:
                    _run_python(_COMPILE, place)
                rows.append([float(v) for v in _run_python(_COMPILE, place).split()])
            define, first = (statistics.median(r[k] for r in rows) for k in (1, 2))
            console.print(
                f"compile of the mlp step, {what}: define {define * 1e3:.0f} ms,"
                f" first call {first * 1e3:.0f} ms, together {(define + first) * 1e3:.0f} ms"
            )


def import_time(console: Console) -> None:
    """`import graphc` in a new process, numpy included."""
    program = "import time; t=time.perf_counter(); import graphc; print(time.perf_counter()-t)"
    times = [float(_run_python(program, "off")) for _ in range(ROUNDS)]
    console.print(
        f"import graphc: {statistics.median(times) * 1e3:.1f} ms"
        f" ({min(times) * 1e3:.1f}-{max(times) * 1e3:.1f}, {ROUNDS} processes)"
    )


def _run_python(program: str, cache: str) -> str:
    wait_until_quiet(10)
    paths = [str(ROOT), str(ROOT / "backends")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "GRAPHC_CACHE": cache}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


PARTS = {"matmul": matmul, "call": call, "compile": compile_time, "import": import_time}


def main() -> None:
    """Measure what the command line names, or everything."""
    for name in sys.argv[1:] or list(PARTS):
        wait_until_quiet()
        PARTS[name](Console())


if __name__ == "__main__":
    main()
