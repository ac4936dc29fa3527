"""The networks that are measured on a GPU, in JAX: each maps weights and inputs to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.benchmarks.gpu.settings import Setting


class Weights:
    """Weights by name; draws those that are missing where `rng` is given."""

    def __init__(self, values: dict[str, Any], rng: Any = None) -> None:
        self.values, self.rng = values, rng

    def __call__(self, name: str, shape: tuple[int, ...], value: float | None = None) -> Any:
        if name not in self.values:
            scale = float(np.sqrt(1.0 / max(1, np.prod(shape[:-1]))))
            drawn = self.rng.randn(*shape) * scale if value is None else np.full(shape, value)
            self.values[name] = drawn.astype(np.float32)
        return self.values[name]


@dataclass(frozen=True)
class Products:
    """Products with operands of a low type and sums in float32."""

    dtype: Any

    def matmul(self, a: Any, b: Any) -> Any:
        low = (jnp.asarray(a).astype(self.dtype), jnp.asarray(b).astype(self.dtype))
        return jnp.matmul(*low).astype(jnp.float32)

    def conv(self, x: Any, w: Any, stride: int, padding: int) -> Any:
        low = (jnp.asarray(x).astype(self.dtype), jnp.asarray(w).astype(self.dtype))
        pads = [(padding, padding)] * 2
        found = jax.lax.conv_general_dilated(
            *low, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return found.astype(jnp.float32)

    def dense(self, w: Weights, name: str, x: Any, width: int, bias: bool = True) -> Any:
        y = self.matmul(x, w(f"{name}/kernel", (x.shape[-1], width)))
        return y + w(f"{name}/bias", (width,), 0.0) if bias else y


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def mlp(setting: Setting, w: Weights, p: Products, x: Any, labels: Any) -> Any:
    for i, width in enumerate(setting.layers[1:-1]):
        x = jax.nn.relu(p.dense(w, f"dense{i}", x, width))
    return _cross_entropy(p.dense(w, "last", x, setting.layers[-1]), labels)


def cnn(setting: Setting, w: Weights, p: Products, x: Any, labels: Any) -> Any:
    inside = setting.channels
    for i, filters in enumerate((16, 32)):
        x = p.conv(x, w(f"conv{i}", (3, 3, inside, filters)), 1, 0)
        x, inside = jax.nn.relu(x + w(f"conv{i}/bias", (filters,), 0.0)), filters
    x = _max_pool(x, 2, 2, 0).reshape(x.shape[0], -1)
    x = jax.nn.relu(p.dense(w, "dense", x, 128))
    return _cross_entropy(p.dense(w, "last", x, setting.classes), labels)


def _max_pool(x: Any, size: int, stride: int, padding: int) -> Any:
    pads = ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0))
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, pads)


def _convolution(
    w: Weights, p: Products, name: str, x: Any, filters: int, size: int, stride: int = 1
) -> Any:
    x = p.conv(x, w(f"{name}/conv", (size, size, x.shape[-1], filters)), stride, (size - 1) // 2)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    scale = w(f"{name}/scale", (filters,), 1.0) * jax.lax.rsqrt(variance + 1e-5)
    return (x - mean) * scale + w(f"{name}/shift", (filters,), 0.0)


def _block(
    w: Weights, p: Products, name: str, x: Any, filters: int, stride: int, bottleneck: bool
) -> Any:
    outside = 4 * filters if bottleneck else filters
    if bottleneck:
        y = jax.nn.relu(_convolution(w, p, f"{name}/a", x, filters, 1))
        y = jax.nn.relu(_convolution(w, p, f"{name}/b", y, filters, 3, stride))
        y = _convolution(w, p, f"{name}/c", y, outside, 1)
    else:
        y = jax.nn.relu(_convolution(w, p, f"{name}/a", x, filters, 3, stride))
        y = _convolution(w, p, f"{name}/b", y, filters, 3)
    if stride != 1 or x.shape[-1] != outside:
        x = _convolution(w, p, f"{name}/short", x, outside, 1, stride)
    return jax.nn.relu(x + y)


def resnet(setting: Setting, w: Weights, p: Products, x: Any, labels: Any) -> Any:
    first = 64 if setting.bottleneck else 16
    if setting.bottleneck:
        x = jax.nn.relu(_convolution(w, p, "stem", x, first, 7, 2))
        x = _max_pool(x, 3, 2, 1)
    else:
        x = jax.nn.relu(_convolution(w, p, "stem", x, first, 3))
    for stage, count in enumerate(setting.layers):
        for i in range(count):
            stride = 2 if stage and not i else 1
            name = f"block{stage}_{i}"
            x = _block(w, p, name, x, first << stage, stride, setting.bottleneck)
    return _cross_entropy(p.dense(w, "last", x.mean((1, 2)), setting.classes), labels)


def lstm(setting: Setting, w: Weights, p: Products, tokens: Any, targets: Any) -> Any:
    width = setting.width
    x = jnp.asarray(w("words", (setting.classes, 64)))[tokens]
    x = p.dense(w, "inside", x, 4 * width)
    recurrent = w("recurrent", (width, 4 * width))

    def cell(state: Any, row: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(row + p.matmul(h, recurrent), 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[0], width))
    _, y = jax.lax.scan(cell, (zeros, zeros), x.swapaxes(0, 1))
    return _cross_entropy(p.dense(w, "last", y.swapaxes(0, 1), setting.classes), targets)


def _norm(w: Weights, name: str, x: Any) -> Any:
    x = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * w(f"{name}/scale", x.shape[-1:], 1.0) + w(f"{name}/shift", x.shape[-1:], 0.0)


def gpt(setting: Setting, w: Weights, p: Products, tokens: Any, targets: Any) -> Any:
    steps, width, heads = setting.steps, setting.width, setting.heads
    x = jnp.asarray(w("words", (setting.classes, width)))[tokens] + w("places", (steps, width))
    shape = (*x.shape[:2], 3, heads, width // heads)
    for i in range(setting.layers[0]):
        name = f"block{i}"
        qkv = p.dense(w, f"{name}/qkv", _norm(w, f"{name}/first", x), 3 * width)
        q, k, v = jnp.moveaxis(qkv.reshape(shape).astype(p.dtype), 2, 0)
        seen = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape)
        x = x + p.dense(w, f"{name}/out", seen, width)
        y = p.dense(w, f"{name}/wide", _norm(w, f"{name}/second", x), 4 * width)
        x = x + p.dense(w, f"{name}/back", jax.nn.gelu(y, approximate=False), width)
    logits = p.dense(w, "last", _norm(w, "norm", x), setting.classes, bias=False)
    return _cross_entropy(logits, targets)


def word2vec(
    setting: Setting, w: Weights, p: Products, center: Any, context: Any, negatives: Any
) -> Any:
    shape = (setting.classes, setting.width)
    words, contexts = (jnp.asarray(w(name, shape)) for name in ("words", "contexts"))
    e = words[center]
    true = (e * contexts[context]).sum(1, keepdims=True)
    logits = jnp.concatenate([true, p.matmul(e, contexts[negatives].T)], 1)
    return _cross_entropy(logits, jnp.zeros(setting.batch, jnp.int32))


NETWORKS: dict[str, Any] = {f.__name__: f for f in (mlp, cnn, resnet, lstm, gpt, word2vec)}
