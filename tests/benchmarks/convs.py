"""Single convolutions beside torch channels last: forward and both gradients.

    python -m tests.benchmarks.convs [--rounds 3]        (GRAPHC_PEERS names a Python with torch)
    python -m tests.benchmarks.convs graphc|torch        one round, as JSON: microseconds by case

Stride 1, padding kernel // 2, float32, 2 threads; both sides allocate their results.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.ops import time_of

CASES = (  # batch, channels in, channels out, kernel, side
    (32, 16, 32, 3, 26), (64, 16, 16, 3, 32), (64, 32, 32, 3, 16), (64, 64, 64, 3, 8),
    (16, 192, 64, 1, 28), (16, 96, 128, 3, 28), (16, 16, 32, 5, 28), (16, 192, 384, 3, 13),
    (64, 6, 16, 5, 14),
)  # fmt: skip
PARTS = ("forward", "to input", "to weights")


def label(case: tuple[int, ...]) -> str:
    """A case as one word."""
    batch, cin, cout, kernel, side = case
    return f"{batch}x{side}x{side}x{cin}->{cout} k{kernel}"


def arrays(case: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """x, w and the cotangent of y, channels last."""
    batch, cin, cout, kernel, side = case
    rng = np.random.default_rng(0)
    shapes = (batch, side, side, cin), (kernel, kernel, cin, cout), (batch, side, side, cout)
    x, w, g = (rng.random(shape).astype(np.float32) for shape in shapes)
    return x, w, g


def flops(case: tuple[int, ...]) -> float:
    """Multiply-adds of one convolution, padded taps included, twice."""
    batch, cin, cout, kernel, side = case
    return 2.0 * batch * side * side * kernel * kernel * cin * cout


def graphc_calls(case: tuple[int, ...]) -> list[Callable[[], Any]]:
    """The three functions of a case."""
    import graphc as gx

    given = arrays(case)
    x, w, g = (gx.input(n, a.shape) for n, a in zip("xwg", given))
    y = gx.nn.conv(x, w, padding=case[3] // 2)
    dx, dw = gx.vjp(y, [x, w], g)
    forward, to_input, to_weights = (
        gx.compile(list(i), o, threads=int(os.environ.get("THREADS", "2")))
        for i, o in (((x, w), y), ((w, g), dx), ((x, g), dw))
    )
    a, b, c = given
    return [lambda: forward(a, b), lambda: to_input(b, c), lambda: to_weights(a, c)]


def torch_calls(case: tuple[int, ...]) -> list[Callable[[], Any]]:
    """The same in torch, channels last."""
    import torch

    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    pad = [case[3] // 2] * 2

    def put(array: Any, axes: tuple[int, ...]) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
        return tensor.contiguous(memory_format=torch.channels_last)

    x, w, g = arrays(case)
    x, w, g = put(x, (0, 3, 1, 2)), put(w, (3, 2, 0, 1)), put(g, (0, 3, 1, 2))

    def back(mask: list[bool]) -> Callable[[], Any]:
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(g, x, w, None, [1, 1], pad, [1, 1], False, [0, 0], 1, mask)

    forward = lambda: torch.conv2d(x, w, None, 1, pad)  # noqa: E731
    return [forward, back([True, False, False]), back([False, True, False])]


def one_round(system: str) -> dict[str, list[float]]:
    """Microseconds of the three parts of every case."""
    calls = graphc_calls if system == "graphc" else torch_calls
    return {label(case): [time_of(call) for call in calls(case)] for case in CASES}


def run_round(system: str) -> dict[str, list[float]]:
    """One round in a process of its own."""
    from tests.benchmarks.run import PEERS, ROOT, wait_until_quiet

    wait_until_quiet()
    env = dict(os.environ, OMP_NUM_THREADS=os.environ.get("THREADS", "2"))
    if system == "graphc":
        env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'backends'}"
    python = sys.executable if system == "graphc" else PEERS
    command = [python, "-m", "tests.benchmarks.convs", system]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """One round of one system, or all rounds as a table."""
    if sys.argv[1:2] in (["graphc"], ["torch"]):
        sys.stdout.write("\n" + json.dumps(one_round(sys.argv[1])) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 3
    results = [(run_round("graphc"), run_round("torch")) for _ in range(rounds)]
    shown = Table(title=f"convolutions, 2 threads, medians of {rounds} rounds")
    for column in ("case", "part", "graphc us", "GFLOP/s", "torch us", "torch / graphc"):
        shown.add_column(column, justify="left" if column in ("case", "part") else "right")
    for case in CASES:
        for i, part in enumerate(PARTS):
            ours = statistics.median(r[0][label(case)][i] for r in results)
            peer = statistics.median(r[1][label(case)][i] for r in results)
            rate = flops(case) / ours / 1e3
            shown.add_row(
                label(case), part, f"{ours:.0f}", f"{rate:.0f}", f"{peer:.0f}", f"{peer / ours:.2f}"
            )
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
