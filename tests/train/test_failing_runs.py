"""Runs that end with an error: what is left of them in memory and on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.train.callbacks import Callback, Checkpoint, JSONLogger

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = (X @ np.array([1, -2, 3], "float32")).astype("float32")


def build() -> Any:
    gx.seed(1)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch",))
    loss = gx.nn.mse(gx.nn.Dense(1, name="d")(gx.nn.Dropout(0.2, name="o")(x))[:, 0], t).mean()
    updates = gx.optim.Adam(0.01, name="adam").minimize(loss)
    return gx.compile([x, t], {"loss": loss}, updates, target="interpret")


def run(step: Any, epochs: int, callbacks: Any = ()) -> Any:
    return gx.fit(step, [X, Y], epochs, 4, callbacks=callbacks, seed=3, verbose=False)


def content(step: Any) -> dict[str, bytes]:
    return {name: p.value.tobytes() for name, p in step.parameters.items()}


class Failing(Callback):
    """Raises when an event comes the second time."""

    def __init__(self, event: str) -> None:
        self.error, self.left = KeyError("a mistake of one's own"), 2
        setattr(self, event, self._count)

    def _count(self, *_: Any) -> None:
        self.left -= 1
        if not self.left:
            raise self.error


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("event", ["epoch_end", "epoch_done"])
def test_a_callback_that_raises_leaves_the_epoch_saved(
    tmp_path: Path, event: str, first: bool
) -> None:
    """Whichever callback stands first; the run can go on from the file, or in the same step."""
    whole, step, rest = build(), build(), build()
    run(whole, 5)
    last, failing = Checkpoint(tmp_path / "last"), Failing(event)
    lines = JSONLogger(tmp_path / "lines")
    callbacks = [failing, last, lines] if first else [last, lines, failing]
    with pytest.raises(KeyError) as caught:
        run(step, 5, callbacks)
    assert caught.value is failing.error
    assert (step.epochs, step.history.epochs, len(step.history["loss"])) == (2, 2, 2)
    assert len((tmp_path / "lines").read_text().splitlines()) == 2
    last.restore(rest)
    run(rest, 3)
    assert content(rest) == content(whole)


def test_one_that_raises_within_an_epoch_leaves_the_epoch_before(tmp_path: Path) -> None:
    whole, step, rest = build(), build(), build()
    run(whole, 3)

    class Late(Callback):
        def slice_end(self, run: Any, logs: dict[str, float]) -> None:
            if run.history.epochs == 1:
                raise KeyError("late")

    last = Checkpoint(tmp_path / "last")
    with pytest.raises(KeyError, match="late"):
        run(step, 5, [Late(), last])
    assert (step.epochs, step.history.epochs) == (1, 1)
    last.restore(rest)
    run(rest, 2)
    assert content(rest) == content(whole)


def test_an_error_of_the_data_leaves_the_history() -> None:
    x, table = gx.input("x", ("batch",), "int32"), gx.parameter("table", (3, 2), gx.init.ones())
    loss = gx.square(table[x]).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    rows = np.array([0, 1, 2, 7], "int32")
    with pytest.raises(RuntimeCheckError, match="index 7"):
        gx.fit(step, [rows], 3, 2, shuffle=False, verbose=False)
    assert (step.history.epochs, step.epochs) == (0, 0)
    assert np.isfinite(table.value).all()


def test_a_sequential_has_its_history_too() -> None:
    net = gx.nn.Sequential([gx.nn.Dense(1)])
    net.compile("sgd", "mse", target="interpret")
    assert net.history is None
    with pytest.raises(KeyError, match="mistake"):
        net.fit(X, Y[:, None], epochs=5, callbacks=[Failing("epoch_end")], verbose=False)
    assert net.history is not None
    assert net.history.epochs == 2


# -------------------------------------------------------------------------------- full disks


def full(monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", fail)


def test_a_full_disk_leaves_the_old_file_and_the_run(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "last"
    step, last = build(), Checkpoint(path)
    run(step, 1, [last])
    before = path.read_bytes()
    full(monkeypatch)
    with pytest.raises(OSError, match="No space left on device") as error:
        run(step, 3, [last])
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last"]
    monkeypatch.undo()
    assert (step.epochs, step.history.epochs) == (2, 1)
    run(step, 1, [last])
    assert path.read_bytes() != before


# ------------------------------------------------------------- what a killed process leaves


def test_an_unfinished_file_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "last"
    for name in (".last.0123abcd", ".last.ffffffff", ".last.txt", ".other.0123abcd", "last.bak"):
        (tmp_path / name).write_bytes(b"half")
    gx.save(path, {"x": np.arange(3)})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".last.txt", ".other.0123abcd", "last", "last.bak",
    ]  # fmt: skip


def test_what_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks of files on this system")
    beside = tmp_path / ".last.0123abcd"
    with open(beside, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        gx.save(tmp_path / "last", {"x": np.arange(3)})
        assert beside.exists()
    gx.save(tmp_path / "last", {"x": np.arange(4)})
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_a_new_file_that_another_took_for_abandoned_is_written_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Between making and locking it, and between closing and moving it."""
    names = iter(["0000000a", "0000000b", "0000000c"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    real, move = os.path.exists, os.replace

    def gone(path: Any) -> bool:
        if str(path).endswith("a"):
            os.unlink(path)
        return real(path)

    def late(source: Any, goal: Any) -> None:
        if str(source).endswith("b"):
            os.unlink(source)
        move(source, goal)

    monkeypatch.setattr("os.path.exists", gone)
    monkeypatch.setattr("os.replace", late)
    gx.save(tmp_path / "last", {"x": np.arange(3)})
    np.testing.assert_array_equal(gx.load(tmp_path / "last")["x"], [0, 1, 2])
    assert [p.name for p in tmp_path.iterdir()] == ["last"]
    assert next(names, None) is None
