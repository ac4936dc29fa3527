"""What courses say of penalties and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from tests.coverage.compute import gradients
from tests.tolerances import near_share

RNG = np.random.default_rng(0)
nn = gx.nn


def test_penalties_and_their_slopes() -> None:
    w = RNG.normal(size=(3, 4))
    cases = {
        "l2": (lambda w: gx.regularizers.l2([w], 0.3), 0.3 * w),
        "l1": (lambda w: gx.regularizers.l1([w], 0.3), 0.3 * np.sign(w)),
        "lp": (lambda w: gx.regularizers.lp([w], 3, 0.3), 0.9 * w * np.abs(w)),
        "lp of one and a half": (
            lambda w: gx.regularizers.lp([w], 1.5, 0.3), 0.45 * np.sign(w) * np.abs(w) ** 0.5,
        ),
    }  # fmt: skip
    for name, (penalty, slope) in cases.items():
        assert_close(gradients(penalty, w)[0], slope, each=True, message=name)


def test_l1_makes_exact_zeros_and_l2_does_not() -> None:
    a, truth = RNG.normal(size=(60, 10)), np.array([2.0, -3.0] + [0.0] * 8)
    y = a @ truth + 0.1 * RNG.normal(size=60)
    zeros = []
    for l1 in (True, False):
        w = gx.parameter("w", value=np.zeros(10))
        loss = nn.mse(gx.constant(a) @ w, y).mean()
        if not l1:
            loss = loss + gx.regularizers.l2([w], 0.2)
        optimizer = gx.optim.SGD(0.1)
        made = gx.optim.ProximalL1(optimizer, 0.2) if l1 else optimizer
        count = gx.input("count", ("steps",))
        step = gx.compile([count], loss, made.minimize(loss), threads=1)
        step.run_epoch([np.zeros(300, "float32")], batch_size=1)
        zeros.append(int((w.value == 0.0).sum()))
        assert (np.abs(w.value[:2]) > 1.5).all()
    assert zeros == [8, 0]


def test_dropout_expects_half_of_a_sum_and_both_ways_of_scaling_agree() -> None:
    """Four masks of two inputs, as often: (0 + w0 x + w1 y + w0 x + w1 y) / 4."""
    w, x = np.array([2.0, -3.0], "float32"), np.array([5.0, 7.0], "float32")
    inputs = gx.input("x", ("batch", 2))
    train = gx.compile([inputs], nn.dropout(inputs, 0.5) @ gx.constant(w), mode="train")
    found = train(np.tile(x, (40_000, 1)))
    # inverted: values of training are doubled, those at the test stay
    assert set(np.unique(found)) == {0.0, 20.0, -42.0, -22.0}
    assert np.isclose(found.mean(), w @ x, **near_share(found))
    # the other way: training masks alone, and the test takes half of the weights
    masked = found / 2
    assert np.isclose(masked.mean(), 0.5 * (w @ x), **near_share(masked))
    plain = gx.compile([inputs], inputs @ gx.constant(w / 2))(x[None])
    assert plain[0] == 0.5 * (w @ x)


def test_each_layer_has_a_rate_of_its_own_and_asks_many_times_at_the_test() -> None:
    """Monte Carlo: the mean of draws is the answer, their deviation a doubt."""
    x = gx.input("x", (2000, 8))
    first, second = nn.Dropout(0.2, always=True)(x), nn.Dropout(0.5, always=True)(x)
    a, b = gx.compile([x], [first, second])(np.ones((2000, 8), "float32"))
    assert abs((a == 0).mean() - 0.2) < 5 * np.sqrt(0.16 / a.size)
    assert abs((b == 0).mean() - 0.5) < 5 * np.sqrt(0.25 / b.size)
    rows = gx.compile([x], nn.dropout(x, 0.5, always=True) @ np.full(8, 0.125, "float32"))
    draws = rows(np.ones((2000, 8), "float32"))
    assert np.isclose(draws.mean(), 1.0, **near_share(draws))
    assert 0.3 < draws.std() < 0.4  # sqrt(1 / 8)


@pytest.mark.slow
def test_a_network_too_large_and_then_held_back_beats_one_that_just_fits() -> None:
    """Skinny jeans: 256 units with a penalty beat 8 without, and 256 without."""
    (x, y), (test, labels) = gx.data.digits()
    x, y = x[:200], y[:200].copy()
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.3
    y[wrong] = rng.integers(0, 10, wrong.sum())

    def accuracy(units: int, weight: float) -> float:
        gx.seed(0)
        penalty = (lambda w: gx.regularizers.l2([w], weight)) if weight else None
        layers: list[Any] = [
            nn.Dense(units, "relu", kernel_regularizer=penalty),
            nn.Dense(10, kernel_regularizer=penalty),
        ]
        net = nn.Sequential(layers)
        net.compile(gx.optim.Adam(0.01), "softmax_cross_entropy", ["accuracy"], threads=1)
        net.fit(x, y, epochs=60, batch_size=50, verbose=False, seed=0)
        return float(net.evaluate(test, labels)["accuracy"])

    held = accuracy(256, 0.02)
    assert held > accuracy(8, 0.0) + 0.02
    assert held > accuracy(256, 0.0) + 0.02
