"""Files that are loaded before a model has been called, and so before it has parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, NameError, ShapeError
from graphc.testing import assert_close

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


class Residual(gx.nn.Layer):
    """A layer with layers in it, and a parameter of its own."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.inner = [gx.nn.Dense(4, "relu", name="a"), gx.nn.Dense(4, name="b")]

    def call(self, x: Any) -> Any:
        scale = self.parameter("scale", (4,), gx.init.normal())
        return x + self.inner[1](self.inner[0](x)) * scale


MODELS: dict[str, Callable[[], Any]] = {
    "layer": lambda: gx.nn.Dense(3, name="d"),
    "layer without a name": lambda: gx.nn.Dense(3),
    "sequential": lambda: gx.nn.Sequential([gx.nn.Dense(5, "relu"), gx.nn.Dense(2)]),
    "named": lambda: gx.nn.Sequential([gx.nn.Dense(5), gx.nn.BatchNorm(), gx.nn.Dense(2)], "net"),
    "functions": lambda: gx.nn.Sequential([lambda x: x + gx.nn.Dense(4)(x), gx.nn.Dense(2)]),
    "class": lambda: gx.nn.Sequential([Residual(), Residual(), gx.nn.Dense(2)]),
    "decorated": lambda: gx.nn.layer(lambda x: gx.nn.Dense(2)(gx.nn.Dense(3)(x))),
    "ensemble": lambda: gx.ensemble(lambda: gx.nn.Dense(2), 3),
    "attention": lambda: gx.nn.layer(
        lambda x: gx.nn.MultiHeadAttention(2, name="m")(x[:, :, None] * gx.nn.Dense(2)(x)[:, None])
    ),
    "recurrent": lambda: gx.nn.layer(
        lambda x: gx.nn.Bidirectional(gx.nn.LSTM(3))(gx.nn.Dense(2)(x[:, :, None]))
    ),
}


def called(model: Any) -> Any:
    """A function that predicts."""
    x = gx.input("x", ("batch", 4))
    return gx.compile([x], model(x), target="interpret")


@pytest.mark.parametrize("name", MODELS)
def test_the_first_call_takes_the_values(tmp_path: Path, name: str) -> None:
    gx.seed(1)
    first = MODELS[name]()
    wanted = called(first)(X)
    gx.save(tmp_path / "f", first)
    gx.seed(2)
    second = MODELS[name]()
    arrays = gx.load(tmp_path / "f", into=second)
    assert set(arrays) == {p.name for p in first.parameters}
    np.testing.assert_array_equal(called(second)(X), wanted)
    third = MODELS[name]()  # in a process that has given numbers already
    gx.load(tmp_path / "f", into=third)
    predict = called(third)
    np.testing.assert_array_equal(predict(X), wanted)
    for parameter in third.parameters:
        parameter.value = np.zeros(parameter.shape)
    called(third)  # a later call loads nothing again
    assert not any(p.value.any() for p in third.parameters)


def test_as_in_keras(tmp_path: Path) -> None:
    def build() -> Any:
        net = gx.nn.Sequential([gx.nn.Dense(5, "relu"), gx.nn.Dense(2)])
        net.compile("sgd", "mse", target="interpret")
        return net

    gx.seed(1)
    net = build()
    y = np.zeros((8, 2), "float32")
    net.fit(X, y, epochs=2, verbose=False)
    gx.save(tmp_path / "f", net)
    gx.seed(5)
    predicting, evaluated, fitted = build(), build(), build()
    for other in (predicting, evaluated, fitted):
        gx.load(tmp_path / "f", into=other)
    np.testing.assert_array_equal(predicting.predict(X), net.predict(X))
    assert evaluated.evaluate(X, y) == net.evaluate(X, y)
    histories = [m.fit(X, y, epochs=1, seed=0, verbose=False) for m in (net, fitted)]
    assert histories[0]["loss"] == histories[1]["loss"]


