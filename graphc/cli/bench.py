"""`graphc bench`: how long calls take here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

import graphc as gx
from graphc.cli.build import random_inputs
from graphc.cli.options import SourceOptions
from graphc.cli.show import print_columns
from graphc.cli.subject import choose, functions_of, json_text, shapes_of, sizes
from graphc.errors import ArgumentError
from graphc.ir.dims import evaluate
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction

BATCH_SIZE = 128
Timed = tuple[str, Callable[[], object], float]  # name, call, arithmetic operations


def run_bench(
    source: Path | None, as_json: bool, seconds: float, target: str | None, options: SourceOptions
) -> None:
    """Time the functions of a file, or of a network that ships."""
    rows: list[dict[str, Any]] = []
    for name, call, flops in subjects(source, target, options):
        times = measure(call, seconds)
        rows.append({
            "function": name,
            "calls": len(times),
            "median_us": statistics.median(times) * 1e6,
            "fastest_us": min(times) * 1e6,
            "slowest_us": max(times) * 1e6,
            "gflops": flops / statistics.median(times) / 1e9,
        })  # fmt: skip
    if as_json:
        click.echo(json_text(rows))
        return
    shown = [
        (r["function"], f"{r['median_us']:.1f}", f"{r['fastest_us']:.1f}", f"{r['slowest_us']:.1f}",
         f"{r['gflops']:.2f}", f"{r['calls']:,}")
        for r in rows
    ]  # fmt: skip
    heads = ("function", "median us", "fastest", "slowest", "GFLOP/s", "calls")
    print_columns("time of a call", heads, shown, narrow=1)


def measure(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of every call, after a warm-up."""
    for _ in range(3):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def subjects(source: Path | None, target: str | None, options: SourceOptions) -> list[Timed]:
    """What is timed."""
    if source is None:
        return built_in(target or "cpu")
    if target is not None and source.suffix != ".onnx":
        raise ArgumentError(
            f"{source}: --target is for ONNX models and the network that ships;"
            " scripts and libraries have a target of their own"
        )
    if source.is_dir() or source.suffix == ".json":
        return exported(source, options)
    given = sizes(options["dim"])
    found = functions_of(source, given, shapes_of(options["shape"]), target or "cpu")
    _, function = choose(found, options["function"], source)
    asked = {name: given.get(name, dim.max) for name, dim in function.dims.items()}
    wanted = {name: size for name, size in asked.items() if isinstance(size, int)}
    missing = [name for name in asked if name not in wanted]
    if missing:
        raise ArgumentError(f"{source}: the size of {', '.join(missing)} is not known: --dim")
    facts = {
        "inputs": [
            {"dtype": n.type.dtype.name, "shape": [evaluate(s, wanted) for s in n.type.shape]}
            for n in function.graph.inputs
        ]
    }
    arrays = random_inputs(facts, {})
    function(*arrays)
    return [(function.name, partial(function, *arrays), function.cost.flops)]


def exported(source: Path, options: SourceOptions) -> list[Timed]:
    """Every function of a library, at the maxima of its dims."""
    library, given = gx.load_library(source), sizes(options["dim"])
    rows: list[Timed] = []
    for name, function in library.functions.items():
        dims = {d["name"]: given.get(d["name"], d["max"]) for d in function.facts["dims"]}
        arrays = random_inputs(function.facts, dims | function.facts["fixed"])
        rows.append((name, partial(function, *arrays), function.facts["flops"]))
    return rows


def built_in(target: str) -> list[Timed]:
    """A training step, a prediction and a product."""
    gx.seed(0)
    x, t = gx.input("x", (BATCH_SIZE, 784)), gx.input("t", (BATCH_SIZE,), dtype="int32")
    h = gx.nn.Dense(512, activation="relu")(x)
    logits = gx.nn.Dense(10)(gx.nn.Dense(512, activation="relu")(h))
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    updates = gx.optim.SGD(0.01, momentum=0.9).minimize(loss)
    step = gx.compile([x, t], loss, updates, name="step of 784-512-512-10", target=target)
    predict = gx.compile([x], gx.nn.softmax(logits), name="its prediction", target=target)
    a, b = gx.input("a", (512, 512)), gx.input("b", (512, 512))
    product = gx.compile([a, b], a @ b, name="product 512x512x512", target=target)
    rng = np.random.default_rng(0)
    images = rng.random((BATCH_SIZE, 784), dtype=np.float32)
    labels = rng.integers(0, 10, BATCH_SIZE).astype(np.int32)
    m = rng.random((512, 512), dtype=np.float32)
    calls: list[tuple[CompiledFunction, tuple[Array, ...]]] = [
        (step, (images, labels)), (predict, (images,)), (product, (m, m)),
    ]  # fmt: skip
    rows: list[Timed] = []
    for function, arrays in calls:
        function(*arrays)
        rows.append((function.name, partial(function, *arrays), function.cost.flops))
    return rows
