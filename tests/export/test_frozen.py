"""frozen=True: parameters and what depends on them alone as constants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError
from tests.export.trained import data, network


def test_inference_without_parameters_in_the_workspace(tmp_path: Path) -> None:
    _, predict = network()
    x, _ = data(np.random.default_rng(0), 9)
    wanted = predict(x)
    sizes = {}
    for frozen in (False, True):
        bundle = predict.export(tmp_path / str(frozen), frozen=frozen)
        library = bundle.load()
        library.selftest()
        assert library(x)[0].tobytes() == wanted[0].tobytes()
        assert library(x)[1][0].tobytes() == wanted[1][0].tobytes()
        facts = json.loads((tmp_path / str(frozen) / "predict.json").read_text())
        sizes[frozen] = facts["workspace"]["bytes"], facts["workspace"]["state_bytes"]
    weights = sum(p.value.nbytes for p in predict.parameters.values())
    assert sizes[False][0] - sizes[True][0] >= weights
    assert sizes[True][1] <= 16 + 64  # nothing but the random stream
    with pytest.raises(RuntimeCheckError, match="part of the code"):
        library.parameters["net/dense/bias"] = np.zeros(17)
    for name, parameter in predict.parameters.items():
        np.testing.assert_array_equal(library.parameters[name], parameter.value)
    library.load(library.save())


def test_what_depends_on_them_alone_takes_their_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = gx.input("x", (gx.dim("n", max=4), 30))
    a = gx.parameter("a", value=rng.standard_normal((30, 30)).astype(np.float32))
    b = gx.parameter("b", value=rng.standard_normal((30, 2)).astype(np.float32))
    s = gx.parameter("s", value=np.float32(2))
    f = gx.compile([x], gx.tanh(x @ (a @ a @ b)) * s, name="f")
    assert f.program.schedule.prepare
    given = rng.standard_normal((3, 30)).astype(np.float32)
    library = f.export(tmp_path, frozen=True).load()
    library.selftest()
    assert library(given).tobytes() == f(given).tobytes()
    assert library.parameters["s"] == 2
    for name in ("a", "b"):  # not stored: their product is
        assert f.parameters[name].value.tobytes() not in _library(tmp_path)
        with pytest.raises(RuntimeCheckError, match="no parameter"):
            library.parameters[name]
        with pytest.raises(RuntimeCheckError, match="part of the code"):
            library.parameters[name] = f.parameters[name].value


def test_what_a_step_updates_stays_in_the_workspace(tmp_path: Path) -> None:
    x = gx.input("x", (5, 3))
    base = gx.parameter("base", value=np.eye(3, dtype=np.float32) * 3)
    head = gx.parameter("head", value=np.ones((3, 2), np.float32))
    y = x @ (base @ base) @ head
    updates = gx.optim.SGD(1e-3).minimize(gx.mean(y**2), [head])
    step = gx.compile([x], gx.mean(y**2), updates, name="step")
    predict = gx.compile([x], y, mode="inference", name="predict")
    library = step.export(tmp_path, name="net", also={"predict": predict}, frozen=True).load()
    library.selftest()
    given = np.arange(15, dtype=np.float32).reshape(5, 3)
    for _ in range(4):
        assert library(given).tobytes() == step(given).tobytes()
        assert library.predict(given).tobytes() == predict(given).tobytes()
    np.testing.assert_array_equal(library.parameters["head"], head.value)
    library.parameters["head"] = np.zeros((3, 2))
    assert not library.predict(given).any()
    with pytest.raises(RuntimeCheckError, match="part of the code"):
        library.parameters["base"] = np.eye(3)
    with pytest.raises(ArgumentError, match="separate"):
        step.export(tmp_path, name="net", frozen=True, weights="separate")


def _library(folder: Path) -> bytes:
    return next(f for f in folder.iterdir() if f.suffix in (".so", ".dylib", ".dll")).read_bytes()
