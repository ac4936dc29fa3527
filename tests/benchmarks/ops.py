"""Single ops over a million elements beside torch eager: processes in turn, several rounds.

    python -m tests.benchmarks.ops [--rounds 3]          (GRAPHC_PEERS names a Python with torch)
    python -m tests.benchmarks.ops graphc|torch          one round, as JSON: microseconds by op

A call of graphc is a compiled function of that op alone; both allocate their results.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS = COLUMNS = 1000
SECONDS = 0.12  # an op and round

UNARY = (
    "exp", "log", "tanh", "sqrt", "abs", "neg", "sin", "cos", "erf", "sigmoid", "relu", "softplus",
    "gelu", "floor", "round", "square", "log1p", "expm1", "sign",
)  # fmt: skip
BINARY = ("add", "mul", "div", "maximum", "pow", "less", "where", "bias", "chain")
REDUCTIONS = tuple(
    f"{op}_{axis}" for op in ("sum", "max", "mean", "argmax", "var") for axis in ("0", "1", "all")
)
OTHERS = (
    "softmax", "layer_norm", "cross_entropy", "logsumexp", "cumsum", "sort", "topk", "transpose",
    "concat", "take", "scatter_add", "pad", "flip", "one_hot", "bernoulli", "normal",
)  # fmt: skip
ALL = UNARY + BINARY + REDUCTIONS + OTHERS


def arrays() -> dict[str, Any]:
    """The inputs of every op."""
    rng = np.random.default_rng(0)
    shape = (ROWS, COLUMNS)
    return {
        "x": (rng.random(shape) + 0.1).astype(np.float32),
        "y": (rng.random(shape) + 0.5).astype(np.float32),
        "b": rng.random(COLUMNS).astype(np.float32),
        "i": rng.integers(0, ROWS, ROWS).astype(np.int64),
    }


def time_of(call: Callable[[], Any]) -> float:
    """Median microseconds."""
    for _ in range(3):
        call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


# ------------------------------------------------------------------------------- graphc


def graphc_op(name: str, x: Any, y: Any, b: Any, i: Any) -> Any:
    """The op on symbols."""
    import graphc as gx

    kind, _, axis = name.rpartition("_")
    if name in REDUCTIONS:
        over = None if axis == "all" else int(axis)
        return getattr(gx, kind)(x, axis=over)
    table: dict[str, Callable[[], Any]] = {
        "neg": lambda: -x,
        "add": lambda: x + y,
        "mul": lambda: x * y,
        "div": lambda: x / y,
        "maximum": lambda: gx.maximum(x, y),
        "pow": lambda: x**y,
        "less": lambda: x < y,
        "where": lambda: gx.where(x < y, x, y),
        "bias": lambda: x + b,
        "chain": lambda: gx.tanh(x * y + b) * 0.5 + x,
        "softmax": lambda: gx.nn.softmax(x),
        "layer_norm": lambda: gx.nn.layer_norm(x),
        "cross_entropy": lambda: gx.nn.softmax_cross_entropy(x, i).mean(),
        "logsumexp": lambda: gx.logsumexp(x, axis=-1),
        "cumsum": lambda: gx.cumulative_sum(x, axis=-1),
        "sort": lambda: gx.sort(x, axis=-1),
        "topk": lambda: gx.topk(x, 10)[0],
        "transpose": lambda: x.T * 1.0,
        "concat": lambda: gx.concat([x, y], axis=1),
        "take": lambda: gx.take(x, i, axis=0),
        "scatter_add": lambda: gx.scatter_add(y, i, x),
        "pad": lambda: gx.pad(x, ((1, 1), (1, 1))),
        "flip": lambda: gx.flip(x, axis=1),
        "one_hot": lambda: gx.one_hot(i, COLUMNS),
        "bernoulli": lambda: gx.random.bernoulli((ROWS, COLUMNS), 0.5),
        "normal": lambda: gx.random.normal((ROWS, COLUMNS)),
    }
    if name in table:
        return table[name]()
    found = getattr(gx, name, None) or getattr(gx.nn, name)
    return found(x)


def graphc_round() -> dict[str, float]:
    """Every op that graphc has."""
    import graphc as gx

    given = arrays()
    types = {"x": "float32", "y": "float32", "b": "float32", "i": "int64"}
    inputs = {k: gx.input(k, v.shape, dtype=types[k]) for k, v in given.items()}
    result: dict[str, float] = {}
    for name in ALL:
        try:
            value = graphc_op(name, **inputs)
        except (AttributeError, NotImplementedError, TypeError) as error:
            sys.stderr.write(f"graphc {name}: {error}\n")
            continue
        step = gx.compile(list(inputs.values()), value, name=name)
        result[name] = time_of(lambda step=step: step(*given.values()))  # type: ignore[misc]
    return result


# -------------------------------------------------------------------------------- torch


def torch_op(name: str, x: Any, y: Any, b: Any, i: Any) -> Callable[[], Any]:
    """The op on tensors, as a call."""
    import torch
    import torch.nn.functional as nn

    kind, _, axis = name.rpartition("_")
    if name in REDUCTIONS:
        function = {"max": "amax"}.get(kind, kind)
        if axis == "all":
            return lambda: getattr(torch, function)(x)
        return lambda: getattr(torch, function)(x, dim=int(axis))
    half = torch.full((ROWS, COLUMNS), 0.5)
    table: dict[str, Callable[[], Any]] = {
        "add": lambda: x + y,
        "mul": lambda: x * y,
        "div": lambda: x / y,
        "maximum": lambda: torch.maximum(x, y),
        "pow": lambda: x**y,
        "less": lambda: x < y,
        "where": lambda: torch.where(x < y, x, y),
        "bias": lambda: x + b,
        "chain": lambda: torch.tanh(x * y + b) * 0.5 + x,
        "softmax": lambda: nn.softmax(x, -1),
        "layer_norm": lambda: nn.layer_norm(x, (COLUMNS,)),
        "cross_entropy": lambda: nn.cross_entropy(x, i),
        "logsumexp": lambda: torch.logsumexp(x, -1),
        "cumsum": lambda: torch.cumsum(x, -1),
        "sort": lambda: torch.sort(x, -1)[0],
        "topk": lambda: torch.topk(x, 10)[0],
        "transpose": lambda: x.T.contiguous(),
        "concat": lambda: torch.cat([x, y], 1),
        "take": lambda: x[i],
        "scatter_add": lambda: y.index_add(0, i, x),
        "pad": lambda: nn.pad(x, (1, 1, 1, 1)),
        "flip": lambda: torch.flip(x, (1,)),
        "one_hot": lambda: nn.one_hot(i, COLUMNS).float(),
        "bernoulli": lambda: torch.bernoulli(half),
        "normal": lambda: torch.randn(ROWS, COLUMNS),
        "softplus": lambda: nn.softplus(x),
        "gelu": lambda: nn.gelu(x),
    }
    return table.get(name) or (lambda: getattr(torch, name)(x))


def torch_round() -> dict[str, float]:
    """Every op in torch."""
    import torch

    torch.set_num_threads(2)
    given = {k: torch.from_numpy(v) for k, v in arrays().items()}
    return {name: time_of(torch_op(name, **given)) for name in ALL}


# ------------------------------------------------------------------------------- driver


def run_round(system: str, program: str = "ops", *more: str) -> dict[str, float]:
    """One process."""
    from tests.benchmarks.run import PEERS, ROOT, wait_until_quiet

    wait_until_quiet()
    paths = [str(ROOT), str(ROOT / "backends")]
    env = dict(os.environ, OMP_NUM_THREADS="2")
    if system == "graphc":
        env["PYTHONPATH"] = os.pathsep.join(paths)
    python = sys.executable if system == "graphc" else PEERS
    command = [python, "-m", f"tests.benchmarks.{program}", system, *more]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    sys.stderr.write("".join(f"{e}\n" for e in done.stderr.splitlines() if e.startswith("graphc")))
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """One round of one system, or all rounds as a table."""
    if sys.argv[1:2] in (["graphc"], ["torch"]):
        result = graphc_round() if sys.argv[1] == "graphc" else torch_round()
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 3
    results = [(run_round("graphc"), run_round("torch")) for _ in range(rounds)]
    shown = Table(title=f"{ROWS}x{COLUMNS} float32, 2 threads, medians of {rounds} rounds")
    for column in ("op", "graphc us", "torch eager us", "torch / graphc"):
        shown.add_column(column, justify="left" if column == "op" else "right")
    for name in ALL:
        if all(name in ours for ours, _ in results):
            ours = statistics.median(r[0][name] for r in results)
            peer = statistics.median(r[1][name] for r in results)
            shown.add_row(name, f"{ours:.1f}", f"{peer:.1f}", f"{peer / ours:.2f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
