"""Memory-mapped files: they train as arrays do, and are never copied whole."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import DTypeError, ShapeError
from graphc.train.batches import Batches, is_mapped


def linear(columns: int, target: str = "interpret") -> Any:
    gx.seed(0)
    x, t = gx.input("x", ("batch", columns)), gx.input("t", ("batch",))
    w = gx.parameter("w", (columns,), gx.init.zeros())
    loss = gx.nn.mse((x * w).sum(axis=1), t).mean()
    return gx.compile([x, t], {"loss": loss}, gx.optim.SGD(0.05).minimize(loss), target=target)


def in_files(folder: Path, arrays: list[Any]) -> list[Any]:
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    return [np.load(folder / f"{i}.npy", mmap_mode="r") for i in range(len(arrays))]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_files_train_as_arrays_do(tmp_path: Path, target: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = (10 * rng.normal(size=(23, 3))).astype(dtype)
    arrays = [x, x @ np.array([1, -2, 3], dtype) / 10]
    step, other = linear(3, target), linear(3, target)
    wanted = gx.fit(step, arrays, 2, 4, verbose=False)
    files = in_files(tmp_path, arrays)
    found = gx.fit(other, [files[0], np.asarray(files[1])], 2, 4, verbose=False)
    np.testing.assert_array_equal(step.parameters["w"].value, other.parameters["w"].value)
    assert found["loss"] == wanted["loss"]


def test_wrong_files_are_told_at_once(tmp_path: Path) -> None:
    step = linear(3)
    files = in_files(tmp_path, [np.ones((4, 3), complex), np.ones(4, "f4"), np.ones((4, 3, 1))])
    with pytest.raises(DTypeError, match="input x must be float32, got complex128"):
        gx.fit(step, files[:2], verbose=False)
    with pytest.raises(ShapeError, match="input x must have 2 axes, got 3"):
        gx.fit(step, [files[2], files[1]], verbose=False)


def test_a_file_is_not_read_whole(tmp_path: Path, monkeypatch: Any) -> None:
    """26 MB of float64 that become float32, slice by slice; the file has no blocks on the disk."""
    monkeypatch.setattr("graphc.train.batches._FILE_BYTES", 2**20)
    shape = (8000, 400)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float64", shape)
    t = np.zeros(len(x), "float32")
    step = linear(shape[1])
    model = gx.nn.Sequential([gx.nn.Dense(1)])
    model.compile("sgd", "mse", target="interpret")
    runs: list[Any] = [
        lambda: gx.fit(step, [x, t], 1, 200, verbose=False),
        lambda: gx.fit(step, [x[::2], t[::2]], 1, 200, shuffle=False, verbose=False),
        lambda: model.fit(x, t[:, None], 200, validation_split=0.25, verbose=False),
    ]
    for run in runs:
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8e6 < x.nbytes


def test_what_is_mapped(tmp_path: Path) -> None:
    (x,) = in_files(tmp_path, [np.arange(12.0).reshape(4, 3)])
    assert all(map(is_mapped, [x, np.asarray(x), x[1:], np.asarray(x)[::2].T]))
    assert not is_mapped(np.array(x))
    batches = Batches(linear(3), [x, np.ones(4)], 2)
    assert is_mapped(batches.arrays[0])
