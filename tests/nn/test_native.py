"""Losses, layers and dropout compiled for the CPU agree with the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.testing import assert_close

nn = gx.nn


def both(inputs: list[Any], outputs: Any, **options: Any) -> tuple[Any, Any]:
    """The same function for the CPU and for the interpreter."""
    return (
        gx.compile(inputs, outputs, target="cpu", **options),
        gx.compile(inputs, outputs, target="interpret", **options),
    )


def agree(functions: tuple[Any, Any], arrays: list[Any]) -> None:
    for native, reference in zip(functions[0](*arrays), functions[1](*arrays), strict=True):
        assert_close(native, reference, each=True, floor=1.0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 2, 10, 17, 131])
def test_cross_entropy_and_its_gradient(classes: int, dtype: str, threads: int) -> None:
    x = gx.input("x", ("batch", classes), dtype=dtype)
    t = gx.input("t", ("batch",), dtype="int32")
    loss = nn.softmax_cross_entropy(x, t)
    outputs = [loss, loss.mean(), gx.grad(loss.mean(), x)]
    if classes > 1:
        outputs.append(nn.accuracy(x, t))
    functions = both([x, t], outputs, threads=threads)
    rng = np.random.default_rng(classes)
    for batch in (1, 7, 64):
        logits = (rng.normal(size=(batch, classes)) * 5).astype(dtype)
        agree(functions, [logits, rng.integers(0, classes, batch)])


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, -(2**31)])
def test_a_bad_label_updates_nothing(label: int) -> None:
    x, t = gx.input("x", ("batch", 2)), gx.input("t", ("batch",), dtype="int32")
    model = nn.Dense(3, name="d")
    loss = nn.softmax_cross_entropy(model(x), t).mean()
    step = gx.compile([x, t], loss, updates=gx.optim.Adam(0.1).minimize(loss))
    array = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    labels = np.array([0, 1, 2, 1, 0], "int32")
    step(array, labels)
    before = {name: p.value for name, p in step.parameters.items()}
    labels[3] = label
    with pytest.raises(RuntimeCheckError, match=r"a label is outside 0 to 2"):
        step(array, labels)
    for name, p in step.parameters.items():
        np.testing.assert_array_equal(p.value, before[name])
    labels[3] = 0
    assert np.isfinite(step(array, labels))


PAIRS: dict[str, Callable[..., Any]] = {
    "mse": nn.mse,
    "mae": nn.mae,
    "huber": nn.huber,
    "sigmoid_cross_entropy": nn.sigmoid_cross_entropy,
}


@pytest.mark.parametrize("name", PAIRS)
def test_elementwise_losses(name: str) -> None:
    x, t = gx.input("x", ("batch", 5)), gx.input("t", ("batch", 5))
    loss = PAIRS[name](x, t)
    functions = both([x, t], [loss, gx.grad(loss.mean(), x)])
    rng = np.random.default_rng(0)
    for batch in (1, 3, 100):
        arrays = [rng.normal(size=(batch, 5)).astype("float32") * 3 for _ in range(2)]
        agree(functions, arrays)


ACTIVATIONS = ["relu", "leaky_relu", "elu", "selu", "sigmoid", "softplus", "silu", "mish", "gelu",
               "softmax", "log_softmax", "hard_sigmoid", "softsign"]  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_gradients(name: str) -> None:
    x = gx.input("x", ("batch", 13))
    y = getattr(nn, name)(x)
    weights = np.linspace(-1, 1, 13, dtype="float32")
    functions = both([x], [y, gx.grad((y * weights).sum(), x)])
    array = (np.random.default_rng(0).normal(size=(9, 13)) * 4).astype("float32")
    array[0, :4] = [0, -0.0, 30, -30]
    agree(functions, [array])


def test_norms() -> None:
    x = gx.input("x", ("batch", 37))
    y, z = nn.layer_norm(x), nn.rms_norm(x)
    functions = both([x], [y, z, gx.grad((y * y * y).sum() + (z * z * z).sum(), x)])
    array = (np.random.default_rng(0).normal(size=(11, 37)) * 3 + 1).astype("float32")
    agree(functions, [array])


def test_random_numbers_have_the_same_bits() -> None:
    draws = [
        gx.random.uniform((3, 37), -1.0, 2.0, name="u"),
        gx.random.normal((1001,), name="n"),
        gx.random.bernoulli((129,), 0.3, name="b"),
        gx.random.bits((5, 5), name="r"),
    ]
    native, reference = both([], draws)
    for _ in range(3):
        for kind, a, b in zip("unbr", native(), reference()):
            if kind == "n":  # the reference computes in float64
                assert_close(a, b, each=True)
            else:
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2])
def test_training_with_dropout_follows_the_interpreter(threads: int) -> None:
    def train(target: str) -> tuple[Any, Any]:
        gx.seed(3)
        x, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), dtype="int32")
        hidden = nn.Dropout(0.3)(nn.Dense(32, "relu")(x))
        layer = nn.Dense(10)
        loss = nn.softmax_cross_entropy(layer(hidden), t).mean()
        updates = gx.optim.Adam(1e-2).minimize(loss, clip_norm=1.0)
        step = gx.compile([x, t], loss, updates=updates, target=target, threads=threads)
        history = gx.fit(step, gx.data.digits()[0], 2, 50, verbose=False)
        return history["loss"], layer.parameters[0].value

    losses, weights = train("cpu")
    expected, reference = train("interpret")
    assert_close(losses, expected, "float32", each=True)
    assert_close(weights, reference)


def test_nothing_of_dropout_is_left_at_inference() -> None:
    x = gx.input("x", ("batch", 8))
    predict = gx.compile([x], nn.Dense(3)(nn.Dropout(0.5)(x)))
    predict(np.ones((2, 8), "float32"))
    text = predict.text("optimized")
    assert "dot(x" in text
    for word in ("random_bits", "where", "multiply", "mode_switch"):
        assert word not in text
