"""Training steps of all kinds, in public names only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc as gx

from . import mathematics
from .registry import CASES, case, slow_case

nn = gx.nn


def model_cases(quick: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every registered model, and those of `mathematics`."""
    assert mathematics.CASES is CASES
    for name, build, fast in CASES:
        if fast or not quick:
            yield f"models/{name}", build


def train(inputs: list[Any], loss: Any, optimizer: Any = None, **options: Any) -> Any:
    """The training step, and the loss as at inference."""
    updates = (optimizer or gx.optim.Adam(1e-3)).minimize(loss, **options)
    gx.compile(inputs, loss, mode="inference", name="evaluate")
    return gx.compile(inputs, {"loss": loss}, updates)


def labels(name: str = "labels") -> Any:
    """One class a sample."""
    return gx.input(name, ("batch",), dtype="int32")


# ------------------------------------------------------------------------------- dense


@case
def mlp() -> Any:
    """Dropout, several activations, regularisation."""
    x, t = gx.input("x", ("batch", 23)), labels()
    model = nn.Sequential(
        [
            nn.Dense(37, activation="relu"), nn.Dropout(0.3), nn.Dense(37, activation="tanh"),
            nn.LayerNorm(), nn.Dense(7),
        ]
    )  # fmt: skip
    y = model(x)
    loss = nn.softmax_cross_entropy(y, t, label_smoothing=0.1).mean()
    return train([x, t], loss + gx.regularizers.l2(model.parameters, 1e-4), clip_norm=1.0)


def fit_line(optimizer: Any, **options: Any) -> Any:
    """A small regression."""
    x, t = gx.input("x", ("batch", 5)), gx.input("t", ("batch", 3))
    y = nn.Dense(3)(nn.Dense(9, activation="silu")(x))
    return train([x, t], nn.mse(y, t).mean(), optimizer, **options)


@slow_case
def optimizers() -> None:
    """Every optimiser, some with a schedule, some with clipping."""
    o, s = gx.optim, gx.schedules
    for optimizer in (
        o.SGD(0.1), o.SGD(0.1, momentum=0.9), o.SGD(s.linear(0.1, 0.0, 90), 0.9, nesterov=True),
        o.Adam(s.cosine(1e-3, 100, warmup=10)), o.AdamW(s.exponential(1e-3, 0.9, 20)),
        o.Adamax(s.inverse_time(1e-3, 0.5)), o.Nadam(s.piecewise([5, 9], [1e-2, 1e-3, 1e-4])),
        o.RMSprop(s.staircase(1e-3, 0.5, 30), momentum=0.5), o.Adagrad(0.05), o.Adadelta(),
    ):  # fmt: skip
        fit_line(optimizer)
    fit_line(o.Adam(), clip_norm=1.0)
    fit_line(o.SGD(0.1), clip_value=0.5, clip_norm=2.0)


@case
def averages() -> None:
    """Moving averages of parameters after the step."""
    x, t = gx.input("x", ("batch", 5)), gx.input("t", ("batch", 3))
    y = nn.Dense(3)(x)
    loss = nn.mse(y, t).mean()
    updates = gx.optim.SGD(0.1).minimize(loss)
    average = gx.ema(updates, 0.99)
    gx.compile([x, t], loss, updates | dict(average))
    gx.compile([x], gx.substitute(y, average.of), name="averaged")


@case
def half() -> None:
    """A forward pass and its gradient in short floats."""
    for dtype in ("float16", "bfloat16"):
        x = gx.input("x", ("batch", 33), dtype=dtype)
        w = gx.parameter("w", value=np.ones((33, 17), np.float32))
        y = nn.softmax(gx.tanh(x @ w.astype(dtype)))
        loss = gx.mean(y.astype("float32") ** 2)
        gx.compile([x], loss, {w: w - 0.1 * gx.grad(loss, w)}, name=dtype)


# ------------------------------------------------------------------------------- images


@case
def cnn() -> Any:
    """Convolutions with batch norm and pooling."""
    x, t = gx.input("x", ("batch", 12, 12, 3)), labels()
    model = nn.Sequential(
        [
            nn.Conv2D(8, 3, padding="same", use_bias=False), nn.BatchNorm(), nn.Activation("relu"),
            nn.MaxPool2D(2), nn.Conv2D(16, 3, strides=2, activation="gelu"), nn.AvgPool2D(2),
            nn.Flatten(), nn.Dense(10),
        ]
    )  # fmt: skip
    return train([x, t], nn.softmax_cross_entropy(model(x), t).mean())


def residual(x: Any, filters: int, strides: int) -> Any:
    """Two convolutions beside a short cut."""

    def convolution(x: Any, size: int, strides: int) -> Any:
        return nn.BatchNorm()(nn.Conv2D(filters, size, strides, "same", use_bias=False)(x))

    y = convolution(nn.relu(convolution(x, 3, strides)), 3, 1)
    return nn.relu(y + (x if x.shape[-1] == filters else convolution(x, 1, strides)))


