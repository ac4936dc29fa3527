"""StopOnNaN: it ends at a step, takes it back, and says what is to blame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from graphc.train.callbacks import Checkpoint, EarlyStopping, StopOnNaN
from graphc.train.fit import TrainingLoop

TARGETS = ["interpret", "cpu"]
COUNT, BATCH = 200, 4


def rows(seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(COUNT, 3)).astype("float32")
    return [x, x @ np.array([1, -2, 3], "float32")]


def linear(rate: float, target: str, dropout: float = 0.0, **named: Any) -> Any:
    gx.seed(0)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch",))
    w = gx.parameter("w", value=np.zeros(3, "float32"))
    loss = gx.nn.mse((gx.nn.dropout(x, dropout, name="d") * w).sum(axis=1), t).mean()
    outputs = {"loss": loss} | {n: f(x, w, loss) for n, f in named.items()}
    updates = gx.optim.Adam(rate, name="adam").minimize(loss)
    return gx.compile([x, t], outputs, updates, target=target)


def growing(target: str) -> Any:
    """A loss that overflows at step 65: w := 2 w, loss w**2."""
    gx.seed(0)
    x = gx.input("x", ("batch",))
    w = gx.parameter("w", value=np.float32(1))
    return gx.compile([x], {"loss": w * w + 0 * x.mean()}, {w: w * 2.0}, target=target)


def by_hand(step: Any, arrays: Any, count: int, seed: int) -> dict[str, Any]:
    """The parameters after `count` steps in the order of a run."""
    from graphc.frontend.seed import generator

    done = epoch = 0
    while done < count:
        order = generator(seed, f"epoch {epoch}").permutation(COUNT)
        for start in range(0, COUNT, BATCH):
            if done < count:
                step(*(a[order[start : start + BATCH]] for a in arrays))
                done += 1
        epoch += 1
    return {name: p.value for name, p in step.parameters.items()}


@pytest.mark.parametrize("slices", [1, 3, 1000])
@pytest.mark.parametrize("target", TARGETS)
def test_it_stops_at_the_step(target: str, slices: int, monkeypatch: Any) -> None:
    """How the epoch is cut makes no difference."""
    monkeypatch.setattr(TrainingLoop, "_resize", lambda self, *_: setattr(self, "_slice", slices))
    step = growing(target)
    data = [np.ones(COUNT, "float32")]
    history = gx.fit(step, data, 9, BATCH, callbacks=[StopOnNaN()], verbose=False)
    assert (history.epochs, history.steps) == (1, 64)
    assert float(step.parameters["w"].value) == 2.0**64
    assert history.note.startswith(
        "loss is inf at step 15 of epoch 2 (taken back): its inputs are finite, the first inf is"
        " made by multiply in test_stop_on_nan.py:"
    )
    assert history.note.endswith(": lower the learning rate first")


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_are_finite_also_where_the_loss_is_still(target: str) -> None:
    """The loss hides what the update has broken for some steps."""
    gx.seed(0)
    x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))
    hidden = gx.parameter("hidden", value=np.float32(1))  # overflows at step 13
    outputs = {"loss": w * x.mean()}
    step = gx.compile([x], outputs, {w: w * 1.5, hidden: hidden * 1000.0}, target=target)
    data = [np.ones(COUNT, "float32")]
    history = gx.fit(step, data, 9, BATCH, callbacks=[StopOnNaN()], verbose=False)
    assert history.steps == 12
    assert_close(step.parameters["hidden"].value, 1e36)
    assert history.note.startswith("hidden is not finite at step 13 of epoch 1 (taken back)")


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("target", TARGETS)
def test_the_state_is_that_before_the_step(target: str, dropout: float) -> None:
    """Parameters, moments, counter and random state, bit for bit."""
    arrays = rows()
    arrays[0][123] = np.nan
    step = linear(0.01, target, dropout)
    history = gx.fit(step, arrays, 9, BATCH, seed=5, callbacks=[StopOnNaN()], verbose=False)
    assert history.epochs == 0
    assert history.note.startswith("loss is nan at step ")
    assert "input x holds nan in row 123 of the data: clean the data" in history.note
    other = linear(0.01, target, dropout)
    for name, value in by_hand(other, arrays, history.steps, 5).items():
        np.testing.assert_array_equal(step.parameters[name].value, value)
    assert int(step.rng[1]) == int(other.rng[1])


def test_what_is_to_blame() -> None:
    cases: list[tuple[Any, float, str]] = [
        (("x", 7, np.inf), 0.01, "input x holds inf in row 7 of the data: clean the data"),
        (("t", 190, -np.inf), 0.01, "input t holds -inf in row 190 of the data"),
        (None, 1e30, "its inputs are finite, the first inf is made by multiply in"),
    ]
    for place, rate, text in cases:
        arrays = rows()
        if place is not None:
            arrays["xt".index(place[0])][place[1]] = place[2]
        step = linear(rate, "interpret")
        history = gx.fit(
            step, arrays, 50, BATCH, shuffle=False, callbacks=[StopOnNaN()], verbose=False
        )  # fmt: skip
        assert text in history.note
        assert all(np.isfinite(p.value).all() for p in step.parameters.values())


def test_an_input_that_is_no_batch_is_named_without_a_row() -> None:
    x, scale = gx.input("x", ("batch",)), gx.input("scale", ())
    w = gx.parameter("w", value=np.float32(0))
    loss = gx.square(x * w - scale).mean()
    step = gx.compile([x, scale], loss, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    data = [np.ones(8, "float32"), np.float32(np.nan)]
    history = gx.fit(step, data, 1, 4, callbacks=[StopOnNaN()], verbose=False)
    assert history.note.endswith("input scale holds nan: clean the data")
    assert history.steps == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_checkpoint_beside_it_keeps_good_weights(tmp_path: Path, first: bool) -> None:
    """Whichever is listed first; the file is that of the last whole epoch."""
    last, stop = Checkpoint(tmp_path / "last"), StopOnNaN()
    step = growing("interpret")
    data = [np.ones(COUNT, "float32")]
    watchers = [stop, last] if first else [last, stop]
    gx.fit(step, data, 9, BATCH, callbacks=watchers, verbose=False)
    assert float(gx.load(tmp_path / "last")["w"]) == 2.0**50


def test_the_last_step_of_an_epoch_counts_too(tmp_path: Path) -> None:
    """An update that breaks the weights after the epoch's last loss."""
    x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))
    step = gx.compile([x], x.mean(), {w: w * 6.0}, target="interpret")  # 6**50 overflows
    data = [np.ones(COUNT, "float32")]
    stop, last = StopOnNaN(), Checkpoint(tmp_path / "last")
    history = gx.fit(step, data, 9, BATCH, callbacks=[last, stop], verbose=False)
    assert history.steps == 49
    assert not (tmp_path / "last").exists()
    assert np.isfinite(step.parameters["w"].value)