def test_shapes_types_and_names_are_checked_at_the_call(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"d/kernel": np.zeros((5, 3), "f4")}, ShapeError, r"d/kernel has shape \(5, 3\), not"),
        ({"d/kernel": np.zeros((4, 3), "f8")}, DTypeError, "d/kernel is float64, not float32"),
        ({}, NameError, "no d/kernel in the file"),
    ]
    for arrays, error, text in cases:
        gx.save(tmp_path / "f", {"d/bias": np.ones(3, "f4"), **arrays})
        layer = gx.nn.Dense(3, name="d")
        gx.load(tmp_path / "f", into=layer)
        for _ in range(2):  # and again: it never goes on without the values
            with pytest.raises(error, match=text) as caught:
                called(layer)
            assert "test_load_first.py" in str(caught.value.operands[-1][2])
        gx.save(tmp_path / "f", {"d/bias": np.ones(3, "f4"), "d/kernel": np.ones((4, 3), "f4")})
        gx.load(tmp_path / "f", into=layer)  # mends it
        assert_close(called(layer)(X), X @ np.ones((4, 3)) + 1, each=True)


def test_layers_in_a_layer_that_is_never_called_itself(tmp_path: Path) -> None:
    class Coder(gx.nn.Layer):
        def __init__(self) -> None:
            super().__init__("coder")
            self.down, self.up = gx.nn.Dense(2, name="down"), gx.nn.Dense(4, name="up")

        def reconstruct(self, x: Any) -> Any:
            return self.up(self.down(x))

    x = gx.input("x", ("batch", 4))
    gx.seed(1)
    first = Coder()
    wanted = gx.compile([x], first.reconstruct(x), target="interpret")(X)
    gx.save(tmp_path / "f", first)
    gx.seed(2)
    second = Coder()
    gx.load(tmp_path / "f", into=second)
    predict = gx.compile([x], second.reconstruct(x), target="interpret")
    np.testing.assert_array_equal(predict(X), wanted)


def test_a_model_that_is_made_in_part(tmp_path: Path) -> None:
    def build() -> Any:
        return gx.nn.Sequential([gx.nn.Dense(4, name="a")])

    gx.seed(1)
    first = build()
    first.add(gx.nn.Dense(2, name="b"))
    wanted = called(first)(X)
    gx.save(tmp_path / "f", first)
    gx.seed(2)
    second = build()
    half = called(second)
    second.add(gx.nn.Dense(2, name="b"))
    gx.load(tmp_path / "f", into=second)
    a = first.layers[0].parameters[0].value
    np.testing.assert_array_equal(second.layers[0].parameters[0].value, a)  # at once
    np.testing.assert_array_equal(called(second)(X), wanted)
    assert half(X).shape == (8, 4)


def test_what_was_trained_before_the_first_call_of_the_whole_stays(tmp_path: Path) -> None:
    inner = gx.nn.Dense(4, name="inner")
    whole = gx.nn.Sequential([inner, gx.nn.Dense(2, name="outer")])
    gx.save(
        tmp_path / "f",
        {
            "inner/kernel": np.eye(4, dtype="f4"), "inner/bias": np.zeros(4, "f4"),
            "outer/kernel": np.ones((4, 2), "f4"), "outer/bias": np.zeros(2, "f4"),
        },
    )  # fmt: skip
    gx.load(tmp_path / "f", into=whole)
    predict = called(inner)
    np.testing.assert_array_equal(predict(X), X)
    inner.parameters[1].value = np.full(4, 7, "float32")
    called(whole)
    np.testing.assert_array_equal(inner.parameters[1].value, 7)
    np.testing.assert_array_equal(whole.parameters[2].value, np.ones((4, 2)))


def test_nothing_is_an_error_not_silence(tmp_path: Path) -> None:
    net = gx.nn.Sequential([gx.nn.Dense(2)])
    gx.save(tmp_path / "f", {"w": np.ones(3, "f4")})
    for empty in (net.parameters, [], gx.optim.Adam()):
        with pytest.raises(ArgumentError, match="load: there are no parameters to set") as error:
            gx.load(tmp_path / "f", into=empty)
        assert "first call" in (error.value.hint or "")
    for empty in (net, net.parameters, gx.nn.Dense(3)):
        with pytest.raises(ArgumentError, match="save: there are no parameters yet"):
            gx.save(tmp_path / "g", empty)
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_compiled_functions_have_theirs(tmp_path: Path, target: str) -> None:
    """Their parameters are made: the values are there at once, before any call."""
    x, w = gx.input("x", ("batch", 4)), gx.parameter("w", (4,), gx.init.normal())
    loss = gx.square(x * w).mean()
    step = gx.compile([x], loss, gx.optim.Adam().minimize(loss), target=target)
    gx.save(tmp_path / "f", {n: np.ones_like(p.value) for n, p in step.parameters.items()})
    gx.load(tmp_path / "f", into=step)
    assert all((p.value == 1).all() for p in step.parameters.values())
