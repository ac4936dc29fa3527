"""A word2vec step (sampled softmax, Adagrad on two tables): graphc beside torch's sparse gradients.

    python -m tests.benchmarks.embedding [--rounds 5] [--seconds 1.0] [--threads 1 2]

Each measurement is a process of its own. GRAPHC_PEERS names a Python that has torch (this one if
unset). Tables of 50,000 x 128, 128 words with their contexts, 64 negatives.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import measure, report

ROOT = Path(__file__).resolve().parents[2]
ROWS, WIDTH, BATCH, NEGATIVES = 50_000, 128, 128, 64
RATE = 0.01


def tables() -> tuple[Any, Any]:
    """The initial embeddings of words and contexts."""
    rng = np.random.RandomState(3)
    return tuple(((rng.rand(ROWS, WIDTH) - 0.5) * 0.2).astype(np.float32) for _ in range(2))  # type: ignore[return-value]


def minibatches(count: int = 8) -> list[tuple[Any, Any, Any]]:
    """Words, contexts and negatives with the frequencies that words have: log-uniform."""
    rng = np.random.RandomState(7)

    def draw(size: int) -> Any:
        rank = np.exp(rng.rand(size) * np.log(ROWS + 1)) - 1
        return np.minimum(rank, ROWS - 1).astype(np.int32)

    return [(draw(BATCH), draw(BATCH), draw(NEGATIVES)) for _ in range(count)]


def graphc_step(threads: int) -> Any:
    """One compiled function."""
    import graphc as gx

    words, contexts = (
        gx.parameter(name, value=value) for name, value in zip(("words", "contexts"), tables())
    )
    center, context, negatives = (
        gx.input(name, (size,), dtype="int32")
        for name, size in (("center", BATCH), ("context", BATCH), ("negatives", NEGATIVES))
    )
    e = words[center]
    true = gx.sum(e * contexts[context], axis=1, keepdims=True)
    logits = gx.concat([true, e @ contexts[negatives].T], axis=1)
    loss = gx.nn.softmax_cross_entropy(logits, gx.zeros((BATCH,), "int32")).mean()
    updates = gx.optim.Adagrad(RATE).minimize(loss)
    step = gx.compile([center, context, negatives], loss, updates, threads=threads)
    return lambda *batch: float(step(*batch))


def torch_step(threads: int) -> Any:
    """Eager, with sparse gradients: the fastest that torch has for this."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    words, contexts = (
        torch.nn.Embedding.from_pretrained(torch.from_numpy(t), freeze=False, sparse=True)
        for t in tables()
    )
    parameters = [words.weight, contexts.weight]
    optimizer = torch.optim.Adagrad(parameters, RATE)
    labels = torch.zeros(BATCH, dtype=torch.long)

    def step(*batch: Any) -> float:
        center, context, negatives = map(torch.from_numpy, batch)
        optimizer.zero_grad(set_to_none=True)
        e = words(center)
        true = (e * contexts(context)).sum(1, keepdim=True)
        logits = torch.cat([true, e @ contexts(negatives).t()], 1)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


SYSTEMS = {"graphc": graphc_step, "torch sparse": torch_step}


def run_once(system: str, threads: int, seconds: float) -> dict[str, Any]:
    """The result of one process."""
    python = (
        sys.executable if system == "graphc" else os.environ.get("GRAPHC_PEERS", sys.executable)
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)}
    command = [
        python,
        "-m",
        "tests.benchmarks.embedding",
        "--one",
        system,
        str(threads),
        str(seconds),
    ]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Measure in turn and print medians and ratios."""
    if sys.argv[1:2] == ["--one"]:
        _, _, system, threads, seconds = sys.argv
        report(measure(SYSTEMS[system](int(threads)), minibatches(), float(seconds)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    for threads in options.threads:
        rounds = [
            {s: run_once(s, threads, options.seconds) for s in SYSTEMS}
            for _ in range(options.rounds)
        ]
        for system in SYSTEMS:
            times = [r[system]["median_ms"] * 1e3 for r in rounds]
            ratios = [r[system]["median_ms"] / r["graphc"]["median_ms"] for r in rounds]
            found = rounds[0][system]
            sys.stdout.write(
                f"{threads} thread(s)  {system:13} {statistics.median(times):7.1f} us"
                f" ({min(times):.1f}-{max(times):.1f}), x {statistics.median(ratios):.2f}"
                f"   losses {found['first_loss']:.5f} -> {found['last_loss']:.5f}\n"
            )


if __name__ == "__main__":
    main()