def test_what_is_not_finite_from_the_start_is_left_alone() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", value=np.float32(1))
    best = gx.parameter("best", value=np.float32(np.inf), trainable=False)
    step = gx.compile([x], w * x.mean(), {w: w * 0.5, best: best + 1.0}, target="interpret")
    data = [np.ones(8, "float32")]
    history = gx.fit(step, data, 3, 4, callbacks=[StopOnNaN()], verbose=False)
    assert (history.epochs, history.note) == (3, "")


def test_early_stopping_beside_it_brings_the_best_back() -> None:
    step = growing("interpret")
    data = [np.ones(COUNT, "float32")]
    watchers = [EarlyStopping("loss", patience=9), StopOnNaN()]
    gx.fit(step, data, 9, BATCH, callbacks=watchers, verbose=False)
    assert float(step.parameters["w"].value) == 2.0**50


def test_a_run_without_trouble_is_the_same_with_it() -> None:
    one, other = linear(0.01, "cpu", 0.2), linear(0.01, "cpu", 0.2)
    gx.fit(one, rows(), 3, BATCH, verbose=False)
    history = gx.fit(other, rows(), 3, BATCH, callbacks=[StopOnNaN()], verbose=False)
    assert history.note == ""
    for name, p in one.parameters.items():
        np.testing.assert_array_equal(other.parameters[name].value, p.value)
