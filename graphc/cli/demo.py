"""`graphc demo`: train on the digits that ship, and show what was compiled."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import graphc as gx
from graphc.cli.library import demonstrate
from graphc.cli.show import bytes_text, print_rows
from graphc.cli.subject import json_text
from graphc.errors import GraphcError
from graphc.ir.dims import evaluate
from graphc.runtime.function import CompiledFunction
from graphc.train.history import History

BATCH_SIZE = 64
MAX_BATCH = 512  # rows of a call, so that the library's memory is known


@dataclass(frozen=True)
class DemoRun:
    """What the demo trained: functions, seconds until the first step was done, the history."""

    step: CompiledFunction
    check: CompiledFunction
    predict: CompiledFunction
    compile_seconds: float
    history: History


def run_demo(
    output: Path | None, epochs: int, target: str, threads: int | None, seed: int, as_json: bool
) -> None:
    """Train, report, write the pictures and the library, and run it."""
    directory = make_directory(output)
    if not as_json:
        click.echo(f"training a 64-128-64-10 network on handwritten digits, {epochs} epochs")
    trained = train(epochs, target, threads, seed, verbose=None if not as_json else False)
    rows = [*_results(trained), *_costs(trained)]
    if not as_json:
        print_rows("digits", rows)
    written = write_pictures(trained.step, directory)
    if target != "interpret":
        written += demonstrate(trained.step, trained.predict, directory)
    if as_json:
        click.echo(json_text({**dict(rows), "written": written}))
        return
    for line in written:
        click.echo(line)


def train(
    epochs: int, target: str, threads: int | None, seed: int, verbose: bool | None = None
) -> DemoRun:
    """Build the network, compile it and fit it."""
    gx.seed(seed)
    training, testing = gx.data.digits()
    batch = gx.dim("batch", max=MAX_BATCH)
    x = gx.input("x", (batch, 64))
    labels = gx.input("labels", (batch,), dtype="int32")
    model = gx.nn.Sequential([
        gx.nn.Dense(128, activation="relu"), gx.nn.Dropout(0.2),
        gx.nn.Dense(64, activation="relu"), gx.nn.Dropout(0.2),
        gx.nn.Dense(10),
    ])  # fmt: skip
    logits = model(x)
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)}
    updates = gx.optim.Adam(2e-3).minimize(loss)
    options: dict[str, Any] = {"target": target, "threads": threads}
    start = time.perf_counter()
    step = gx.compile([x, labels], outputs, updates=updates, **options)
    check = gx.compile([x, labels], outputs, mode="inference", name="evaluate", **options)
    best = gx.argmax(logits, axis=-1).astype("int32")
    predict = gx.compile([x], {"digit": best}, mode="inference", name="predict", **options)
    step.specialize(batch=BATCH_SIZE)
    seconds = time.perf_counter() - start
    history = gx.fit(
        step, training, epochs, BATCH_SIZE, validation=(check, testing), verbose=verbose
    )
    return DemoRun(step, check, predict, seconds, history)


def _results(trained: DemoRun) -> list[tuple[str, str]]:
    history = trained.history
    seconds = sum(history.get("seconds", []))
    rows = [("training", f"{history.steps:,} steps of {BATCH_SIZE} in {seconds:.2f} s")]
    if history.epochs:
        rows.append(("test accuracy", f"{100 * history.last('val_accuracy'):.2f} %"))
        rows.append(("steps per second", f"{max(history['steps_per_second']):,.0f} (best epoch)"))
    return rows


def _costs(trained: DemoRun) -> list[tuple[str, str]]:
    step = trained.step
    weights = [p for p in step.parameters.values() if p.trainable]
    count = sum(int(evaluate(p.size, {})) for p in weights)
    rows = [("parameters", f"{count:,} in {len(weights)} arrays")]
    if step.target != "interpret":
        rows.append(("arithmetic per step", f"{step.cost.flops:,} FLOPs"))
        rows.append(("arena", f"{bytes_text(step.memory.arena_bytes)}, no allocation beyond it"))
        rows.append(("kernels", f"{len(step.kernels)} per step"))
    rows.append(("time to compile", f"{trained.compile_seconds:.2f} s"))
    return rows


# ---------------------------------------------------------------------------------- pictures


def write_pictures(step: CompiledFunction, directory: Path) -> list[str]:
    """Write every stage as DOT, and as SVG if Graphviz is there; say what was written."""
    stages = step.stages if step.target != "interpret" else step.stages[:2]
    draws = shutil.which("dot") is not None
    for number, stage in enumerate(stages, 1):
        name = f"{number}-{stage}"
        (directory / f"{name}.dot").write_text(step.dot(stage=stage), encoding="utf-8")
        if draws:
            step.dot(directory / f"{name}.svg", stage=stage)
    lines = [f"{len(stages)} pictures of the graph ({', '.join(stages)}) are in {directory}"]
    if not draws:
        lines.append("Graphviz's program dot is not installed: DOT text only, no SVG")
    return lines


def make_directory(wanted: Path | None) -> Path:
    """The directory for the pictures: the wanted one, or a new one here or, failing that, in the
    system's place for temporary files."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        _check_writable(wanted)
        return wanted.resolve()
    try:
        return _fresh(Path.cwd()).resolve()
    except OSError as error:
        directory = Path(tempfile.mkdtemp(prefix="graphc-demo-"))
        click.echo(f"cannot write to {Path.cwd()} ({error.strerror}): using {directory}")
        return directory


def _fresh(parent: Path) -> Path:
    for number in range(1, 1000):
        directory = parent / ("graphc-demo" if number == 1 else f"graphc-demo-{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise GraphcError(f"{parent} holds too many graphc-demo directories")


def _check_writable(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory):
        pass
