"""Sampled softmax: the formula, that it estimates the whole softmax, and sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError
from graphc.nn.sampling import candidates, probability
from graphc.testing import assert_close
from tests.tolerances import CERTAIN, DRAWN, FORMULA

nn = gx.nn


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def chances(classes: int, distribution: str) -> Any:
    """The probability of every class, from the formula in the documentation."""
    if distribution == "uniform":
        return np.full(classes, 1 / classes)
    k = np.arange(classes)
    return np.log((k + 2) / (k + 1)) / np.log(classes + 1)


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform"])
@pytest.mark.parametrize("classes", [1, 2, 37, 1000])
def test_classes_are_drawn_with_their_probability(classes: int, distribution: str) -> None:
    count = 200_000
    drawn = gx.compile([], candidates(classes, count, distribution, "s"))()
    wanted = chances(classes, distribution)
    assert wanted.sum() == pytest.approx(1)
    found = np.bincount(drawn, minlength=classes) / count
    assert found.shape == (classes,)
    assert (abs(found - wanted) < 6 * np.sqrt(wanted * (1 - wanted) / count) + CERTAIN).all()
    ids = gx.constant(np.arange(classes))
    np.testing.assert_allclose(probability(ids, classes, distribution).eval(), wanted, **FORMULA)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,), (1,)])
def test_the_formula(shape: tuple[int, ...], with_bias: bool) -> None:
    rng = np.random.default_rng(0)
    classes, units, samples = 11, 4, 8
    x_, table_ = rng.normal(size=(*shape, units)), rng.normal(size=(classes, units))
    labels, bias_ = rng.integers(0, classes, shape), rng.normal(size=classes) * with_bias
    x = gx.input("x", x_.shape, dtype="float64")
    t = gx.input("t", shape, dtype="int32")
    table = gx.parameter("table", value=table_)
    bias = gx.parameter("bias", value=bias_) if with_bias else None
    loss = nn.sampled_softmax(x, table, t, samples, bias, name="s")
    assert loss.shape == shape
    ids = candidates(classes, samples, "log_uniform", "s")
    for options in ({"target": "interpret"}, {"threads": 1}, {"threads": 2}):
        function = gx.compile([x, t], [loss, ids], **options)  # type: ignore[arg-type]
        values, drawn = function(x_, labels.astype("int32"))
        logits = x_ @ table_.T + bias_
        often = np.log(samples * chances(classes, "log_uniform"))
        expected = np.empty(shape)
        for i in np.ndindex(*shape):
            own, row = labels[i], logits[i]
            seen = [row[own], *(row[c] - often[c] for c in drawn if c != own)]
            expected[i] = special.logsumexp(seen) - seen[0]
        assert_close(values, expected, each=True)


def test_many_samples_estimate_the_whole_softmax() -> None:
    rng = np.random.default_rng(1)
    classes, units = 20, 3
    x, table = rng.normal(size=(6, units)), rng.normal(size=(classes, units))
    labels = rng.integers(0, classes, 6)
    for distribution in ("log_uniform", "uniform"):
        w = gx.parameter("w", value=table)
        loss = nn.sampled_softmax(x, w, labels, 200_000, distribution=distribution).sum()
        gradient = gx.compile([], gx.grad(loss, w))()
        logits = x @ table.T
        expected = (special.softmax(logits, -1) - np.eye(classes)[labels]).T @ x
        # the relative error of an estimated weight is about sqrt(classes / samples)
        np.testing.assert_allclose(gradient, expected, atol=6 * np.sqrt(classes / 200_000))


def test_gradients() -> None:
    rng = np.random.default_rng(2)
    x = gx.input("x", (5, 3), dtype="float64")
    table = gx.parameter("table", value=rng.normal(size=(9, 3)))
    bias = gx.parameter("bias", value=rng.normal(size=9))
    loss = nn.sampled_softmax(x, table, rng.integers(0, 9, 5), 4, bias).sum()
    report = gx.check_gradients(loss, [x, table, bias], {x: rng.normal(size=(5, 3))})
    assert report.passed, report


def test_only_rows_that_are_looked_at_move() -> None:
    table = gx.parameter("table", (1000, 8), gx.init.normal())
    x, t = gx.input("x", ("batch", 8)), gx.input("t", ("batch",), dtype="int32")
    loss = nn.sampled_softmax(x, table, t, 5, name="s").mean()
    optimizer = gx.optim.SGD(0.1)
    ids = candidates(1000, 5, "log_uniform", "s")
    step = gx.compile([x, t], [loss, ids], optimizer.minimize(loss))
    before = table.value
    labels = np.array([7, 900], "int32")
    _, drawn = step(np.ones((2, 8), "float32"), labels)
    moved = np.flatnonzero((table.value != before).any(axis=1))
    assert set(moved) == {*labels, *drawn}
    assert "rows with a gradient only" in step.report()


def test_training_lowers_the_whole_loss() -> None:
    rng = np.random.default_rng(3)
    classes = 50
    labels = rng.integers(0, classes, 64).astype("int32")
    inputs = np.eye(classes, dtype="float32")[labels]
    x, t = gx.input("x", ("batch", classes)), gx.input("t", ("batch",), dtype="int32")
    table = gx.parameter("table", (classes, classes), gx.init.normal(0.01))
    loss = nn.sampled_softmax(x, table, t, 10).mean()
    step = gx.compile([x, t], loss, gx.optim.Adam(0.05).minimize(loss))
    whole = gx.compile([x, t], nn.softmax_cross_entropy(x @ table.mT, t).mean())
    first = whole(inputs, labels)
    assert first == pytest.approx(np.log(classes), **DRAWN)
    for _ in range(150):
        step(inputs, labels)
    assert whole(inputs, labels) < 0.2 * first


def test_what_does_not_fit_is_refused() -> None:
    x, t = gx.input("x", (5, 3)), gx.input("t", (5,), dtype="int32")
    table = gx.parameter("table", (9, 3))
    with pytest.raises(ShapeError, match=r"table must be \(classes, units\) .* got f32\[9,4\]"):
        nn.sampled_softmax(x, gx.parameter("other", (9, 4)), t, 4)
    with pytest.raises(ShapeError, match=r"labels must have the shape of x .* got i32\[4\]"):
        nn.sampled_softmax(x, table, gx.input("u", (4,), dtype="int32"), 4)
    with pytest.raises(DTypeError, match=r"labels must be integers, got f32\[5,3\]"):
        nn.sampled_softmax(x, table, x, 4)
    with pytest.raises(DTypeError, match="x and table must be floats"):
        nn.sampled_softmax(t, table, t, 4)
    with pytest.raises(ShapeError, match=r"bias must be \(9,\), got f32\[3\]"):
        nn.sampled_softmax(x, table, t, 4, gx.parameter("b", (3,)))
    with pytest.raises(ArgumentError, match="samples must be an int of 1 or more, got 0"):
        nn.sampled_softmax(x, table, t, 0)
    with pytest.raises(ArgumentError, match="one of log_uniform, uniform, got 'zipf'"):
        nn.sampled_softmax(x, table, t, 4, distribution="zipf")
    function = gx.compile([x, t], nn.sampled_softmax(x, table, t, 4))
    with pytest.raises(RuntimeCheckError):
        function(np.zeros((5, 3), "f4"), np.full(5, 9, "i4"))
