"""Functions of a library that need the same kernel share it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc_llvm.library import build
from tests.export.test_bad_input import same

Array = np.ndarray[Any, Any]


def kernels(monkeypatch: Any, function: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:
    """A bundle, and the functions in it, without names that functions and labels have."""
    texts: dict[str, str] = {}
    compiled = build.compile_objects

    def spy(modules: Any, *rest: Any) -> Any:
        texts.update(modules)
        return compiled(modules, *rest)

    monkeypatch.setattr(build, "compile_objects", spy)
    bundle = function.export(*args, **kwargs, name="net")
    found = re.findall(r"^define internal.*?^\}", texts["net"], re.MULTILINE | re.DOTALL)
    return bundle, [re.sub(r"net_\w+\.code\.", "", f) for f in found]


@pytest.mark.parametrize("dims", [{}, {"n": 3}])
def test_three_functions_of_one_network(
    dims: dict[str, int], tmp_path: Path, monkeypatch: Any
) -> None:
    n = gx.dim("n", max=8)
    x, t = gx.input("x", (n, 9, 9, 1)), gx.input("t", (n,), dtype="int32")
    h = gx.nn.Conv2D(4, 3, activation="relu")(x).reshape((n, -1))
    logits = gx.nn.Dense(5)(h)
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    step = gx.compile([x, t], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss), name="step")
    evaluate = gx.compile([x, t], {"loss": loss}, mode="inference", name="evaluate")
    predict = gx.compile([x], gx.nn.softmax(logits), mode="inference", name="predict")
    others = {"evaluate": evaluate, "predict": predict}
    bundle, texts = kernels(monkeypatch, step, tmp_path, also=others, dims=dims)
    assert [f for f, count in Counter(texts).items() if count > 1] == []
    assert any("matmul_add_relu" in f for f in texts)
    library = bundle.load()
    library.selftest()
    rng = np.random.default_rng(0)
    for _ in range(3):
        images = rng.standard_normal((3, 9, 9, 1)).astype(np.float32)
        labels = rng.integers(0, 5, 3).astype(np.int32)
        assert step(images, labels)["loss"] == library(images, labels)["loss"]
        assert evaluate(images, labels)["loss"] == library.evaluate(images, labels)["loss"]
        assert predict(images).tobytes() == library.predict(images).tobytes()


def test_the_same_kernel_over_other_dims(tmp_path: Path, monkeypatch: Any) -> None:
    w = gx.parameter("w", value=np.arange(12, dtype=np.float32).reshape(4, 3))
    made = {}
    for word, name, most in (("f", "n", 5), ("g", "m", 9), ("h", "n", 70)):
        x = gx.input("x", (gx.dim(name, max=most), 4))
        made[word] = gx.compile([x], gx.tanh(x @ w).sum(axis=0), name=word)
    f = made.pop("f")
    bundle, _ = kernels(monkeypatch, f, tmp_path, also=made)
    library = bundle.load()
    library.selftest()
    for function, loaded, count in (
        (f, library, 5), (made["g"], library.g, 9), (made["h"], library.h, 70), (f, library, 1),
    ):  # fmt: skip
        same(function, loaded_as(library, loaded), np.ones((count, 4), np.float32))


def loaded_as(library: Any, function: Any) -> Any:
    """A function with the parameters of its library, as `same` looks at them."""

    class View:
        parameters = library.parameters
        __call__ = staticmethod(function)

    return View()
