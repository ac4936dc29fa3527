"""Compile time by depth: one table per kind of model, stages apart.

    python -m tests.benchmarks.growth [KIND ...]

Every row is a process of its own with an empty cache (`cold`), then one more that finds the code
there (`cached`). Milliseconds; `link` is loading, binding and the first run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx

STAGES = ("define", "differentiate", "passes", "fuse", "order", "plan", "emit", "assemble", "link")
FACTS = ("nodes", "kernels", "functions", "text_kb", "object_kb")
CLOCK = time.perf_counter
Model = tuple[list[Any], Any, bool]  # inputs, output or loss, whether it is trained


# ------------------------------------------------------------------------------- models


def fusable(depth: int) -> Model:
    """Elementwise ops alone: as few kernels as there can be."""
    x = gx.input("x", (8, 64))
    w = gx.parameter("w", value=np.full((8, 64), 0.5, np.float32))
    y = x
    for i in range(depth):
        y = (y + w, y * w, gx.nn.relu(y))[i % 3]
    return [x], y, True


def reductions(depth: int) -> Model:
    """Elementwise ops between sums over one axis and over the other."""
    x = gx.input("x", (8, 64))
    w = gx.parameter("w", value=np.full((8, 64), 0.5, np.float32))
    y = x
    for i in range(depth // 4):
        y = gx.nn.relu(y * w) - y.mean(i % 2, keepdims=True)
    return [x], y, True


def products(depth: int) -> Model:
    """Elementwise ops between matrix products."""
    x = gx.input("x", (8, 16))
    w = gx.parameter("w", value=np.eye(16, dtype=np.float32))
    y = x
    for _ in range(depth // 2):
        y = gx.nn.relu(y @ w)
    return [x], y, True


def mlp(layers: int) -> Model:
    """Dense layers with relu."""
    x = gx.input("x", (16, 32))
    t = gx.input("t", (16,), dtype="int32")
    y = x
    for i in range(layers):
        y = gx.nn.relu(gx.nn.Dense(32, name=f"dense_{i}")(y))
    return [x, t], gx.nn.softmax_cross_entropy(y, t).mean(), True


def scan(length: int) -> Model:
    """One loop of this length over a tanh cell."""
    xs = gx.input("xs", (length, 4, 16))
    w = gx.parameter("w", value=np.eye(16, dtype=np.float32))

    def cell(h: Any, x: Any) -> tuple[Any, Any]:
        h = gx.tanh(h @ w + x)
        return h, h

    _, hs = gx.scan(cell, gx.zeros((4, 16)), xs)
    return [xs], (hs * hs).mean(), True


def normalized(y: Any, name: str) -> Any:
    """Batch normalisation from primitives, with scale and shift."""
    channels = y.shape[-1]
    scale = gx.parameter(f"{name}/scale", value=np.ones(channels, np.float32))
    shift = gx.parameter(f"{name}/shift", value=np.zeros(channels, np.float32))
    mean = y.mean((0, 1, 2), keepdims=True)
    centred = y - mean
    variance = (centred * centred).mean((0, 1, 2), keepdims=True)
    return centred / gx.sqrt(variance + 1e-5) * scale + shift


def convolved(y: Any, size: int, channels: int, strides: int, name: str) -> Any:
    """A convolution and its normalisation."""
    rng = np.random.RandomState(len(name))
    shape = (size, size, y.shape[-1], channels)
    value = rng.randn(*shape).astype(np.float32) * (2 / np.prod(shape[:3])) ** 0.5
    w = gx.parameter(f"{name}/w", value=value)
    return normalized(gx.nn.conv(y, w, strides=strides, padding="same"), name)


BLOCKS = {20: (2, 2, 2), 56: (6, 6, 6), 110: (12, 12, 12), 152: (3, 8, 36, 3)}


def residual(layers: int) -> Model:
    """Bottleneck blocks (1x1, 3x3, 1x1 convolutions) on small images: 9n + 2 layers."""
    x = gx.input("x", (2, 16, 16, 3))
    t = gx.input("t", (2,), dtype="int32")
    y = gx.nn.relu(convolved(x, 3, 8, 1, "stem"))
    for stage, blocks in enumerate(BLOCKS[layers]):
        width = 4 << stage
        for i in range(blocks):
            name, strides = f"{stage}/{i}", 2 if stage and not i else 1
            z = gx.nn.relu(convolved(y, 1, width, 1, f"{name}/a"))
            z = gx.nn.relu(convolved(z, 3, width, strides, f"{name}/b"))
            z = convolved(z, 1, 4 * width, 1, f"{name}/c")
            short = y if i else convolved(y, 1, 4 * width, strides, f"{name}/short")
            y = gx.nn.relu(z + short)
    y = gx.nn.Dense(10, name="head")(y.mean((1, 2)))
    return [x, t], gx.nn.softmax_cross_entropy(y, t).mean(), True


Build = Callable[[int], Model]
KINDS: dict[str, tuple[Build, tuple[int, ...], tuple[bool, ...], float]] = {
    # build, depths, with and without training, momentum
    "fusable": (fusable, (10, 100, 1_000, 10_000), (False, True), 0.0),
    "reductions": (reductions, (10, 100, 1_000, 10_000), (False, True), 0.0),
    "products": (products, (10, 100, 1_000, 10_000), (False, True), 0.0),
    "mlp": (mlp, (4, 16, 64, 256), (True,), 0.0),
    "residual": (residual, (20, 56, 110, 152), (True,), 0.9),
    "scan": (scan, (10, 100, 1_000, 10_000), (True,), 0.0),
}


# ------------------------------------------------------------------------------- measuring


def compiled(kind: str, depth: int, train: bool) -> tuple[Any, list[Any], dict[str, float]]:
    """The function before its first call, its inputs, and seconds of the first two stages."""
    build, _, _, momentum = KINDS[kind]
    start = CLOCK()
    inputs, y, _ = build(depth)
    middle = CLOCK()
    updates = None
    if train:
        loss = y if not y.ndim else y.mean()
        updates = gx.optim.SGD(1e-3, momentum=momentum).minimize(loss)
        y = loss
    end = CLOCK()
    step = gx.compile(inputs, y, updates, name=f"{kind}_{depth}", threads=1)
    seconds = {"define": middle - start + CLOCK() - end, "differentiate": end - middle}
    return step, inputs, seconds


def arguments(inputs: list[Any]) -> list[Any]:
    """Small numbers for every input."""
    return [np.ones(x.shape, x.dtype.name) for x in inputs]


def measure(kind: str, depth: int, train: bool) -> dict[str, float]:
    """Milliseconds of every stage, and what came out."""
    warm, given, _ = compiled("mlp", 1, True)  # imports, and the native entry
    warm(*arguments(given))
    step, inputs, seconds = compiled(kind, depth, train)
    arrays = arguments(inputs)
    start = CLOCK()
    step(*arrays)
    first = CLOCK() - start
    times = dict(step.times)
    seconds |= times
    seconds["link"] = first - sum(times.values())
    result = {k: v * 1e3 for k, v in seconds.items()}
    result["total"] = sum(result.values())
    if times:
        program = step.program
        text = step.source("llvm")
        result["nodes"] = len(step.graph.nodes)
        result["kernels"] = len(program.schedule.calls)
        result["functions"] = text.count("\ndefine internal")
        result["text_kb"] = len(text) / 1e3
    return result


def process(kind: str, depth: int, train: bool, cache: str) -> dict[str, float]:
    """Measure in a process of its own."""
    program = [sys.executable, "-m", "tests.benchmarks.growth"]
    command = [*program, "--one", kind, str(depth), str(int(train))]
    found = subprocess.run(
        command,
        env=os.environ | {"GRAPHC_CACHE": cache},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        return {"failed": float(found.returncode), "line": found.stderr.splitlines()[-1:]}  # type: ignore[dict-item]
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    size = max(f.stat().st_size for f in os.scandir(cache))
    return result | {"object_kb": size / 1e3}


def table(kind: str, most: int) -> None:
    """Print all depths of a kind up to one."""
    _, depths, trainings, _ = KINDS[kind]
    columns = (*STAGES, "total", "cached", *FACTS)
    print(f"\n**{kind}**\n\n| depth | step | {' | '.join(columns)} |")
    print("|" + "---|" * (len(columns) + 2))
    for train in trainings:
        for depth in (d for d in depths if d <= most):
            with tempfile.TemporaryDirectory() as cache:
                cold = process(kind, depth, train, cache)
                cold["cached"] = process(kind, depth, train, cache).get("total", 0.0)
            cells = [f"{cold.get(c, 0.0):,.0f}" for c in columns]
            if "failed" in cold:
                cells = [str(cold["line"])]
            label = "train" if train else "forward"
            print(f"| {depth:,} | {label} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """All kinds, or those named; `--most N` leaves out what is deeper."""
    words = sys.argv[1:]
    if words[:1] == ["--one"]:
        print(json.dumps(measure(words[1], int(words[2]), bool(int(words[3])))))
        return
    most = int(words.pop(words.index("--most") + 1)) if "--most" in words else 1 << 30
    for kind in [w for w in words if w != "--most"] or KINDS:
        table(kind, most)


if __name__ == "__main__":
    main()