@slow_case
def resnet() -> Any:
    """A small residual network."""
    x, t = gx.input("x", ("batch", 16, 16, 3)), labels()
    y = nn.relu(nn.BatchNorm()(nn.Conv2D(8, 3, padding="same")(x)))
    for filters, strides in ((8, 1), (16, 2), (32, 2)):
        y = residual(y, filters, strides)
    y = nn.Dense(10)(nn.global_avg_pool(y))
    return train([x, t], nn.softmax_cross_entropy(y, t).mean(), gx.optim.SGD(0.1, momentum=0.9))


@slow_case
def windows() -> None:
    """Other convolutions, other pools, resizing."""
    x = gx.input("x", ("batch", 10, 10, 8))
    ys = [
        nn.Conv2D(8, 3, groups=4)(x), nn.Conv2D(4, 3, dilation=2, strides=2)(x),
        nn.ConvTranspose2D(4, 3, strides=2)(x), nn.max_pool(x, 3, 2, "same"),
        nn.lp_pool(x, 2), nn.global_max_pool(x), nn.resize(x, (7, 13)),
        nn.GroupNorm(4)(x), nn.Conv1D(4, 3)(x[:, 0]), nn.resize(x, (20, 20), method="nearest"),
    ]  # fmt: skip
    for y in ys:
        gx.compile([x], [y, gx.grad(gx.sum(y * y), x)])


# ------------------------------------------------------------------------------- sequences


def sequence(layer: Any) -> Any:
    """A recurrent layer over vectors, trained."""
    x, t = gx.input("x", ("batch", 9, 5)), labels()
    return train([x, t], nn.softmax_cross_entropy(nn.Dense(4)(layer(x)), t).mean(), clip_norm=1.0)


@case
def lstm() -> Any:
    """A long short-term memory."""
    return sequence(nn.LSTM(12))


@slow_case
def recurrent() -> None:
    """Other recurrent layers."""
    for layer in (
        nn.GRU(12), nn.GRU(12, reset_after=False), nn.SimpleRNN(12), nn.Bidirectional(nn.LSTM(7)),
    ):  # fmt: skip
        sequence(layer)


def block(y: Any, width: int) -> Any:
    """A transformer's block."""
    z = nn.LayerNorm()(y)
    heads = [nn.Dense(width, use_bias=False)(z) for _ in range(3)]
    q, k, v = (
        gx.permute_dims(gx.reshape(h, (h.shape[0], h.shape[1], 4, width // 4)), (0, 2, 1, 3))
        for h in heads
    )
    a = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
    a = gx.reshape(gx.permute_dims(a, (0, 2, 1, 3)), y.shape)
    y = y + nn.Dropout(0.1)(nn.Dense(width)(a))
    return y + nn.Dense(width)(nn.Dense(4 * width, activation="gelu")(nn.RMSNorm()(y)))


@case
def gpt() -> Any:
    """Two blocks of causal attention over tokens."""
    tokens = gx.input("tokens", ("batch", 16), dtype="int32")
    targets = gx.input("targets", ("batch", 16), dtype="int32")
    y = nn.Embedding(50, 32)(tokens) + nn.Embedding(16, 32)(gx.arange(16))
    for _ in range(2):
        y = block(y, 32)
    loss = nn.softmax_cross_entropy(nn.Dense(50)(nn.LayerNorm()(y)), targets).mean()
    return train([tokens, targets], loss, gx.optim.AdamW(1e-3), clip_norm=1.0)


@case
def attention() -> Any:
    """The layer of many heads, with queries from elsewhere."""
    x, y = gx.input("x", ("batch", 6, 16)), gx.input("y", ("batch", 11, 16))
    return train([x, y], nn.MultiHeadAttention(4)(x, y, y).mean())


@case
def embeddings() -> None:
    """Updates of the rows that were looked up."""
    for optimizer, sparse in (
        (gx.optim.SGD(0.1), "exact"), (gx.optim.Adagrad(0.1), "exact"),
        (gx.optim.Adam(0.1), "lazy"), (gx.optim.SGD(0.1, momentum=0.9), "lazy"),
    ):  # fmt: skip
        ids = gx.input("ids", ("batch", 4), dtype="int32")
        y = nn.Dense(3)(nn.Embedding(1000, 8)(ids).mean(1))
        train([ids], (y * y).mean(), optimizer, sparse=sparse)


@case
def sampled() -> Any:
    """A loss over a sample of the classes."""
    x, t = gx.input("x", ("batch", 8)), labels()
    table = gx.parameter("table", value=np.full((500, 8), 0.01, np.float32))
    return train([x, t], nn.sampled_softmax(x, table, t, 20).mean(), gx.optim.SGD(0.1))
