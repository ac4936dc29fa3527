"""`Sequential` trained, evaluated and asked on data that give batch after batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, GraphcError
from graphc.testing import assert_close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))  # float64, as loaders give it
Y = RNG.integers(0, 3, 30)


def model(**options: Any) -> Any:
    gx.seed(0)
    net = gx.nn.Sequential([gx.nn.Dense(5, activation="relu"), gx.nn.Dense(3)])
    net.build((4,))
    metrics = ["accuracy", gx.metrics.F1("macro")]
    net.compile("adam", "softmax_cross_entropy", metrics, target="interpret", **options)
    return net


def cut(*arrays: Any, size: int = 8) -> Iterator[Any]:
    for start in range(0, len(arrays[0]), size):
        yield tuple(a[start : start + size] for a in arrays)


def bits(net: Any) -> list[bytes]:
    return [p.value.tobytes() for p in net.parameters]


def test_batches_train_a_model_as_arrays_do() -> None:
    whole, net = model(), model()
    wanted = whole.fit(X, Y, 8, 2, validation_data=(X, Y), shuffle=False, verbose=False)
    found = net.fit(
        lambda: cut(X, Y), epochs=2, validation_data=lambda: cut(X, Y, size=30), verbose=False
    )
    assert bits(whole) == bits(net)
    assert found["loss"] == wanted["loss"]
    assert found["f1"] == wanted["f1"]
    assert_close(found["val_loss"], wanted["val_loss"], "float32")
    assert_close(net.evaluate(list(cut(X, Y)))["loss"], whole.evaluate(X, Y)["loss"], "float32")
    assert_close(net.predict(lambda: cut(X, Y)), whole.predict(X))
    assert_close(net.predict(x for (x,) in cut(X)), whole.predict(X))
    dicts = ({"y": y, "x": x} for x, y in cut(X, Y))
    assert net.evaluate(dicts)["loss"] == net.evaluate(cut(X, Y))["loss"]


def test_an_iterator_loses_no_batch_to_the_first_look() -> None:
    whole, net = model(), model()
    whole.fit(X[:24], Y[:24], 8, shuffle=False, verbose=False)
    net.fit(cut(X, Y), steps_per_epoch=3, verbose=False)
    assert bits(whole) == bits(net)


def test_weights_come_with_the_batches() -> None:
    weights = RNG.random(30)
    classes = {0: 0.5, 2: 3.0}
    whole, net, third = model(), model(), model()
    options: Any = {"class_weight": classes, "verbose": False}
    whole.fit(X, Y, 8, shuffle=False, sample_weight=weights, **options)
    net.fit(cut(X, Y, weights), **options)
    assert bits(whole) == bits(net)
    third.fit(lambda: cut(X, Y), **options)
    assert bits(third) != bits(net)


def test_a_sweep_over_rates() -> None:
    sweep = gx.lr_find(model(), lambda: cut(X, Y), steps=10, high=1e-3)
    assert len(sweep.rates) == 10


@pytest.mark.parametrize(
    ("data", "options", "text"),
    [
        (X, {}, "y is missing: x is an array"),
        ([X[:8]], {}, r"batch 1 must be \(x, y\) or .*, got array"),
        ([(X[:8],)], {}, r"batch 1 must be .*, got 1 parts"),
        ([{"x": X[:8], "label": Y[:8]}], {}, "batch 1 must be .*, got a dict of x, label"),
        ([(X, Y), (X, Y, Y)], {}, "step: batch 2: takes 2 inputs, got 3"),
        ([(X, Y), (X, X[:, 0])], {}, "step: batch 2: input y must be int32, got float64"),
        ([(X, Y), (X[:, :3], Y)], {}, "step: batch 2: .*x.*3"),
        ([(X, Y)], {"validation_split": 0.2}, "validation_split needs arrays x and y"),
        ([(X, Y)], {"sample_weight": Y}, "sample_weight needs arrays x and y"),
        (iter([]), {}, "the data gave no batch"),
        ([(X, Y + 5)], {}, r"\(batch 1\)"),
    ],
)
def test_what_batches_of_a_model_must_be(data: Any, options: Any, text: str) -> None:
    with pytest.raises(GraphcError, match=text):
        model().fit(data, verbose=False, **options)


def test_validation_is_a_pair_or_gives_batches() -> None:
    with pytest.raises(ArgumentError, match="the validation data are an iterator"):
        model().fit(X, Y, epochs=2, validation_data=cut(X, Y), verbose=False)
    with pytest.raises(ArgumentError, match=r"validation_data must be \(x, y\)"):
        model().fit(X, Y, validation_data=(X, Y, Y), verbose=False)
