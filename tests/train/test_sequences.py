"""Recurrent networks learn: long memory, clipped gradients, streams cut into pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

nn = gx.nn


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def adding(count: int, time: int, seed: int) -> tuple[Any, Any]:
    """Numbers of which two are marked, one in each half; the answer is their sum."""
    rng = np.random.default_rng(seed)
    numbers, marks = rng.random((count, time)), np.zeros((count, time))
    rows = np.arange(count)
    marks[rows, rng.integers(0, time // 2, count)] = 1
    marks[rows, rng.integers(time // 2, time, count)] = 1
    x = np.stack([numbers, marks], -1).astype("float32")
    return x, (numbers * marks).sum(1, keepdims=True).astype("float32")


def adding_error(layer: Any) -> float:
    """What is left of a variance of 1/6 after ten epochs."""
    gx.seed(0)
    model = nn.Sequential([layer(24), nn.Dense(1)])
    model.compile(gx.optim.Adam(0.01), "mse", threads=1)
    model.fit(*adding(4000, 30, 0), epochs=10, batch_size=50, verbose=False, seed=0)
    return model.evaluate(*adding(500, 30, 1))["loss"]


def test_gates_remember_longer_than_a_simple_network() -> None:
    assert adding_error(nn.LSTM) < 0.02
    assert adding_error(nn.GRU) < 0.02
    assert adding_error(nn.SimpleRNN) > 0.1


def test_sequential_learns_with_recurrent_layers() -> None:
    """Which symbol came first; layers on top of each other, both directions."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (1000, 6)).astype("int32")
    model = nn.Sequential(
        [
            nn.Embedding(5, 8),
            nn.Bidirectional(nn.GRU(12, return_sequences=True)),
            nn.LSTM(16, dropout=0.05),
            nn.Dense(5),
        ]
    )
    model.compile(gx.optim.Adam(0.01), "softmax_cross_entropy", ["accuracy"], threads=1)
    history = model.fit(x, x[:, 0], epochs=6, batch_size=50, verbose=False, seed=0)
    assert history["accuracy"][0] < 0.9
    assert model.evaluate(x, x[:, 0])["accuracy"] > 0.98
    assert model.predict(x[:7]).shape == (7, 5)


def test_self_attention_learns_to_look_back() -> None:
    """The answer at each place is the symbol two places before, where it is."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (600, 8)).astype("int32")
    y = np.concatenate([x[:, :2], x[:, :-2]], 1)
    place = gx.parameter("place", (8, 32), gx.init.normal(std=0.5))
    attention = nn.MultiHeadAttention(4)
    model = nn.Sequential(
        [
            nn.Embedding(6, 32),
            lambda t: t + place,
            lambda t: t + attention(t, is_causal=True),
            nn.LayerNorm(),
            nn.Dense(6),
        ]
    )
    model.compile(gx.optim.Adam(0.01), "softmax_cross_entropy", ["accuracy"], threads=1)
    model.fit(x, y, epochs=20, batch_size=50, verbose=False, seed=0)
    assert model.evaluate(x, y)["accuracy"] > 0.95


@pytest.mark.parametrize("clip", [None, 1.0])
def test_clipping_prevents_infinities(clip: float | None) -> None:
    """A recurrence that grows has gradients that explode; clipped ones are harmless."""
    layer = nn.SimpleRNN(8, activation=None, recurrent_init=gx.init.orthogonal(1.2))
    x, y = adding(64, 60, 0)
    inputs, target = gx.input("x", ("batch", 60, 2)), gx.input("y", ("batch", 1))
    loss = nn.mse(nn.Dense(1)(layer(inputs)), target).mean()
    updates = gx.optim.SGD(0.01).minimize(loss, clip_norm=clip)
    step = gx.compile([inputs, target], loss, updates=updates, threads=1)
    with np.errstate(all="ignore"):
        losses = [float(step(x, y)) for _ in range(100)]
    assert np.isfinite(losses).all() == (clip is not None)
    if clip is not None:
        assert min(losses) < losses[0] / 100


# ----------------------------------------------------------- a stream, a piece at a time


def stateful(time: int | str) -> tuple[Any, ...]:
    """A network whose state is kept from call to call, as parameters: layer, input,
    output, updates."""
    layer = nn.LSTM(5, return_sequences=True, return_state=True, name="lstm")
    state = [gx.parameter(n, (2, 5), trainable=False) for n in ("h", "c")]
    x = gx.input("x", (2, time, 3))
    y, *new = layer(x, initial_state=state)
    return layer, x, y, dict(zip(state, new))


def test_the_state_can_stay_in_the_function() -> None:
    _, x, y, updates = stateful("time")
    step = gx.compile([x], y, updates=updates)
    given = np.random.default_rng(0).normal(size=(2, 12, 3)).astype("float32")
    pieces = [step(given[:, i:j]) for i, j in ((0, 5), (5, 6), (6, 12))]
    for p in updates:
        p.value = np.zeros((2, 5), "float32")
    assert_close(np.concatenate(pieces, 1), step(given))


def test_pieces_of_a_stream_are_truncated_back_propagation() -> None:
    """Gradients of the pieces, each from the state before it, add to those cut by `truncate`."""
    given = np.random.default_rng(0).normal(size=(2, 12, 3)).astype("float32")
    layer, x, y, updates = stateful(4)
    step = gx.compile([x], gx.grad((y**2).sum(), layer.parameters), updates=updates)
    sums = [sum(parts) for parts in zip(*(step(given[:, i : i + 4]) for i in (0, 4, 8)))]
    other = nn.LSTM(5, return_sequences=True, truncate=4, name="other")
    z = gx.input("z", (2, 12, 3))
    loss = (other(z) ** 2).sum()
    for p, q in zip(other.parameters, layer.parameters):
        p.value = q.value
    found = gx.compile([z], gx.grad(loss, other.parameters))(given)
    for a, b in zip(found, sums):
        assert_close(a, b)
