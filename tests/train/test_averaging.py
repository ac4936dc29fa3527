"""The mean of checkpoints, beside numpy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, NameError, ShapeError
from graphc.testing import assert_close


def arrays(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "dense/kernel": rng.normal(size=(3, 2)).astype("float32"),
        "dense/bias": rng.normal(size=2),
        "half": rng.normal(size=4).astype(gx.bfloat16.numpy),
        "step": np.int64(seed),
        "flags": np.array([seed > 1, True]),
    }


def test_the_mean_of_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for i, path in enumerate(paths):
        gx.save(path, arrays(i))
    found, all_three = gx.average_checkpoints(paths), [arrays(i) for i in range(3)]
    for name in ("dense/kernel", "dense/bias", "half"):
        exact = np.mean([a[name].astype("float64") for a in all_three], axis=0)
        assert found[name].dtype == all_three[0][name].dtype
        np.testing.assert_array_equal(found[name], exact.astype(found[name].dtype))
    assert found["step"] == 2
    assert found["flags"].tolist() == [True, True]
    np.testing.assert_array_equal(gx.average_checkpoints(paths[:1])["half"], all_three[0]["half"])


def test_a_model_takes_the_mean_of_its_last_checkpoints(tmp_path: Path) -> None:
    gx.seed(0)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch",))
    model = gx.nn.Dense(1)
    y = model(x)[:, 0]
    step = gx.compile([x, t], gx.nn.mse(y, t).mean(), gx.optim.SGD(0.05).minimize(
        gx.nn.mse(y, t).mean()), target="interpret")  # fmt: skip
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 3)).astype("float32"), rng.normal(size=40).astype("float32")
    kernels, paths = [], []
    for i in range(4):
        path = tmp_path / f"ep-{i}.safetensors"
        gx.fit(step, data, epochs=1, verbose=False, callbacks=[gx.callbacks.Checkpoint(path)])
        kernels.append(model.parameters[0].value)
        paths.append(path)
    gx.average_checkpoints(paths[-3:], into=model)
    assert_close(model.parameters[0].value, np.mean(kernels[-3:], axis=0))
    again = gx.nn.Dense(1)
    gx.average_checkpoints(paths[-3:], into=again)  # set at the end of its first call
    again(x)
    np.testing.assert_array_equal(again.parameters[0].value, model.parameters[0].value)


def test_mistakes(tmp_path: Path) -> None:
    one, other, third = (str(tmp_path / name) for name in ("one", "other", "third"))
    gx.save(one, {"w": np.zeros(2)})
    gx.save(other, {"w": np.zeros(3)})
    gx.save(third, {"w": np.zeros(2), "b": np.zeros(1)})
    with pytest.raises(ArgumentError, match="average_checkpoints: needs a list of paths, got"):
        gx.average_checkpoints(one)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"needs a list of paths, got \[\]"):
        gx.average_checkpoints([])
    with pytest.raises(ShapeError, match=r"w is \(2,\) in .*one, \(3,\) in .*other"):
        gx.average_checkpoints([one, other])
    with pytest.raises(NameError, match=r"third has b, .*one has not"):
        gx.average_checkpoints([one, third])
    with pytest.raises(NameError, match="the mean of 2 files"):
        gx.average_checkpoints([one, one], into={"v": gx.parameter("v", (2,))})
