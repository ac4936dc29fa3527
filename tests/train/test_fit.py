"""The training loop: order, means, validation, callbacks, Ctrl-C, progress."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close


def regression(rate: float = 0.05) -> tuple[Any, Any, Any]:
    """(step, evaluate, arrays) of a linear model on 23 samples."""
    gx.seed(0)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch",))
    w = gx.parameter("w", value=np.zeros((3,), "float32"))
    loss = gx.nn.mse((x * w).sum(axis=1), t).mean()
    updates = gx.optim.SGD(rate).minimize(loss)
    step = gx.compile([x, t], {"loss": loss}, updates=updates, target="interpret")
    evaluate = gx.compile([x, t], {"loss": loss}, target="interpret", name="evaluate")
    rng = np.random.default_rng(0)
    array = rng.normal(size=(23, 3)).astype("float32")
    return step, evaluate, [array, array @ np.array([1, -2, 3], "float32")]


def weights(step: Any) -> Any:
    return step.parameters["w"].value


def test_fit_is_epochs_of_run_epoch() -> None:
    step, _, arrays = regression()
    history = gx.fit(step, arrays, epochs=3, batch_size=4, verbose=False)
    other, _, _ = regression()
    losses = [other.run_epoch(arrays, 4)["loss"] for _ in range(3)]
    np.testing.assert_array_equal(weights(step), weights(other))
    sizes = [4, 4, 4, 4, 4, 3]
    assert_close(history["loss"], [np.average(v, weights=sizes) for v in losses])
    assert (history.epochs, history.steps, history.interrupted, history.note) == (3, 18, False, "")


def test_a_second_fit_goes_on_with_new_orders() -> None:
    step, _, arrays = regression()
    gx.fit(step, arrays, epochs=2, batch_size=4, verbose=False)
    gx.fit(step, arrays, epochs=1, batch_size=4, verbose=False)
    other, _, _ = regression()
    gx.fit(other, arrays, epochs=3, batch_size=4, verbose=False)
    np.testing.assert_array_equal(weights(step), weights(other))


def test_seed_and_shuffle() -> None:
    results = []
    for options in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"shuffle": False}):
        step, _, arrays = regression()
        gx.fit(step, arrays, epochs=2, batch_size=4, verbose=False, **options)
        results.append(weights(step))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], results[3])


def test_drop_last_leaves_the_rest_out() -> None:
    step, _, arrays = regression()
    history = gx.fit(step, arrays, epochs=2, batch_size=4, drop_last=True, verbose=False)
    assert history.steps == 10
    with pytest.raises(ShapeError, match="23 samples make no batch of 32"):
        gx.fit(step, arrays, batch_size=32, drop_last=True, verbose=False)


def test_validation_is_weighted_by_samples() -> None:
    step, evaluate, arrays = regression()
    history = gx.fit(
        step, arrays, epochs=2, batch_size=4, validation=(evaluate, arrays), verbose=False
    )
    whole = evaluate(*arrays)["loss"]
    assert_close(history["val_loss"][-1], whole, "float32")
    assert list(history) == ["loss", "val_loss", "learning_rate", "seconds", "steps_per_second"]
    assert history.last("val_loss") == history["val_loss"][1]
    with pytest.raises(KeyError, match="accuracy: the history has loss"):
        history.last("accuracy")


def test_one_output_is_called_loss_and_arrays_go_by_name_too() -> None:
    x, t = gx.input("x", ("batch",)), gx.input("t", ("batch",))
    scale = gx.input("scale", ())
    w = gx.parameter("w", value=np.float32(0))
    loss = (gx.nn.mse(x * w, t) * scale).mean()
    step = gx.compile(
        [x, t, scale], loss, updates=gx.optim.SGD(0.1).minimize(loss), target="interpret"
    )
    arrays = {"t": np.ones(6, "float32"), "x": np.ones(6, "float32"), "scale": np.float32(1)}
    history = gx.fit(step, arrays, epochs=30, batch_size=4, verbose=False)
    assert list(history) == ["loss", "learning_rate", "seconds", "steps_per_second"]
    assert history["loss"][-1] < 1e-3


def test_nothing_to_do() -> None:
    step, _, arrays = regression()
    history = gx.fit(step, arrays, epochs=0, batch_size=4, verbose=False)
    assert (dict(history), history.epochs) == ({}, 0)


@pytest.mark.parametrize("epochs", [-1, 1.5, True])
def test_bad_epochs(epochs: Any) -> None:
    step, _, arrays = regression()
    with pytest.raises(ArgumentError, match="epochs must be an int"):
        gx.fit(step, arrays, epochs=epochs)


# ------------------------------------------------------------------------------------ callbacks


class Interrupt(gx.callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        if run.history.epochs == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_usable_parameters_and_the_history() -> None:
    step, evaluate, arrays = regression()
    history = gx.fit(step, arrays, 10, 4, callbacks=[Interrupt(2)], verbose=False)
    assert history.interrupted
    assert history.note == "interrupted after 2 of 10 epochs"
    assert len(history["loss"]) == 2
    other, _, _ = regression()
    gx.fit(other, arrays, 2, 4, verbose=False)
    np.testing.assert_array_equal(weights(step), weights(other))
    assert math.isfinite(evaluate(*arrays)["loss"])


def test_early_stopping_restores_the_best_parameters() -> None:
    step, evaluate, arrays = regression(rate=0.9)  # diverges
    history = gx.fit(
        step, arrays, 50, 4,
        validation=(evaluate, arrays), verbose=False,
        callbacks=[gx.callbacks.EarlyStopping(patience=3)],
    )  # fmt: skip
    best = int(np.argmin(history["val_loss"]))
    assert history.epochs == best + 4 < 50
    assert history.note == "val_loss has not improved for 3 epochs"
    assert_close(evaluate(*arrays)["loss"], history["val_loss"][best])


def test_early_stopping_names_what_it_could_watch() -> None:
    step, _, arrays = regression()
    with pytest.raises(ArgumentError, match="no val_loss among loss, learning_rate, seconds"):
        gx.fit(step, arrays, 2, 4, callbacks=[gx.callbacks.EarlyStopping()], verbose=False)
    with pytest.raises(ArgumentError, match='mode must be "min" or "max"'):
        gx.callbacks.EarlyStopping(mode="up")


def test_stop_on_nan() -> None:
    step, _, arrays = regression(rate=1e30)
    history = gx.fit(step, arrays, 50, 4, callbacks=[gx.callbacks.StopOnNaN()], verbose=False)
    assert history.epochs <= 2
    assert "lower the learning rate" in history.note


def test_reduce_on_plateau() -> None:
    step, _, arrays = regression(rate=1.0)
    watcher = gx.callbacks.ReduceOnPlateau("loss", factor=0.5, patience=1, min_rate=0.2)
    gx.fit(step, arrays, 12, 4, callbacks=[watcher], verbose=False)
    assert 0.2 <= float(step.optimizer.learning_rate.value) < 1.0


def test_csv_logger(tmp_path: Path) -> None:
    step, evaluate, arrays = regression()
    path = tmp_path / "log.csv"
    logger = gx.callbacks.CSVLogger(path)
    history = gx.fit(
        step, arrays, 3, 4, validation=(evaluate, arrays), callbacks=[logger], verbose=False
    )
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]


def test_checkpoint_saves_the_best(tmp_path: Path) -> None:
    step, _, arrays = regression()
    path = tmp_path / "best.safetensors"
    gx.fit(step, arrays, 3, 4, callbacks=[gx.callbacks.Checkpoint(path, "loss")], verbose=False)
    np.testing.assert_array_equal(gx.load(path)["w"], weights(step))


# -------------------------------------------------------------------------------------- progress


def test_plain_lines_when_not_a_terminal(capsys: Any) -> None:
    step, _, arrays = regression()
    gx.fit(step, arrays, epochs=2, batch_size=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    gx.fit(step, arrays, epochs=2, batch_size=4, verbose=False)
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal() -> None:
    step, _, arrays = regression()
    stream = Terminal()
    bar = gx.callbacks.ProgressBar(stream)
    gx.fit(step, arrays, epochs=3, batch_size=4, callbacks=[bar])
    text = stream.getvalue()
    assert "100%" in text
    assert "steps/s" in text
    assert "loss" in text


def test_the_note_is_shown() -> None:
    step, _, arrays = regression()
    stream = io.StringIO()
    gx.fit(step, arrays, 5, 4, callbacks=[gx.callbacks.ProgressBar(stream), Interrupt(1)])
    assert stream.getvalue().splitlines()[-1] == "interrupted after 1 of 5 epochs"


# ------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: gx.callbacks.EarlyStopping(patience=-1), "patience must be an int of at least 0"),
        (lambda: gx.callbacks.EarlyStopping(patience=1.5), "patience must be an int"),
        (lambda: gx.callbacks.EarlyStopping(min_delta=-1), "min_delta must be a number of at"),
        (lambda: gx.callbacks.ReduceOnPlateau(factor=2.0), "factor must be .* and below 1, got 2"),
        (lambda: gx.callbacks.ReduceOnPlateau(factor="x"), "factor must be a number"),
        (lambda: gx.callbacks.ReduceOnPlateau(min_rate=-1), "min_rate must be a number"),
    ],
)
def test_bad_numbers_of_callbacks(make: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_a_step_of_one_batch_size_refuses_a_rest_before_it_learns(target: str) -> None:
    x, w = gx.input("x", (4, 3)), gx.parameter("w", (3,), gx.init.ones())
    loss = gx.square(x * w).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), target=target)
    data = [np.ones((10, 3), "float32")]
    for run in (
        lambda: gx.fit(step, data, batch_size=4, verbose=False),
        lambda: step.run_epoch(data, 4),
    ):
        with pytest.raises(ShapeError, match="last batch of 10 samples would have 2, but x takes"):
            run()
        np.testing.assert_array_equal(w.value, 1)
    assert gx.fit(step, data, batch_size=4, drop_last=True, verbose=False).steps == 2
