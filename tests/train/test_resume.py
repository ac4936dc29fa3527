"""Runs that stop and go on: orders, random states, rates, what callbacks remember."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, FormatError
from graphc.train.callbacks import Checkpoint, CSVLogger, EarlyStopping, ReduceOnPlateau

DATA = gx.data.digits()[0][0][:300], gx.data.digits()[0][1][:300]
TARGETS = ["interpret", "cpu"]


def build(target: str = "interpret", optimizer: Any = None) -> tuple[Any, Any]:
    """(step, evaluate) of a network with dropout; evaluate draws random numbers as well."""
    gx.seed(4)
    x, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), dtype="int32")
    hidden = gx.nn.dropout(gx.nn.Dense(16, "relu", name="a")(x), 0.3, name="drop")
    logits = gx.nn.Dense(10, name="b")(hidden)
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    named = {"loss": loss, "accuracy": gx.nn.accuracy(logits, t).mean()}
    chosen = optimizer or gx.optim.Adam(1e-2, name="adam")
    step = gx.compile([x, t], named, chosen.minimize(loss), target=target)
    noisy = {"loss": loss + 1e-3 * gx.random.normal((), name="noise")}
    return step, gx.compile([x, t], noisy, target=target, name="evaluate")


def values(step: Any) -> dict[str, bytes]:
    return {name: p.value.tobytes() for name, p in step.parameters.items()}


def run(pair: Any, epochs: int, callbacks: Any, **options: Any) -> Any:
    step, evaluate = pair
    return gx.fit(
        step, DATA, epochs, 64, (evaluate, DATA), callbacks, verbose=False, **options
    )  # fmt: skip


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("target", TARGETS)
def test_a_resumed_run_has_the_bits_of_the_whole_one(
    tmp_path: Path, target: str, seed: int | None
) -> None:
    whole, part, rest = build(target), build(target), build(target)
    wanted = run(whole, 5, [], seed=seed)
    last = Checkpoint(tmp_path / "last")
    run(part, 2, [last], seed=seed)
    last.restore(rest[0])
    run(rest, 1, [last], seed=seed)  # twice interrupted
    again = build(target)
    last.restore(again[0])
    history = run(again, 2, [], seed=seed)
    assert values(again[0]) == values(whole[0])
    for name in ("loss", "val_loss"):  # the validation function's random numbers go on, too
        assert history[name] == wanted[name][3:]


def test_a_seed_means_one_order_in_every_run(tmp_path: Path) -> None:
    """Also in a second run of one step, where no checkpoint was restored."""
    step, _ = build()
    seen = []
    for _ in range(2):
        before = {p: p.value for p in step.parameters.values()}
        gx.fit(step, DATA, 1, 64, seed=3, verbose=False)
        seen.append(values(step))
        for p, value in before.items():
            p.value = value
        step.rng[1] = 0
    assert seen[0] == seen[1]


@pytest.mark.parametrize("target", TARGETS)
def test_the_learning_rate_is_in_the_checkpoint(tmp_path: Path, target: str) -> None:
    part, rest = build(target), build(target)
    part[0].optimizer.learning_rate.value = 0.003
    last = Checkpoint(tmp_path / "last")
    run(part, 1, [last])
    last.restore(rest[0])
    assert float(rest[0].optimizer.learning_rate.value) == 0.003


@pytest.mark.parametrize("first", [True, False])
def test_callbacks_go_on_where_they_were(tmp_path: Path, first: bool) -> None:
    """Whichever stands first in the list: a file is written after all have seen the epoch."""

    def watch(path: Path) -> list[Any]:
        others = [
            ReduceOnPlateau("val_loss", 0.5, patience=1, min_delta=0.05),
            ReduceOnPlateau("loss", 0.9, patience=2, min_delta=0.05),
            EarlyStopping("val_loss", patience=4, min_delta=0.02),
            CSVLogger(path / "log.csv"),
            Checkpoint(path / "best", "accuracy"),
        ]
        last = [Checkpoint(path / "last")]
        return last + others if first else others + last

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = build()
    wanted = run(whole, 40, watch(tmp_path / "whole"), seed=1)
    assert "not improved" in wanted.note
    epochs = 0
    while True:
        pair = build()
        if epochs:
            Checkpoint(tmp_path / "parts" / "last").restore(pair[0])
        history = run(pair, 3, watch(tmp_path / "parts"), seed=1)
        epochs += history.epochs
        if history.note:
            break
    assert epochs == wanted.epochs
    assert values(pair[0]) == values(whole[0])
    for name in ("best", "last"):
        one, other = (gx.load(tmp_path / d / name) for d in ("whole", "parts"))
        assert {k: v.tobytes() for k, v in one.items()} == {
            k: v.tobytes() for k, v in other.items()
        }
    rows = [
        [
            (row["epoch"], row["loss"], row["val_loss"])
            for row in csv.DictReader(path.read_text().splitlines())
        ]
        for path in (tmp_path / "whole" / "log.csv", tmp_path / "parts" / "log.csv")
    ]
    assert rows[0] == rows[1]
    assert [row[0] for row in rows[0]] == [str(i + 1) for i in range(epochs)]


class Logs(gx.callbacks.Callback):
    """Puts numbers of its own into the logs."""

    def __init__(self, numbers: list[float], name: str = "score") -> None:
        self.numbers, self.name = iter(numbers), name

    def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        logs[self.name] = next(self.numbers)


def test_a_resumed_best_does_not_replace_a_better_one(tmp_path: Path) -> None:
    pair = build()
    best = Checkpoint(tmp_path / "best", "val_accuracy")
    last = Checkpoint(tmp_path / "last")
    run(pair, 3, [Logs([0.5, 0.9, 0.7], "val_accuracy"), last, best])
    content = (tmp_path / "best").read_bytes()
    for path in ("last", "best"):  # goes on from either file
        rest = build()
        Checkpoint(tmp_path / path, "val_accuracy" if path == "best" else None).restore(rest[0])
        best = Checkpoint(tmp_path / "best", "val_accuracy")
        run(rest, 1, [Logs([0.8], "val_accuracy"), best])
        assert (tmp_path / "best").read_bytes() == content


def test_a_best_file_that_a_kill_prevented_is_written_when_the_run_goes_on(tmp_path: Path) -> None:
    """`last` says that the epoch is the best, and the process was gone before that had its file."""
    for before in (b"", b"of the epoch before"):
        pair = build()
        last, best = Checkpoint(tmp_path / "last"), Checkpoint(tmp_path / "best", "val_accuracy")
        run(pair, 1, [Logs([0.5], "val_accuracy"), last, best])
        older = (tmp_path / "best").read_bytes()
        last.restore(pair[0])
        run(pair, 1, [Logs([0.9], "val_accuracy"), last, best])
        wanted = gx.load(tmp_path / "best")["a/kernel"]
        (tmp_path / "best").unlink()
        if before:
            (tmp_path / "best").write_bytes(older)
        rest = build()
        last.restore(rest[0])
        run(rest, 1, [Logs([0.8], "val_accuracy"), Checkpoint(tmp_path / "best", "val_accuracy")])
        np.testing.assert_array_equal(gx.load(tmp_path / "best")["a/kernel"], wanted)


def test_the_best_of_one_step_is_that_of_all_its_runs(tmp_path: Path) -> None:
    pair, best = build(), Checkpoint(tmp_path / "best", "val_accuracy")
    run(pair, 2, [Logs([0.5, 0.9], "val_accuracy"), best])
    content = (tmp_path / "best").read_bytes()
    run(pair, 1, [Logs([0.8], "val_accuracy"), best])
    assert (tmp_path / "best").read_bytes() == content
    run(build(), 1, [Logs([0.3], "val_accuracy"), best])  # another step: another run
    assert (tmp_path / "best").read_bytes() != content


def test_early_stopping_begins_anew_in_every_run() -> None:
    stopping = EarlyStopping("val_accuracy", patience=2)
    pair = build()
    falling = [0.9, 0.5, 0.4]
    history = run(pair, 9, [Logs([*falling, 0.3], "val_accuracy"), stopping])
    assert history.epochs == 3
    best = values(pair[0])
    other = build()
    history = run(other, 3, [Logs([0.1, 0.2, 0.3], "val_accuracy"), stopping])
    assert (history.epochs, history.note) == (3, "")
    assert values(other[0]) != best


def test_callbacks_that_watch_something_else_begin_anew(tmp_path: Path) -> None:
    pair, rest = build(), build()
    last = Checkpoint(tmp_path / "last")
    run(pair, 2, [EarlyStopping("val_loss", patience=1), last])
    last.restore(rest[0])
    stopping = EarlyStopping("loss", patience=1, restore_best=False)
    run(rest, 1, [stopping])
    assert stopping.monitor.waited == 0


def test_callbacks_of_ones_own_are_kept(tmp_path: Path) -> None:
    class Count(gx.callbacks.Callback):
        def __init__(self) -> None:
            self.epochs, self.row = 0, np.zeros(2)

        def epoch_end(self, run: Any, logs: dict[str, float]) -> None:
            self.epochs += 1
            self.row = self.row + self.epochs

        def state(self) -> dict[str, Any]:
            return {"epochs": self.epochs, "row": self.row}

        def set_state(self, run: Any, state: Any) -> None:
            self.epochs, self.row = state["epochs"], state["row"]

    first, second = [Count(), Count()], [Count(), Count()]
    pair, rest = build(), build()
    last = Checkpoint(tmp_path / "last")
    run(pair, 2, [*first, last])
    last.restore(rest[0])
    run(rest, 1, [last, *second])
    for count in second:
        assert count.epochs == 3
        np.testing.assert_array_equal(count.row, [6, 6])


def test_reduce_on_plateau_takes_every_optimiser() -> None:
    x = gx.input("x", ("batch", 2))
    a, b = (gx.parameter(name, (2,), gx.init.ones()) for name in "ab")
    loss = (x * a * b).sum()
    optimizers = [gx.optim.SGD(1.0), gx.optim.Adam(0.5)]
    updates = [o.minimize(loss, [p]) for o, p in zip(optimizers, (a, b))]
    step = gx.compile([x], {"loss": loss}, updates, target="interpret")
    data = [np.zeros((4, 2), "float32")]
    plateau = ReduceOnPlateau("loss", 0.5, patience=1)
    gx.fit(step, data, 3, 4, callbacks=[plateau], verbose=False)
    assert [float(o.learning_rate.value) for o in optimizers] == [0.25, 0.125]


def test_reduce_on_plateau_needs_a_rate() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", (), gx.init.ones())
    loss = (x * w).sum()
    data = [np.ones(4, "float32")]
    plateau = ReduceOnPlateau("loss")
    plain = gx.compile([x], {"loss": loss}, {w: w * 0.5}, target="interpret")
    with pytest.raises(ArgumentError, match="no optimiser whose rate could be lowered"):
        gx.fit(plain, data, 1, 4, callbacks=[plateau], verbose=False)
    tensor = gx.optim.SGD(gx.exp(w * 0.0)).minimize(loss)
    step = gx.compile([x], {"loss": loss}, tensor, target="interpret")
    with pytest.raises(ArgumentError, match="the learning rate is a tensor"):
        gx.fit(step, data, 1, 4, callbacks=[plateau], verbose=False)


def test_reduce_on_plateau_lowers_the_rates_of_a_schedule() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", (), gx.init.ones())
    optimizer = gx.optim.SGD(gx.schedules.constant(0.5))
    loss = (x * w).sum()
    step = gx.compile([x], {"loss": loss}, optimizer.minimize(loss), target="interpret")
    plateau = ReduceOnPlateau("loss", 0.5, patience=1)
    gx.fit(step, [np.zeros(4, "float32")], 3, 4, callbacks=[plateau], verbose=False)
    assert float(optimizer.rate_factor.value) == 0.25
    before = float(w.value)
    step(np.ones(4, "float32"))
    assert float(w.value) == before - 4 * 0.5 * 0.25


def test_reduce_on_plateau_lowers_the_rates_of_all_groups() -> None:
    x = gx.input("x", ("batch",))
    a, b = (gx.parameter(name, (), gx.init.ones()) for name in "ab")
    parts = gx.optim.SGD(1.0), gx.optim.Adam(0.5)
    loss = (x * a * b).sum()
    updates = gx.optim.groups(list(zip("ab", parts))).minimize(loss)
    step = gx.compile([x], {"loss": loss}, updates, target="interpret")
    plateau = ReduceOnPlateau("loss", 0.5, patience=1)
    gx.fit(step, [np.zeros(4, "float32")], 3, 4, callbacks=[plateau], verbose=False)
    assert [float(o.learning_rate.value) for o in parts] == [0.25, 0.125]


# ------------------------------------------------------------------------------------- direction


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("val_loss", "min"), ("val_accuracy", "max"), ("accuracy", "max"), ("val_acc", "max"),
        ("top_5_accuracy", "max"), ("val_top5", "max"), ("AUC", "max"), ("val_f1", "max"),
        ("r2", "max"), ("precision", "max"), ("recall", "max"), ("mean_iou", "max"),
        ("mse", "min"), ("val_mean_absolute_error", "min"), ("perplexity", "min"),
        ("accuracy_loss", "min"), ("losses/generator", "min"), ("cross_entropy", "min"),
        ("f1_error", "min"),
    ],
)  # fmt: skip
def test_names_tell_the_direction(name: str, mode: str) -> None:
    makers: list[Callable[..., Any]] = [
        EarlyStopping, ReduceOnPlateau, lambda monitor, **o: Checkpoint("x", monitor, **o),
    ]  # fmt: skip
    for make in makers:
        assert make(name).monitor.mode == mode
        other = "max" if mode == "min" else "min"
        assert make(name, mode=other).monitor.mode == other


@pytest.mark.parametrize("make", [EarlyStopping, ReduceOnPlateau, lambda m: Checkpoint("x", m)])
def test_a_name_that_does_not_tell_is_an_error(make: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentError, match="score does not tell whether it should fall") as error:
        make("val_score")
    assert error.value.hint == 'pass mode="min" or mode="max"'
    with pytest.raises(ArgumentError, match="must be a name of the logs, got 3"):
        EarlyStopping(3)  # type: ignore[arg-type]


def test_a_checkpoint_of_accuracy_keeps_the_highest(tmp_path: Path) -> None:
    pair = build()
    best = Checkpoint(tmp_path / "best", monitor="val_accuracy")
    kept: list[bytes] = []

    class Keep(gx.callbacks.Callback):
        def epoch_done(self, run: Any) -> None:
            kept.append(run.step.parameters["a/kernel"].value.tobytes())

    run(pair, 3, [Logs([0.2, 0.8, 0.5], "val_accuracy"), best, Keep()])
    assert gx.load(tmp_path / "best")["a/kernel"].tobytes() == kept[1]


# ------------------------------------------------------------------------------------- refusals


def test_what_has_no_updates_cannot_be_fitted() -> None:
    _, evaluate = build()
    with pytest.raises(ArgumentError, match="evaluate has no updates") as error:
        gx.fit(evaluate, DATA, verbose=False)
    assert "updates=optimizer.minimize(loss)" in (error.value.hint or "")


def test_validation_must_not_learn() -> None:
    step, _ = build()
    with pytest.raises(ArgumentError, match="the validation function step updates a/kernel") as e:
        gx.fit(step, DATA, validation=(step, DATA), verbose=False)
    assert 'mode="inference"' in (e.value.hint or "")


def test_a_damaged_note_is_a_format_error(tmp_path: Path) -> None:
    pair = build()
    last = Checkpoint(tmp_path / "last")
    run(pair, 1, [last])
    content = (tmp_path / "last").read_bytes()
    (tmp_path / "last").write_bytes(content.replace(b'\\"epochs\\"', b'\\"epoxhs\\"'))
    with pytest.raises(FormatError, match="the note about the run is damaged"):
        last.restore(pair[0])


def test_no_file_with_parameters_that_are_not_finite(tmp_path: Path) -> None:
    pair = build(optimizer=gx.optim.SGD(1e30))
    path = tmp_path / "last"
    with pytest.warns(RuntimeWarning, match="not written, since .* is not finite"):
        run(pair, 1, [Checkpoint(path)])
    assert not path.exists()


class Signal(gx.callbacks.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def slice_end(self, run: Any, logs: dict[str, float]) -> None:
        if run.history.epochs == self.epoch:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("target", TARGETS)
def test_after_ctrl_c_the_last_whole_epoch_goes_on(tmp_path: Path, target: str) -> None:
    whole, part, rest = build(target), build(target), build(target)
    wanted = run(whole, 4, [gx.callbacks.StopOnNaN()], seed=1)
    last = Checkpoint(tmp_path / "last")
    history = run(part, 4, [Signal(2), last, gx.callbacks.StopOnNaN()], seed=1)
    assert history.interrupted
    assert history.epochs == 2
    last.restore(rest[0])
    history = run(rest, 2, [], seed=1)
    assert history["loss"] == wanted["loss"][2:]
    assert values(rest[0]) == values(whole[0])
