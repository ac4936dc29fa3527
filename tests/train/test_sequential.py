"""Sequential's fit, evaluate and predict: arguments, layers added later, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.testing import assert_close
from graphc.train.callbacks import Checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")


def build(metrics: Any = ("accuracy",), dropout: float = 0.0) -> Any:
    gx.seed(1)
    layers = [gx.nn.Dense(8, "relu"), gx.nn.Dropout(dropout), gx.nn.Dense(2)]
    net = gx.nn.Sequential(layers)
    net.compile(gx.optim.Adam(0.01), "softmax_cross_entropy", metrics, target="interpret")
    return net


def test_a_model_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, part, rest = (build(dropout=0.4) for _ in range(3))
    options: dict[str, Any] = {"batch_size": 8, "seed": 3, "verbose": False}
    for net in (whole, part):  # what random streams are called counts from here
        gx.seed(1)
        net.evaluate(X, Y)
    wanted = whole.fit(X, Y, epochs=4, validation_split=0.2, **options)
    last = Checkpoint(tmp_path / "last")
    part.fit(X, Y, epochs=2, validation_split=0.2, callbacks=[last], **options)
    last.restore(rest)  # before its first call
    gx.seed(1)
    assert rest.evaluate(X, Y) == part.evaluate(X, Y)
    history = rest.fit(X, Y, epochs=2, validation_split=0.2, **options)
    assert history["loss"] == wanted["loss"][2:]
    np.testing.assert_array_equal(rest.predict(X), whole.predict(X))
    last.restore(rest)  # and after it
    np.testing.assert_array_equal(rest.predict(X), part.predict(X))


def test_a_checkpoint_waits_for_the_step_that_trains(tmp_path: Path) -> None:
    """Also where functions for other targets were built before."""
    weights, one_hot = np.ones(len(X)), np.eye(2)[Y]
    options: dict[str, Any] = {"batch_size": 8, "seed": 3, "verbose": False}
    whole, part, rest = (build() for _ in range(3))
    for net in (whole, part):
        gx.seed(1)
        net.predict(X)
    wanted = whole.fit(X, Y, epochs=4, sample_weight=weights, **options)
    last = Checkpoint(tmp_path / "last")
    part.fit(X, Y, epochs=2, sample_weight=weights, callbacks=[last], **options)
    rest.fit(X, one_hot, epochs=1, **options)
    last.restore(rest)
    np.testing.assert_array_equal(rest.predict(X), part.predict(X))
    history = rest.fit(X, Y, epochs=2, sample_weight=weights, **options)
    assert history["loss"] == wanted["loss"][2:]
    np.testing.assert_array_equal(rest.predict(X), whole.predict(X))


def test_layers_that_are_added_later_count() -> None:
    net = build()
    net.fit(X, Y, verbose=False)
    before = net.predict(X)
    net.add(gx.nn.Activation("softmax"))
    after = net.predict(X)
    assert_close(after.sum(1), np.ones(len(after)))
    assert not np.allclose(before, after)
    net.layers.pop()
    np.testing.assert_array_equal(net.predict(X), before)
    net.fit(X, Y, verbose=False)
    assert net.evaluate(X, Y)["loss"] > 0


def test_names_of_metrics() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        return gx.nn.accuracy(outputs, targets)

    same = [lambda o, t: gx.nn.accuracy(o, t), lambda o, t: 1 - gx.nn.accuracy(o, t)]
    for metrics, name in (([loss], "loss"), (["accuracy", "accuracy"], "accuracy"), (same, "<la")):
        with pytest.raises(ArgumentError, match=f"two outputs are called {name}"):
            build(metrics).fit(X, Y, verbose=False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation_split": 0.001}, r"validation_split=0\.001 of 40 samples leaves a part"),
        ({"validation_split": 0.999}, "leaves a part without any"),
        ({"validation_data": (X,)}, r"validation_data must be \(x, y\)"),
        ({"validation_data": (X, Y, Y)}, r"validation_data must be \(x, y\)"),
        ({"callbacks": [gx.callbacks.StopOnNaN]}, "callbacks are objects, got the class StopOnNaN"),
    ],
)
def test_bad_arguments(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        build().fit(X, Y, verbose=False, **options)


def test_samples_and_targets_are_counted_before_they_are_split() -> None:
    with pytest.raises(ArgumentError, match="x has 40 samples, y has 7"):
        build().fit(X, Y[:7], validation_split=0.2, verbose=False)


@pytest.mark.parametrize("size", [0, -1, True, 1.5])
def test_batches_of_predict(size: Any) -> None:
    with pytest.raises(ArgumentError, match="batch_size must be"):
        build().predict(X, batch_size=size)
