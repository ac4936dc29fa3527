"""A sweep over learning rates: what it suggests, and that it leaves everything as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx


def problem(optimizer: Any, **named: Any) -> tuple[Any, list[Any]]:
    """Least squares with a batch norm, a dropout and clean targets."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(96, 4)).astype("float32")
    target = (data @ np.array([1.0, -2.0, 3.0, 0.5], "float32"))[:, None]
    x, y = gx.input("x", ("n", 4)), gx.input("y", ("n", 1))
    hidden = gx.nn.dropout(gx.nn.BatchNorm()(x), 0.1)
    loss = gx.nn.mse(gx.nn.Dense(1)(hidden), y).mean()
    options = {"target": "interpret", **named}
    step = gx.compile([x, y], {"loss": loss}, optimizer.minimize(loss), **options)
    return step, [data, target]


def state(step: Any) -> list[bytes]:
    values = [p.value.tobytes() for p in step.parameters.values()]
    return [*values, step.rng.tobytes(), str(step.epochs).encode()]


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_everything_is_put_back_bit_for_bit(target: str) -> None:
    step, data = problem(gx.optim.Adam(0.123), target=target)
    gx.fit(step, data, epochs=1, verbose=False)
    before = state(step)
    gx.lr_find(step, data, steps=20)
    assert state(step) == before
    assert step.optimizer.learning_rate.value == 0.123


def test_it_is_put_back_where_a_step_fails() -> None:
    x, table = gx.input("x", ("n",), "int32"), gx.parameter("table", value=np.ones(3, "float32"))
    loss = table[x].mean()
    step = gx.compile([x], {"loss": loss}, gx.optim.SGD(0.5).minimize(loss), target="interpret")
    before = state(step)
    with pytest.raises(gx.errors.RuntimeCheckError):
        gx.lr_find(step, [np.array([0, 1, 2, 7])], batch_size=1, steps=10)
    assert state(step) == before


def test_the_same_sweep_twice_and_the_stable_rate_of_a_parabola() -> None:
    """SGD on w^2/2 shrinks w by 1 - rate: it diverges from 2 on, and most is gained below 1."""
    w = gx.parameter("w", value=np.float64(1.0))
    x = gx.input("x", ("n",))
    loss = 0.5 * w**2 + 0.0 * gx.mean(x)
    step = gx.compile([x], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    first = gx.lr_find(step, np.zeros(64), low=1e-4, high=100.0, steps=60)
    again = gx.lr_find(step, np.zeros(64), low=1e-4, high=100.0, steps=60)
    np.testing.assert_array_equal(first.losses, again.losses)
    assert first.suggestion is not None
    assert first.divergence is not None
    assert 0.01 < first.suggestion < 1.0
    assert 2.0 < first.divergence < 50.0
    assert len(first.rates) < 60  # it gave up
    assert "suggests" in repr(first)


def test_a_compiled_sequential_and_several_optimisers() -> None:
    net = gx.nn.Sequential([gx.nn.Dense(1)])
    net.compile(gx.optim.SGD(0.1), "mse", target="interpret")
    data = problem(gx.optim.SGD(0.1))[1]
    sweep = gx.lr_find(net, data, high=1.0, steps=40)
    assert sweep.suggestion is not None
    groups = gx.optim.groups([("*/bias", gx.optim.SGD(0.1)), ("*", gx.optim.SGD(0.2))])
    step, data = problem(groups)
    before = state(step)
    gx.lr_find(step, data, steps=10)
    assert state(step) == before


def test_what_cannot_be_swept() -> None:
    step, data = problem(gx.optim.Adam(gx.schedules.cosine(0.1, steps=10)))
    with pytest.raises(gx.errors.ArgumentError) as caught:
        gx.lr_find(step, data)
    assert "the learning rate is a schedule" in str(caught.value)
    assert "compile a step with a number as learning_rate" in str(caught.value)
    step, data = problem(gx.optim.SGD(0.1))
    for named, text in (
        ({"monitor": "cost"}, "no cost of rank 0 among the outputs of step: loss"),
        ({"low": 1.0, "high": 0.5}, "needs 0 < low < high"),
        ({"steps": 3}, "steps must be 10 to 10000, got 3"),
    ):
        with pytest.raises(gx.errors.ArgumentError, match=text):
            gx.lr_find(step, data, **named)
    with pytest.raises(gx.errors.ArgumentError, match="the loss is nan at the smallest rate"):
        gx.lr_find(step, [np.full((8, 4), np.nan, "f4"), data[1][:8]], steps=10)
    w = gx.parameter("w", value=np.ones(4, "float32"))
    x = gx.input("x", ("n", 4))
    by_hand = gx.compile([x], {"loss": gx.mean(x @ w)}, {w: w * 0.5})
    with pytest.raises(gx.errors.ArgumentError, match="has no optimiser"):
        gx.lr_find(by_hand, [data[0]])


def test_the_picture() -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib (the extra plots)")
    step, data = problem(gx.optim.SGD(0.1))
    assert len(gx.lr_find(step, data, steps=30).plot().axes) == 1
