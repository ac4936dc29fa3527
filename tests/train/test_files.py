"""Parameters in safetensors files: round trips, refusals, atomic writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, FormatError, NameError, ShapeError

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "int32", "int64", "uint8", "bool"]


def parameter(name: str, dtype: str, shape: tuple[int, ...], fill: int) -> Any:
    return gx.parameter(name, shape, init=gx.init.constant(fill), dtype=dtype)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "p.safetensors"
    old, new = parameter("a/b", dtype, shape, 1), parameter("a/b", dtype, shape, 0)
    gx.save(path, [old])
    arrays = gx.load(path, into=[new])
    assert list(arrays) == ["a/b"]
    assert arrays["a/b"].dtype == old.value.dtype
    np.testing.assert_array_equal(new.value, old.value)
    assert gx.load(path)["a/b"].shape == shape


def test_whatever_has_parameters(tmp_path: Path) -> None:
    layer = gx.nn.Dense(3, name="d")
    x = gx.input("x", ("batch", 2))
    loss = layer(x).sum()
    step = gx.compile([x], loss, updates=gx.optim.Adam().minimize(loss), target="interpret")
    step(np.ones((4, 2), "float32"))
    gx.save(tmp_path / "step", step)
    gx.save(tmp_path / "layer", layer)
    assert sorted(gx.load(tmp_path / "layer")) == ["d/bias", "d/kernel"]
    assert set(gx.load(tmp_path / "step")) == set(step.parameters)
    before = {name: p.value for name, p in step.parameters.items()}
    step(np.ones((4, 2), "float32"))
    gx.load(tmp_path / "step", into=step)
    for name, p in step.parameters.items():
        np.testing.assert_array_equal(p.value, before[name])


def test_numpy_arrays_by_name(tmp_path: Path) -> None:
    gx.save(tmp_path / "f", {"x": np.arange(3), "y": np.ones((2, 2))[:, ::-1]})
    np.testing.assert_array_equal(gx.load(tmp_path / "f")["x"], [0, 1, 2])


def test_other_readers_understand_the_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    gx.save(tmp_path / "f", [parameter("a", "float32", (2, 3), 5)])
    np.testing.assert_array_equal(load_file(tmp_path / "f")["a"], np.full((2, 3), 5, "float32"))


def test_a_mismatch_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    gx.save(path, [parameter("a", "float32", (2,), 1), parameter("b", "float32", (3,), 1)])
    a = parameter("a", "float32", (2,), 7)
    cases: list[tuple[Any, Any, str]] = [
        (parameter("b", "float32", (4,), 7), ShapeError, r"b has shape \(3,\), not \(4,\)"),
        (parameter("b", "float64", (3,), 7), DTypeError, "b is float32, not float64"),
        (parameter("c", "float32", (3,), 7), NameError, "no c in the file"),
    ]
    for other, error, message in cases:
        with pytest.raises(error, match=message):
            gx.load(path, into=[a, other])
        np.testing.assert_array_equal(a.value, 7)


def test_two_parameters_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(NameError, match="two parameters are called a"):
        gx.save(
            tmp_path / "f", [parameter("a", "float32", (), 0), parameter("a", "float32", (), 1)]
        )
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("what", [3, [np.ones(3)], "abc"])
def test_what_cannot_be_saved(tmp_path: Path, what: Any) -> None:
    with pytest.raises(ArgumentError, match="take parameters"):
        gx.save(tmp_path / "f", what)


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "f"
    gx.save(path, [parameter("a", "float32", (100,), 1)])
    content = path.read_bytes()
    for bad in (b"", b"hello", content[:-1], content[:20], content + b"x", b"\xff" * 64):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match="not a safetensors file"):
            gx.load(path)
    with pytest.raises(FileNotFoundError):
        gx.load(tmp_path / "missing")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "f"
    gx.save(path, {"x": np.arange(3)})

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        gx.save(path, {"x": np.arange(5)})
    np.testing.assert_array_equal(gx.load(path)["x"], [0, 1, 2])
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


# ---------------------------------------------------------------------------------- checkpoints


def training(target: str) -> tuple[Any, Any]:
    gx.seed(4)
    x, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), dtype="int32")
    logits = gx.nn.Dense(10)(gx.nn.Dropout(0.5)(gx.nn.Dense(16, "relu")(x)))
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    step = gx.compile([x, t], loss, updates=gx.optim.Adam(1e-2).minimize(loss), target=target)
    return step, gx.data.digits()[0]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_training_goes_on_bit_for_bit_after_a_restore(tmp_path: Path, target: str) -> None:
    whole, data = training(target)
    wanted = gx.fit(whole, data, 5, 100, verbose=False)
    checkpoint = gx.callbacks.Checkpoint(tmp_path / "run.safetensors")
    first, _ = training(target)
    gx.fit(first, data, 2, 100, callbacks=[checkpoint], verbose=False)
    second, _ = training(target)
    gx.seed(99)
    checkpoint.restore(second)
    history = gx.fit(second, data, 3, 100, verbose=False)
    assert history["loss"] == wanted["loss"][2:]
    for name, parameter in whole.parameters.items():
        np.testing.assert_array_equal(second.parameters[name].value, parameter.value)


def test_a_file_without_a_run_is_no_checkpoint(tmp_path: Path) -> None:
    step, _ = training("interpret")
    gx.save(tmp_path / "f", step)
    with pytest.raises(FormatError, match="no checkpoint of a training run"):
        gx.callbacks.Checkpoint(tmp_path / "f").restore(step)
