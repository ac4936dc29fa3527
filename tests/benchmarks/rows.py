"""Row-wise ops and memory-bound ops beside torch eager, and beside the bandwidth measured here.

    python -m tests.benchmarks.rows [--rounds 3]         (GRAPHC_PEERS names a Python with torch)
    python -m tests.benchmarks.rows graphc|torch         one round, as JSON: microseconds by case

`read` (the faster of numpy's dot and maximum) and `copy` are what two threads of numpy reach in
graphc's process. `chain` writes into a parameter; `fresh` is the same with a new array as result,
which the system has to provide page by page.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tests.benchmarks.ops import run_round, time_of

SHAPES = ((8192, 64), (1024, 1024))
ROW_OPS = ("softmax", "layer_norm", "cross_entropy", "cross_entropy_grad")
REDUCTIONS = tuple(f"{op}_{axis}" for op in ("sum", "max", "mean") for axis in ("0", "1", "all"))
LONG = 10_000_000
THREADS = 2
CASES = tuple(f"{op} {r}x{c}" for r, c in SHAPES for op in ROW_OPS + REDUCTIONS)
BOUND = ("chain 10M", "fresh 10M", "sum 10M", "max 10M")
BOUNDS = ("read 10M", "copy 10M")


def arrays(rows: int, columns: int) -> tuple[Any, Any]:
    """Logits and labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    return x, rng.integers(0, columns, rows).astype(np.int64)


def split_case(case: str) -> tuple[str, int, int]:
    """("softmax", 8192, 64)"""
    name, shape = case.split()
    rows, columns = map(int, shape.split("x"))
    return name, rows, columns


# ------------------------------------------------------------------------------- graphc


def graphc_case(name: str, x: Any, t: Any) -> Any:
    """The op on symbols."""
    import graphc as gx

    kind, _, axis = name.rpartition("_")
    if name in REDUCTIONS:
        return getattr(gx, kind)(x, axis=None if axis == "all" else int(axis))
    if name.startswith("cross_entropy"):
        loss = gx.nn.softmax_cross_entropy(x, t).mean()
        return [loss, gx.grad(loss, x)] if name.endswith("grad") else loss
    return getattr(gx.nn, name)(x)


def graphc_round() -> dict[str, float]:
    """Every case, and the bandwidths."""
    import graphc as gx

    result = bandwidths()
    for case in CASES:
        name, rows, columns = split_case(case)
        x = gx.input("x", (rows, columns))
        t = gx.input("t", (rows,), dtype="int64")
        step = gx.compile([x, t], graphc_case(name, x, t), name=name, threads=THREADS)
        given = arrays(rows, columns)
        result[case] = time_of(lambda step=step, given=given: step(*given))  # type: ignore[misc]
    x = gx.input("x", (LONG,))
    kept = gx.parameter("kept", value=np.zeros(LONG, np.float32))
    chain = gx.maximum(x * 1.5 + 0.5, x) - 2.0
    steps = {
        "chain 10M": gx.compile([x], [], updates={kept: chain}, name="chain", threads=THREADS),
        "fresh 10M": gx.compile([x], chain, name="fresh", threads=THREADS),
        "sum 10M": gx.compile([x], gx.sum(x), name="sum", threads=THREADS),
        "max 10M": gx.compile([x], gx.max(x), name="max", threads=THREADS),
    }
    given = np.random.default_rng(0).random(LONG, np.float32)
    for case, step in steps.items():
        result[case] = time_of(lambda step=step: step(given))  # type: ignore[misc]
    return result


def bandwidths() -> dict[str, float]:
    """Microseconds to read, and to copy, the long array, half of it by each thread."""
    source = np.random.default_rng(0).random(LONG, np.float32).reshape(THREADS, -1)
    target = np.empty_like(source)
    with ThreadPoolExecutor(THREADS) as pool:

        def each(work: Callable[[int], Any]) -> Callable[[], Any]:
            return lambda: list(pool.map(work, range(THREADS)))

        most = time_of(each(lambda k: np.maximum.reduce(source[k])))
        read = min(most, time_of(each(lambda k: np.dot(source[k], source[k]))))
        copy = time_of(each(lambda k: np.copyto(target[k], source[k])))
    return {"read 10M": read, "copy 10M": copy}


# -------------------------------------------------------------------------------- torch


def torch_case(name: str, x: Any, t: Any) -> Callable[[], Any]:
    """The op on tensors, as a call."""
    import torch
    import torch.nn.functional as nn

    kind, _, axis = name.rpartition("_")
    if name in REDUCTIONS:
        function = getattr(torch, {"max": "amax"}.get(kind, kind))
        return (lambda: function(x)) if axis == "all" else lambda: function(x, dim=int(axis))
    if name == "cross_entropy_grad":
        leaf = x.clone().requires_grad_()

        def both() -> Any:
            leaf.grad = None
            loss = nn.cross_entropy(leaf, t)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        return both
    if name == "layer_norm":
        return lambda: nn.layer_norm(x, x.shape[1:])
    if name == "cross_entropy":
        return lambda: nn.cross_entropy(x, t)
    return lambda: nn.softmax(x, -1)


def torch_round() -> dict[str, float]:
    """Every case in torch."""
    import torch

    torch.set_num_threads(THREADS)
    result = {}
    for case in CASES:
        name, rows, columns = split_case(case)
        result[case] = time_of(torch_case(name, *map(torch.from_numpy, arrays(rows, columns))))
    x = torch.rand(LONG)
    fresh = time_of(lambda: torch.maximum(x * 1.5 + 0.5, x) - 2.0)
    result["chain 10M"] = result["fresh 10M"] = fresh
    result["sum 10M"] = time_of(lambda: x.sum())
    result["max 10M"] = time_of(lambda: x.amax())
    return result


# ------------------------------------------------------------------------------- driver


def main() -> None:
    """One round of one system, or all rounds as a table."""
    if sys.argv[1:2] in (["graphc"], ["torch"]):
        result = graphc_round() if sys.argv[1] == "graphc" else torch_round()
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 3
    results = [(run_round("graphc", "rows"), run_round("torch", "rows")) for _ in range(rounds)]
    out = [f"{rounds} rounds", "| case | graphc us | torch eager us | torch / graphc |"]
    out.append("|---|---|---|---|")
    for case in CASES + BOUND:
        ours = statistics.median(r[0][case] for r in results)
        peer = statistics.median(r[1][case] for r in results)
        out.append(f"| {case} | {ours:.1f} | {peer:.1f} | {peer / ours:.2f} |")
    for case in BOUND:
        bound = "read 10M" if case.startswith(("sum", "max")) else "copy 10M"
        share = statistics.median(r[0][bound] / r[0][case] for r in results)
        out.append(f"{case}: {100 * share:.0f} % of the {bound.split()[0]} bandwidth")
    for case in BOUNDS:
        took = statistics.median(r[0][case] for r in results)
        moved = 4 * LONG * (2 if case.startswith("copy") else 1)
        out.append(f"{case}: {took:.0f} us, {moved / took / 1e3:.1f} GB/s")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
