"""Checkpoints in the middle of an epoch, and runs that go on from them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, FormatError
from graphc.train import files
from graphc.train.callbacks import Checkpoint
from graphc.train.fit import TrainingLoop

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = RNG.integers(0, 3, 50).astype("int32")
SIZE, STEPS = 8, 7  # the last batch has two samples


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: Any) -> None:
    monkeypatch.setattr(TrainingLoop, "_resize", lambda self, *_: setattr(self, "_slice", 2))


def build(target: str = "interpret") -> Any:
    gx.seed(4)
    x, t = gx.input("x", ("batch", 4)), gx.input("t", ("batch",), dtype="int32")
    logits = gx.nn.Dense(3, name="b")(gx.nn.dropout(x, 0.3, name="drop"))
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    f1 = gx.metrics.F1("macro")
    optimizer = gx.optim.Adam(gx.schedules.exponential(0.1, 0.9, 3), name="adam")
    updates = [optimizer.minimize(loss), f1.update(logits, t)]
    return gx.compile([x, t], {"loss": loss}, updates, target=target)


def batches(epoch: int) -> Iterator[Any]:
    order = np.random.default_rng(epoch).permutation(len(X))
    for start in range(0, len(X), SIZE):
        yield X[order[start : start + SIZE]], Y[order[start : start + SIZE]]


class Crash(gx.callbacks.Callback):
    """An error after some steps of a run."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def slice_end(self, run: Any, logs: dict[str, float]) -> None:
        if run.history.steps >= self.steps:
            raise ZeroDivisionError


def train(step: Any, data: Any, epochs: int, *callbacks: Any, **options: Any) -> Any:
    return gx.fit(step, data, epochs, SIZE, callbacks=callbacks, verbose=False, **options)


def same(step: Any, other: Any) -> bool:
    return all(
        step.parameters[n].value.tobytes() == other.parameters[n].value.tobytes()
        for n in step.parameters
    )


@pytest.mark.parametrize("steps", [1, 4, STEPS, 9])
@pytest.mark.parametrize("kind", ["arrays", "seed", "cpu", "function"])
def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path: Path, kind: str, steps: int) -> None:
    data = batches if kind == "function" else [X, Y]
    options = {"seed": 3} if kind == "seed" else {}
    target = "cpu" if kind == "cpu" else "interpret"
    whole, part, rest = build(target), build(target), build(target)
    wanted = train(whole, data, 3, **options)
    saved = Checkpoint(tmp_path / "run", every_steps=steps)
    with pytest.raises(ZeroDivisionError):
        train(part, data, 3, saved, Crash(12), **options)
    saved.restore(rest)
    history = train(rest, data, 3 - rest.epochs, **options)
    assert same(whole, rest)
    assert not same(whole, part)
    done = 3 - history.epochs
    assert done == 1
    for name in ("loss", "f1", "learning_rate"):
        assert history[name] == wanted[name][done:]
    if steps < 7:
        assert history.steps < 2 * STEPS


def test_an_iterator_goes_on_where_it_stands(tmp_path: Path) -> None:
    def endless() -> Iterator[Any]:
        for epoch in range(100):
            yield from batches(epoch)

    whole, part, rest = build(), build(), build()
    train(whole, endless(), 3, steps_per_epoch=6)
    saved = Checkpoint(tmp_path / "run", every_steps=4)
    with pytest.raises(ZeroDivisionError):
        train(part, endless(), 3, saved, Crash(10), steps_per_epoch=6)
    saved.restore(rest)
    history = train(rest, islice(endless(), 10, None), 2, steps_per_epoch=6)
    assert same(whole, rest)
    assert history.steps == 8


def test_files_of_epochs_and_of_their_middles(tmp_path: Path) -> None:
    step = build()
    saved = Checkpoint(tmp_path / "run-{epoch}", every_steps=2)
    with pytest.raises(ZeroDivisionError):
        train(step, [X, Y], 3, saved, Crash(11))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-1", "run-2"]
    assert saved.file.name == "run-2"
    assert "within" not in files.read_notes(str(tmp_path / "run-1"))["run"]
    assert "within" in files.read_notes(str(tmp_path / "run-2"))["run"]
    arrays = gx.load(saved.file)
    arrays.pop("run/within/sizes")
    files.write(saved.file, {}, files.read_notes(str(saved.file)), arrays)
    with pytest.raises(FormatError, match="steps are missing"):
        saved.restore(step)


def test_a_sequential_goes_on(tmp_path: Path) -> None:
    def model() -> Any:
        gx.seed(0)
        net = gx.nn.Sequential([gx.nn.Dense(3, name="only")])
        net.build((4,))
        net.compile("adam", "softmax_cross_entropy", ["accuracy"], target="interpret")
        return net

    options: Any = {"batch_size": SIZE, "verbose": False}
    whole, part, rest = model(), model(), model()
    whole.fit(X, Y, epochs=2, **options)
    saved = Checkpoint(tmp_path / "run", every_steps=3)
    with pytest.raises(ZeroDivisionError):
        part.fit(X, Y, epochs=2, callbacks=[saved, Crash(9)], **options)
    saved.restore(rest)
    rest.fit(X, Y, epochs=1, **options)
    assert [p.value.tobytes() for p in rest.parameters] == [
        p.value.tobytes() for p in whole.parameters
    ]


def test_what_every_steps_may_be() -> None:
    with pytest.raises(ArgumentError, match="every_steps must be an int of at least 1"):
        Checkpoint("run", every_steps=0)
    with pytest.raises(ArgumentError, match="loss is known after an epoch, not every 2 steps"):
        Checkpoint("run", "loss", every_steps=2)
