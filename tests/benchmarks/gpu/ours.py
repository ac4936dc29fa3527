"""The steps that are measured on a GPU, in graphc."""

from __future__ import annotations

from typing import Any

import graphc as gx
from graphc import nn
from tests.benchmarks.gpu.settings import Setting

PRECISIONS = {"fp32": None, "tf32": "tf32", "bf16": "bf16"}
OPTIMIZERS = {
    "momentum": lambda: gx.optim.SGD(0.01, momentum=0.9),
    "adam": lambda: gx.optim.Adam(1e-3),
    "adamw": lambda: gx.optim.AdamW(1e-3),
    "adagrad": lambda: gx.optim.Adagrad(0.01),
}


def build(setting: Setting, target: str = "cpu") -> gx.CompiledFunction:
    """The step of a setting, compiled for a target."""
    gx.seed(0)
    inputs, loss = NETWORKS[setting.network](setting)
    updates = OPTIMIZERS[setting.optimizer]().minimize(loss)
    precision = PRECISIONS[setting.precision]
    return gx.compile(
        inputs, loss, updates, target=target, precision=precision, name=setting.network
    )


def _inputs(setting: Setting, *names: str) -> list[gx.Tensor]:
    (batch,) = setting.batches(1)
    return [gx.input(n, a.shape, dtype=str(a.dtype)) for n, a in zip(names, batch)]


def _cross_entropy(logits: gx.Tensor, labels: gx.Tensor) -> gx.Tensor:
    return nn.softmax_cross_entropy(logits, labels).mean()


def mlp(setting: Setting) -> Any:
    """Dense layers."""
    x, labels = _inputs(setting, "x", "labels")
    y = x
    for width in setting.layers[1:-1]:
        y = nn.Dense(width, activation="relu")(y)
    return [x, labels], _cross_entropy(nn.Dense(setting.layers[-1])(y), labels)


def cnn(setting: Setting) -> Any:
    """Two convolutions without padding, a pool, two dense layers."""
    x, labels = _inputs(setting, "x", "labels")
    y = nn.Conv2D(16, 3, activation="relu", padding="valid")(x)
    y = nn.max_pool(nn.Conv2D(32, 3, activation="relu", padding="valid")(y), 2)
    y = nn.Dense(128, activation="relu")(nn.Flatten()(y))
    return [x, labels], _cross_entropy(nn.Dense(setting.classes)(y), labels)


def _convolution(x: gx.Tensor, filters: int, size: int, strides: int = 1) -> gx.Tensor:
    layer = nn.Conv2D(filters, size, strides, padding=(size - 1) // 2, use_bias=False)
    return nn.BatchNorm()(layer(x))


def _block(y: gx.Tensor, filters: int, strides: int, bottleneck: bool) -> gx.Tensor:
    outer = 4 * filters if bottleneck else filters
    if bottleneck:
        inner = nn.relu(_convolution(y, filters, 1))
        inner = nn.relu(_convolution(inner, filters, 3, strides))
        inner = _convolution(inner, outer, 1)
    else:
        inner = _convolution(nn.relu(_convolution(y, filters, 3, strides)), filters, 3)
    same = strides == 1 and y.shape[-1] == outer
    return nn.relu(inner + (y if same else _convolution(y, outer, 1, strides)))


def resnet(setting: Setting) -> Any:
    """Residual blocks, with a stem of stride 4 where they are bottlenecks."""
    x, labels = _inputs(setting, "x", "labels")
    first = 64 if setting.bottleneck else 16
    if setting.bottleneck:
        y = nn.relu(_convolution(x, first, 7, 2))
        y = nn.max_pool(y, 3, 2, padding=1)
    else:
        y = nn.relu(_convolution(x, first, 3))
    for stage, count in enumerate(setting.layers):
        for i in range(count):
            strides = 2 if stage and not i else 1
            y = _block(y, first << stage, strides, setting.bottleneck)
    logits = nn.Dense(setting.classes)(nn.global_avg_pool(y))
    return [x, labels], _cross_entropy(logits, labels)


def lstm(setting: Setting) -> Any:
    """A language model of characters."""
    tokens, targets = _inputs(setting, "tokens", "targets")
    y = nn.Embedding(setting.classes, 64)(tokens)
    y = nn.LSTM(setting.width, return_sequences=True)(y)
    return [tokens, targets], _cross_entropy(nn.Dense(setting.classes)(y), targets)


def gpt(setting: Setting) -> Any:
    """Blocks of causal attention, normalised before."""
    tokens, targets = _inputs(setting, "tokens", "targets")
    n, steps, width = setting.batch, setting.steps, setting.width
    y = nn.Embedding(setting.classes, width)(tokens)
    y = y + nn.Embedding(steps, width)(gx.arange(steps))
    heads = (n, steps, setting.heads, width // setting.heads)
    for _ in range(setting.layers[0]):
        z = nn.LayerNorm()(y)
        q, k, v = (gx.swapaxes(gx.reshape(nn.Dense(width)(z), heads), 1, 2) for _ in range(3))
        seen = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y + nn.Dense(width)(gx.reshape(gx.swapaxes(seen, 1, 2), (n, steps, width)))
        z = nn.Dense(4 * width, activation="gelu")(nn.LayerNorm()(y))
        y = y + nn.Dense(width)(z)
    logits = nn.Dense(setting.classes, use_bias=False)(nn.LayerNorm()(y))
    return [tokens, targets], _cross_entropy(logits, targets)


def word2vec(setting: Setting) -> Any:
    """Sampled softmax; updates of the rows that were used."""
    center, context, negatives = _inputs(setting, "center", "context", "negatives")
    shape = (setting.classes, setting.width)
    words, contexts = (
        gx.parameter(name, shape, init=gx.init.uniform(-0.1, 0.1)) for name in ("words", "contexts")
    )
    e = words[center]
    true = gx.sum(e * contexts[context], axis=1, keepdims=True)
    logits = gx.concat([true, e @ contexts[negatives].T], axis=1)
    labels = gx.zeros((setting.batch,), "int32")
    return [center, context, negatives], _cross_entropy(logits, labels)


NETWORKS = {f.__name__: f for f in (mlp, cnn, resnet, lstm, gpt, word2vec)}
