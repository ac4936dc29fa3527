"""Normalisation and dropout."""

from __future__ import annotations

import graphc as gx
from graphc import nn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import widened
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import OnnxNode, Result, Table


def channels(x: Tensor, like: Tensor) -> Tensor:
    """A vector with one number per channel, as a factor of `like`."""
    return gx.reshape(x, (x.shape[0],) + (1,) * (like.ndim - 2)) if like.ndim >= 2 else x


def batch_normalization(call: OnnxNode) -> Result:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, of running or of batch statistics."""
    x, scale, bias = (call.x(i) for i in range(3))
    mean, var = (call.scope.store.statistic(call.value(i)).tensor for i in (3, 4))
    if call.get("training_mode") or (call.opset < 7 and not call.get("is_test")):
        return trained_batch(call, x, scale, bias, mean, var)
    factor = scale / gx.sqrt(gx.astype(var, scale.dtype) + call["epsilon"])
    offset = bias - gx.astype(mean, bias.dtype) * factor
    return gx.astype(x * channels(factor, x) + channels(offset, x), x.dtype)


def trained_batch(
    call: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised by the statistics of the batch, and the running ones moved towards them."""
    axes = tuple(i for i in range(x.ndim) if i != 1)
    wide = widened(x)
    new_mean, new_var = gx.mean(wide, axes), gx.var(wide, axes)
    factor = widened(scale) / gx.sqrt(new_var + call["epsilon"])
    y = (wide - channels(new_mean, x)) * channels(factor, x) + channels(widened(bias), x)
    y = gx.astype(y, x.dtype)
    keep = call["momentum"]
    moved = (old * keep + gx.astype(new, old.dtype) * (1.0 - keep)
             for old, new in ((mean, new_mean), (var, new_var)))  # fmt: skip
    return y, *moved


def instance_normalization(call: OnnxNode) -> Result:
    """Every channel of every example normalised over its positions."""
    x, scale, bias = call.x(0), call.x(1), call.x(2)
    normal = nn.layer_norm(x, axis=tuple(range(2, x.ndim)), epsilon=call["epsilon"])
    return normal * channels(scale, x) + channels(bias, x)


def layer_normalization(call: OnnxNode) -> Result:
    """Normalised over the axes from one on; the mean and 1 / deviation if asked for."""
    x, scale, bias = call.x(0), call.x(1), call.optional(2)
    axes = tuple(range(call.axis(), x.ndim))
    if call.count == 1 and x.dtype == gx.float32:
        return nn.layer_norm(x, scale, bias, axes, call["epsilon"])
    wide = gx.astype(x, "float32") if call["stash_type"] == 1 else x
    centre = gx.mean(wide, axes, keepdims=True)
    inverse = 1.0 / gx.sqrt(gx.var(wide, axes, keepdims=True) + call["epsilon"])
    y = gx.astype((wide - centre) * inverse, x.dtype) * scale
    return (y if bias is None else y + bias, centre, inverse)[: call.count]


def rms_normalization(call: OnnxNode) -> Result:
    """Divided by the root of the mean square over the axes from one on."""
    x, scale = call.x(0), call.x(1)
    axes = tuple(range(call.axis(), x.ndim))
    wide = gx.astype(x, "float32") if call["stash_type"] == 1 else x
    mean = gx.mean(gx.square(wide), axes, keepdims=True)
    normal = gx.astype(wide / gx.sqrt(mean + call["epsilon"]), x.dtype)
    return normal * gx.astype(scale, x.dtype)


def local_response(call: OnnxNode) -> Result:
    """x / (bias + alpha / size * sum of squares over neighbouring channels) ** beta."""
    narrow, size = call.x(), call["size"]
    x = widened(narrow)
    before = (size - 1) // 2
    widths = [(0, 0)] * x.ndim
    widths[1] = before, size - 1 - before
    squares = gx.pad(gx.square(x), widths)
    count = x.shape[1]
    total = squares[:, 0:count]
    for i in range(1, size):
        total = total + squares[:, i : count + i]
    y = x / gx.pow(call["bias"] + call["alpha"] / size * total, call["beta"])
    return gx.astype(y, narrow.dtype)


def lp_normalization(call: OnnxNode) -> Result:
    """x over its norm along an axis; 0 where that is 0."""
    narrow, axis = call.x(), call.axis()
    x = widened(narrow)
    if call["p"] == 1:
        norm = gx.sum(gx.abs(x), axis, dtype=x.dtype, keepdims=True)
    else:
        norm = gx.sqrt(gx.sum(gx.square(x), axis, dtype=x.dtype, keepdims=True))
    nothing = norm == 0
    return gx.astype(choose(nothing, 0.0, x / choose(nothing, 1.0, norm)), narrow.dtype)


def dropout(call: OnnxNode) -> Result:
    """x itself and a mask of ones; while training some elements are 0 and the others grow."""
    x = call.x()
    training = bool(call.number(2)) if call.has(2) else not call.get("is_test", 1)
    ratio = (call.number(1) if call.has(1) else 0.5) if call.opset >= 12 else call["ratio"]
    dtype = "bool" if call.opset >= 10 else x.dtype
    if not training or not ratio:
        return (x, gx.ones(x.shape, dtype))[: max(1, call.count)]
    kept = gx.random.bernoulli(x.shape, 1.0 - ratio)
    y = choose(kept, x * (1.0 / (1.0 - ratio)), 0.0)
    return (y, gx.astype(kept, dtype))[: max(1, call.count)]


TABLE: Table = {
    ("BatchNormalization", 1): batch_normalization,
    ("InstanceNormalization", 1): instance_normalization,
    ("LayerNormalization", 17): layer_normalization,
    ("RMSNormalization", 23): rms_normalization,
    ("LRN", 1): local_response,
    ("LpNormalization", 1): lp_normalization,
    ("Dropout", 1): dropout,
}
