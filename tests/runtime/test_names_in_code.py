"""Names are no part of what code is kept under: a model that is built again finds its code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.cache import DiskCache
from graphc.ir.fingerprint import graph_bytes

Build = Callable[[list[str], str], Any]


def dense(names: list[str], target: str) -> Any:
    """A network, its optimiser and an average; every name is given."""
    x, t = gx.input(names[0], ("batch", 5)), gx.input(names[1], ("batch",), "int32")
    hidden = gx.nn.Dense(8, "tanh", name=names[2])(x)
    logits = gx.nn.Dense(3, name=names[3], use_bias=False)(gx.nn.BatchNorm(name=names[4])(hidden))
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    updates = gx.optim.Adam(0.01, name=names[5]).minimize(loss, clip_norm=1.0)
    averages = gx.ema(updates, 0.9, name=names[6])
    return gx.compile([x, t], {"loss": loss}, [updates, averages], target=target)


def recurrent(names: list[str], target: str) -> Any:
    """A lookup, a loop and its gradient, a row-sparse update."""
    x, t = gx.input(names[0], ("batch", 4), "int32"), gx.input(names[1], ("batch",), "int32")
    words = gx.nn.Embedding(7, 5, name=names[2])(x)
    last = gx.nn.SimpleRNN(6, name=names[3])(words)
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(3, name=names[4])(last), t).mean()
    updates = gx.optim.Adagrad(0.1, name=names[5]).minimize(loss)
    return gx.compile([x, t], {"loss": loss}, updates, target=target)


def fed(build: Build) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 8).astype("int32")
    if build is dense:
        return rng.normal(size=(8, 5)).astype("float32"), labels
    return rng.integers(0, 7, (8, 4)).astype("int32"), labels


ONE = ["x", "t", "a", "b", "c", "d", "e"]
OTHER = ["t", "x", "zeta", "matrix/y", "x1", "w", "adam"]  # their order is another


def built(build: Build, names: list[str], target: str = "cpu") -> Any:
    """A step, with values that do not depend on the names."""
    step = build(names, target)
    rng = np.random.default_rng(1)
    for p in step.parameters.values():
        if p.dtype.is_float and p.value.ndim:
            p.value = rng.uniform(0.1, 1.0, p.shape).astype(p.dtype.numpy)
    return step


SLOW = pytest.mark.slow


@pytest.mark.parametrize("build", [pytest.param(dense, marks=SLOW), recurrent])
def test_code_does_not_depend_on_names(build: Build) -> None:
    one, other = built(build, ONE), built(build, OTHER)
    assert graph_bytes(one.graph) == graph_bytes(other.graph)
    made = [s.native.compiler().artifact({"batch": 8}) for s in (one, other)]
    assert made[0].image == made[1].image
    assert replace(made[0], image=b"", folded=()) == replace(made[1], image=b"", folded=())
    assert [a.tobytes() for a in made[0].folded] == [a.tobytes() for a in made[1].folded]


@pytest.mark.parametrize(
    ("build", "target"),
    [
        (dense, "cpu"),
        (recurrent, "cuda-simulate"),
        pytest.param(recurrent, "cpu", marks=SLOW),
        pytest.param(dense, "cuda-simulate", marks=SLOW),
    ],
)
def test_another_name_finds_the_code(
    build: Build, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("graphc_llvm.artifact", "graphc_cuda.step_code"):
        monkeypatch.setattr(f"{module}.disk_cache", lambda: DiskCache(tmp_path))
    one, other = built(build, ONE, target), built(build, OTHER, target)
    losses = [float(one(*fed(build))["loss"]) for _ in range(3)]
    kept = len(list(tmp_path.glob("*.gxo")))
    assert kept
    assert [float(other(*fed(build))["loss"]) for _ in range(3)] == losses
    assert not other.times  # not compiled
    assert len(list(tmp_path.glob("*.gxo"))) == kept
    values = [[p.value.tobytes() for p, _ in _updated(s)] for s in (one, other)]
    assert values[0] == values[1]
    if target == "cpu":  # the text is that of the names at hand
        assert "%zeta_" in other.source("llvm")
        assert "%a_" not in other.source("llvm")


def _updated(step: Any) -> Any:
    return [(node.handle, value) for node, value in step.graph.updates]


def test_what_counts_is_in_the_key() -> None:
    """Which parameter stands where, whether it is trained, which are one and the same."""

    def keyed(make: Callable[[Any, Any, Any], Any], trainable: bool = True) -> bytes:
        x = gx.input("x", (3,))
        a = gx.parameter("a", (3,), gx.init.ones(), trainable=trainable)
        b = gx.parameter("b", (3,), gx.init.ones())
        return graph_bytes(gx.compile([x], make(x, a, b), target="interpret").graph)

    keys = [
        keyed(lambda x, a, b: (a * x, b + x)),
        keyed(lambda x, a, b: (a * x, a + x)),
        keyed(lambda x, a, b: (a * x, b + x), trainable=False),
        keyed(lambda x, a, b: (a * x, b * x)),
        keyed(lambda x, a, b: (a * b, b + x)),
    ]
    assert len(set(keys)) == len(keys)
    assert keyed(lambda x, a, b: (b * x, a + x)) == keys[0]  # only names changed places


def test_a_model_without_names_finds_its_code_when_it_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphc_llvm.artifact.disk_cache", lambda: DiskCache(tmp_path))
    x, t = fed(dense)
    for fold in range(3):
        net = gx.nn.Sequential([gx.nn.Dense(8, "relu"), gx.nn.Dense(3)])
        net.compile("adam", "softmax_cross_entropy", metrics=["accuracy"])
        net.fit(x, t, batch_size=4, verbose=False)
        assert net.trainer.step is not None
        assert bool(net.trainer.step.times) == (fold == 0)
