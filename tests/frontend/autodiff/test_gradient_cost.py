"""A loss with its gradients costs at most 3.2 times the loss alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gx

MOST = 3.2
Model = tuple[list[Any], Any, list[Any]]  # inputs, loss, parameters


def classified(layers: Any, x: Any) -> Model:
    t = gx.input("t", (x.shape[0],), "int32")
    model = gx.nn.Sequential(layers)
    loss = gx.nn.softmax_cross_entropy(model(x), t).mean()
    return [x, t], loss, [p for p in model.parameters if p.trainable]


def mlp() -> Model:
    nn = gx.nn
    layers = [nn.Dense(256, activation="relu"), nn.Dense(128, activation="tanh"), nn.Dense(10)]
    return classified(layers, gx.input("x", (64, 784)))


def lenet() -> Model:
    nn = gx.nn
    layers = [
        nn.Conv2D(6, 5, padding="same", activation="relu"), nn.MaxPool2D(2),
        nn.Conv2D(16, 5, activation="relu"), nn.MaxPool2D(2), nn.Flatten(),
        nn.Dense(120, activation="relu"), nn.Dense(84, activation="relu"), nn.Dense(10),
    ]  # fmt: skip
    return classified(layers, gx.input("x", (16, 28, 28, 1)))


class Residual(gx.nn.Sequential):
    """relu(x + f(x))"""

    def call(self, x: Any) -> Any:
        return gx.nn.relu(x + super().call(x))


def residual() -> Model:
    nn = gx.nn
    inside = [
        nn.Conv2D(32, 3, padding="same", use_bias=False), nn.BatchNorm(), nn.Activation("relu"),
        nn.Conv2D(32, 3, padding="same", use_bias=False), nn.BatchNorm(),
    ]  # fmt: skip
    layers = [
        nn.Conv2D(32, 3, padding="same"),
        Residual(inside),
        nn.GlobalAvgPool2D(),
        nn.Dense(10),
    ]
    return classified(layers, gx.input("x", (8, 16, 16, 3)))


def lstm() -> Model:
    nn = gx.nn
    return classified([nn.LSTM(64), nn.Dense(10)], gx.input("x", (16, 20, 32)))


def attention() -> Model:
    x = gx.input("x", (4, 32, 64))
    attend, norm = gx.nn.MultiHeadAttention(4), gx.nn.LayerNorm()
    wide, narrow = gx.nn.Dense(256, activation="gelu"), gx.nn.Dense(64)
    h = x + attend(norm(x))
    loss = ((h + narrow(wide(h))) ** 2).mean()
    return [x], loss, [p for m in (attend, norm, wide, narrow) for p in m.parameters]


def embedding() -> Model:
    ids = gx.input("ids", (32, 16), "int32")
    t = gx.input("t", (32,), "int32")
    table, out = gx.nn.Embedding(1000, 64), gx.nn.Dense(100)
    loss = gx.nn.softmax_cross_entropy(out(table(ids).mean(1)), t).mean()
    return [ids, t], loss, [*table.parameters, *out.parameters]


def flops(inputs: list[Any], outputs: list[Any]) -> int:
    return int(gx.compile(inputs, outputs, mode="train").cost.flops)


@pytest.mark.parametrize("model", [mlp, lenet, residual, lstm, attention, embedding])
def test_gradients_cost_little(model: Callable[[], Model]) -> None:
    inputs, loss, parameters = model()
    forward = flops(inputs, [loss])
    whole = flops(inputs, [loss, *gx.grad(loss, parameters)])
    assert forward < whole <= MOST * forward, f"{whole / forward:.2f}"
