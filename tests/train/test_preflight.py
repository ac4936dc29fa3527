"""What a run says before its first epoch, a file for each epoch, lines of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError

DATA = [np.arange(8, dtype="float32")]


def learner() -> Any:
    """A step of one weight, with a metric."""
    x, w = gx.input("x", ("batch",)), gx.parameter("w", (), gx.init.ones())
    loss, mean = ((x * w) ** 2).mean(), gx.metrics.Mean("mean_output")
    updates = [gx.optim.SGD(1e-3).minimize(loss), mean.update(x * w)]
    outputs = {"loss": loss, "each": x * w}
    return gx.compile([x], outputs, updates, target="interpret")


def run(*callbacks: Any, epochs: int = 3, step: Any = None) -> Any:
    """A history."""
    step = learner() if step is None else step
    return gx.fit(step, DATA, epochs, 4, callbacks=callbacks, verbose=False)


@pytest.mark.parametrize("make", [gx.callbacks.EarlyStopping, gx.callbacks.ReduceOnPlateau])
def test_a_misspelt_monitor_is_told_before_the_first_epoch(make: Any) -> None:
    step = learner()
    with pytest.raises(
        ArgumentError, match="no val_loss among loss, mean_output, learning_rate"
    ) as e:
        run(make("val_loss"), step=step)
    assert e.value.hint == "did you mean loss?"
    assert step.epochs == 0
    with pytest.raises(ArgumentError, match="no mean_outputs among"):
        run(make("mean_outputs", mode="min"), step=step)
    assert run(make("mean_output", mode="min")).epochs == 3


def test_what_callbacks_of_the_user_add_may_be_watched() -> None:
    class Adds(gx.callbacks.Callback):
        def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
            logs["extra_loss"] = 1.0

    assert run(Adds(), gx.callbacks.EarlyStopping("extra_loss", patience=1), epochs=9).epochs == 2


@pytest.mark.parametrize(
    "make", [gx.callbacks.CSVLogger, gx.callbacks.JSONLogger, gx.callbacks.Checkpoint]
)
def test_a_folder_that_is_not_there(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"{make.__name__}: there is no folder .*missing") as e:
        run(make(tmp_path / "missing" / "file"))
    assert str(e.value.hint).startswith("make it: os.makedirs")
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_for_every_epoch(tmp_path: Path) -> None:
    saved = gx.callbacks.Checkpoint(tmp_path / "ep-{epoch:03}.safetensors")
    run(saved, epochs=11)
    names = sorted(os.listdir(tmp_path))
    assert names[0] == "ep-001.safetensors"
    assert names[-1] == saved.file.name == "ep-011.safetensors"
    assert len(names) == 11
    plain = gx.callbacks.Checkpoint(tmp_path / "{epoch}")
    whole = learner()
    run(epochs=4, step=whole)
    part, rest = learner(), learner()
    run(plain, epochs=2, step=part)
    plain.restore(rest)
    run(plain, epochs=2, step=rest)
    np.testing.assert_array_equal(*(s.parameters["w"].value for s in (whole, rest)))
    assert plain.file.name == "4"
    with pytest.raises(ArgumentError, match="there is no file"):
        gx.callbacks.Checkpoint(tmp_path / "none-{epoch}").restore(learner())


def test_lines_of_json_go_on_where_a_run_was_resumed(tmp_path: Path) -> None:
    lines, saved = gx.callbacks.JSONLogger(tmp_path / "log"), tmp_path / "last"
    run(lines, gx.callbacks.Checkpoint(saved), epochs=2)
    step = learner()
    checkpoint = gx.callbacks.Checkpoint(saved)
    checkpoint.restore(step)
    run(gx.callbacks.JSONLogger(tmp_path / "log"), checkpoint, epochs=1, step=step)
    rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {
        "epoch", "loss", "mean_output", "learning_rate", "seconds", "steps_per_second"
    }  # fmt: skip
