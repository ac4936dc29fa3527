"""Training over twenty steps: target cuda-simulate has the losses and parameters of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.backends.cuda.stepwise import same_bits

nn = gx.nn
STEPS = 20
Made = tuple[list[gx.Tensor], gx.Tensor, Any]
Draw = Callable[[np.random.Generator], list[Any]]


def _classes(x: gx.Tensor, labels: gx.Tensor, logits: gx.Tensor) -> gx.Tensor:
    return nn.softmax_cross_entropy(logits, labels).mean()


def _mlp() -> tuple[Made, Draw]:
    x = gx.input("x", (6, 20))
    labels = gx.input("labels", (6,), dtype="int32")
    hidden = nn.Dropout(0.3)(nn.Dense(17, activation="relu")(x))
    loss = _classes(x, labels, nn.Dense(5)(nn.LayerNorm()(hidden)))
    draw: Draw = lambda rng: [  # noqa: E731
        rng.standard_normal((6, 20)).astype("float32"), rng.integers(0, 5, 6).astype("int32")
    ]  # fmt: skip
    return ([x, labels], loss, gx.optim.Adam(1e-2)), draw


def _lenet() -> tuple[Made, Draw]:
    x = gx.input("x", (3, 10, 10, 1))
    labels = gx.input("labels", (3,), dtype="int32")
    h = nn.MaxPool2D(2)(nn.Conv2D(4, 3, activation="relu")(x))
    h = nn.BatchNorm()(nn.Conv2D(5, 3, padding="same", activation="relu")(h))
    loss = _classes(x, labels, nn.Dense(4)(nn.Flatten()(h)))
    draw: Draw = lambda rng: [  # noqa: E731
        rng.standard_normal((3, 10, 10, 1)).astype("float32"),
        rng.integers(0, 4, 3).astype("int32"),
    ]
    return ([x, labels], loss, gx.optim.SGD(0.1, momentum=0.9)), draw


def _lstm() -> tuple[Made, Draw]:
    x = gx.input("x", (2, 5, 3))
    target = gx.input("target", (2, 6))
    states = nn.LSTM(6)(x)
    last = states[:, -1] if states.ndim == 3 else states
    loss = ((last - target) ** 2).mean()
    draw: Draw = lambda rng: [  # noqa: E731
        rng.standard_normal((2, 5, 3)).astype("float32"),
        rng.standard_normal((2, 6)).astype("float32"),
    ]
    return ([x, target], loss, gx.optim.RMSprop(1e-2)), draw


def _attention() -> tuple[Made, Draw]:
    x = gx.input("x", (2, 7, 12))
    heads = [nn.Dense(12)(x) for _ in range(3)]
    q, k, v = (gx.permute_dims(gx.reshape(h, (2, 7, 3, 4)), (0, 2, 1, 3)) for h in heads)
    mask = gx.constant(np.triu(np.full((7, 7), -1e9, "float32"), 1))
    weights = nn.softmax(q @ gx.matrix_transpose(k) * 0.5 + mask)
    mixed = gx.reshape(gx.permute_dims(weights @ v, (0, 2, 1, 3)), (2, 7, 12))
    y = nn.LayerNorm()(x + nn.Dense(12)(mixed))
    loss = ((nn.Dense(12)(nn.gelu(nn.Dense(24)(y))) - x) ** 2).mean()
    draw: Draw = lambda rng: [rng.standard_normal((2, 7, 12)).astype("float32")]  # noqa: E731
    return ([x], loss, gx.optim.AdamW(1e-2)), draw


def _embedding() -> tuple[Made, Draw]:
    ids = gx.input("ids", (9, 2), dtype="int32")
    near = gx.input("near", (9,))
    table = nn.Embedding(50, 8)
    pair = table(ids)
    loss = nn.sigmoid_cross_entropy(gx.sum(pair[:, 0] * pair[:, 1], axis=-1), near).mean()
    draw: Draw = lambda rng: [  # noqa: E731
        rng.integers(0, 50, (9, 2)).astype("int32"), rng.integers(0, 2, 9).astype("float32")
    ]  # fmt: skip
    return ([ids, near], loss, gx.optim.Adagrad(0.1)), draw


MODELS = {f.__name__[1:]: f for f in (_mlp, _lenet, _lstm, _attention, _embedding)}


def train(name: str, target: str) -> dict[str, Any]:
    """Every loss and all parameters after the last step."""
    gx.seed(3)
    (inputs, loss, optimizer), draw = MODELS[name]()
    step = gx.compile(inputs, loss, optimizer.minimize(loss), name=name, target=target)
    batch = draw(np.random.default_rng(1))
    losses = np.array([step(*batch) for _ in range(STEPS)])
    return {"losses": losses, **{n: p.value for n, p in sorted(step.parameters.items())}}


@pytest.mark.parametrize("name", MODELS)
def test_twenty_steps(name: str) -> None:
    simulated, native = train(name, "cuda-simulate"), train(name, "cpu")
    assert simulated["losses"][-3:].mean() < simulated["losses"][:3].mean()
    assert simulated.keys() == native.keys()
    for what, value in native.items():
        same_bits(np.asarray(simulated[what]), np.asarray(value), f"{name}: {what}")
