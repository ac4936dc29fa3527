"""Reductions over every axis beside torch eager, and beside the bandwidth measured here.

    python -m tests.benchmarks.reductions [--rounds 3] [--threads 2]       (GRAPHC_PEERS: a torch)
    python -m tests.benchmarks.reductions graphc|torch [--threads 2]       one round, as JSON

`read` is the faster of numpy's maximum and dot over one thread's share of the elements. `var` reads
them twice.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import numpy as np

from tests.benchmarks.ops import run_round, time_of

Axis = int | tuple[int, ...]
CASES: tuple[tuple[tuple[int, ...], Axis], ...] = (
    ((8192, 64), 0), ((8192, 64), 1), ((1024, 1024), 0), ((1024, 1024), 1), ((4096, 200), 0),
    ((4096, 512), 0), ((64, 32, 32, 16), (0, 1, 2)), ((1_000_000, 2), 0), ((1_000_000, 2), 1),
    ((65536, 3), 0), ((2, 4096, 16), 1), ((16, 4096, 16), 1), ((64, 256, 64), 1), ((2, 500_000), 1),
)  # fmt: skip
OPS = ("sum", "mean", "max", "var")


def label(op: str, shape: tuple[int, ...], axis: Axis) -> str:
    """A case as text."""
    return f"{op} {'x'.join(map(str, shape))} over {axis}"


def graphc_round(threads: int) -> dict[str, float]:
    """Every case, and how long the elements take to read."""
    import graphc as gx

    result = {}
    for shape, axis in CASES:
        x = np.random.default_rng(0).random(shape, np.float32)
        share = x.reshape(-1)[: x.size // threads]
        by_dot = time_of(lambda share=share: np.dot(share, share))  # type: ignore[misc]
        by_maximum = time_of(lambda share=share: np.maximum.reduce(share))  # type: ignore[misc]
        result[f"read {shape}"] = min(by_dot, by_maximum)
        for op in OPS:
            symbol = gx.input("x", shape)
            step = gx.compile([symbol], getattr(gx, op)(symbol, axis=axis), threads=threads)
            result[label(op, shape, axis)] = time_of(lambda step=step, x=x: step(x))  # type: ignore[misc]
    return result


def torch_round(threads: int) -> dict[str, float]:
    """Every case in torch."""
    import torch

    torch.set_num_threads(threads)
    result = {}
    for shape, axis in CASES:
        x = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
        for op in OPS:
            function: Any = getattr(torch, {"max": "amax"}.get(op, op))
            more = {"correction": 0} if op == "var" else {}
            call = lambda f=function, x=x, axis=axis, more=more: f(x, dim=axis, **more)  # noqa: E731
            result[label(op, shape, axis)] = time_of(call)
    return result


def option(name: str, default: int) -> int:
    """The number after an option."""
    words = sys.argv[1:]
    return int(words[words.index(name) + 1]) if name in words else default


def main() -> None:
    """One round of one system, or all rounds as a table."""
    threads, rounds = option("--threads", 2), option("--rounds", 3)
    if sys.argv[1:2] in (["graphc"], ["torch"]):
        result = (graphc_round if sys.argv[1] == "graphc" else torch_round)(threads)
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    more = ("--threads", str(threads))
    results = [
        (run_round("graphc", "reductions", *more), run_round("torch", "reductions", *more))
        for _ in range(rounds)
    ]
    out = [f"{rounds} rounds, {threads} threads"]
    out.append("| case | graphc us | torch eager us | torch / graphc | of the read bandwidth % |")
    out.append("|---|---|---|---|---|")
    for shape, axis in CASES:
        for op in OPS:
            name = label(op, shape, axis)
            ours = statistics.median(r[0][name] for r in results)
            peer = statistics.median(r[1][name] for r in results)
            read = statistics.median(r[0][f"read {shape}"] for r in results)
            part = 100 * read * (2 if op == "var" else 1) / ours
            out.append(f"| {name} | {ours:.1f} | {peer:.1f} | {peer / ours:.2f} | {part:.0f} |")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
