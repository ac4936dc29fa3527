"""Layers that keep the shape: activations, softmax, normalisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np

from graphc import nn
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.types import TensorType, float32
from graphc.onnx import write_windows
from graphc.onnx.formulas import (
    FIRST,
    LAST,
    SENTINEL,
    LayerFormula,
    from_first,
    hole,
    to_first,
    written,
)
from graphc.onnx.writer import Writer


def layer(w: Writer, node: Node) -> str | None:
    """The operator of the layer whose last node this is; None if it is none's."""
    if node.type.dtype != float32 or 0 in node.type.shape:
        return None  # float32 is what runtimes have all of them in
    for found in candidates(node):
        name = written(w, node, found)
        if name is not None:
            return name
    return None


def candidates(node: Node) -> Iterator[LayerFormula]:
    """The layers that might end in a node."""
    yield from layers(node.type).get(type(node.op), ())
    yield from write_windows.candidates(node)


@lru_cache(maxsize=256)
def layers(type: TensorType) -> Mapping[Any, list[LayerFormula]]:
    """The layers with a result of a type, by the op that they end in."""
    found: dict[Any, list[LayerFormula]] = {}
    for layer in (*activations(type), *softmaxes(type), *layer_norms(type), *batch_norms(type)):
        found.setdefault(layer.formula.node.op.__class__, []).append(layer)
    return found


def activations(type: TensorType) -> Iterator[LayerFormula]:
    """Functions of one element."""
    x = hole(*type.shape)
    yield LayerFormula(nn.gelu(x), (x,), partial(pointwise, "Gelu"))
    tanh = partial(pointwise, "Gelu", approximate="tanh")
    yield LayerFormula(nn.gelu(x, approximate=True), (x,), tanh)
    yield LayerFormula(nn.leaky_relu(x, SENTINEL), (x,), partial(with_alpha, "LeakyRelu"))
    yield LayerFormula(nn.elu(x, SENTINEL), (x,), partial(with_alpha, "Elu"))
    yield LayerFormula(nn.selu(x), (x,), partial(pointwise, "Selu"))
    yield LayerFormula(nn.mish(x), (x,), partial(pointwise, "Mish"))
    yield LayerFormula(nn.hard_silu(x), (x,), partial(pointwise, "HardSwish"))
    hard = partial(pointwise, "HardSigmoid", alpha=1 / 6, beta=0.5)
    yield LayerFormula(nn.hard_sigmoid(x), (x,), hard)


def pointwise(kind: str, w: Writer, x: str, **attributes: Any) -> str:
    """A function of one element."""
    return w.pointwise(kind, x, **attributes)


def with_alpha(kind: str, w: Writer, x: str, number: float) -> str:
    """A function with a number."""
    return w.pointwise(kind, x, alpha=number)


def softmaxes(type: TensorType) -> Iterator[LayerFormula]:
    """Softmax and LogSoftmax along each axis."""
    x = hole(*type.shape)
    for axis in range(type.ndim):
        yield LayerFormula(nn.softmax(x, axis), (x,), partial(along, "Softmax", axis))
        yield LayerFormula(nn.log_softmax(x, axis), (x,), partial(along, "LogSoftmax", axis))


def along(kind: str, axis: int, w: Writer, x: str) -> str:
    """An operator along an axis."""
    return str(w.op(kind, x, axis=axis))


def layer_norms(type: TensorType) -> Iterator[LayerFormula]:
    """LayerNormalization over the last axes, with and without scale and bias."""
    x = hole(*type.shape)
    for axis, scaled, moved in product(range(type.ndim), (True, False), (True, False)):
        inner = type.shape[axis:]
        scale, bias = (hole(*inner) if given else None for given in (scaled, moved))
        formula = nn.layer_norm(x, scale, bias, tuple(range(axis, type.ndim)), SENTINEL)
        holes = tuple(t for t in (x, scale, bias) if t is not None)
        yield LayerFormula(formula, holes, partial(layer_norm, axis, None if scaled else inner))


def layer_norm(axis: int, ones: tuple[Size, ...] | None, w: Writer, x: str, *vectors: str) -> str:
    """LayerNormalization; the last of the vectors is the number, the scale may be ones."""
    *operands, epsilon = vectors
    if ones is not None:
        operands.insert(0, w.op("Expand", w.number(1, float32), w.sizes(ones)))
    return str(w.op("LayerNormalization", x, *operands, axis=axis, epsilon=epsilon))


def batch_norms(type: TensorType) -> Iterator[LayerFormula]:
    """BatchNormalization by stored statistics; the channels on axis 1 or last."""
    axes = [] if type.ndim < 2 else [1] if type.ndim == 2 else [1, type.ndim - 1]
    x = hole(*type.shape)
    for axis, scaled, moved in product(axes, (True, False), (True, False)):
        if not isinstance(type.shape[axis], int):
            continue
        mean, var, scale, bias = (hole(type.shape[axis]) for _ in range(4))
        scale_, bias_ = scale if scaled else None, bias if moved else None
        formula = nn.batch_norm(x, scale_, bias_, axis, SENTINEL, mean, var)
        holes = tuple(t for t in (x, mean, var, scale_, bias_) if t is not None)
        yield LayerFormula(formula, holes, partial(batch_norm, type, axis, scaled, moved))


def batch_norm(
    type: TensorType, axis: int, scaled: bool, moved: bool,
    w: Writer, x: str, mean: str, var: str, *vectors: Any,
) -> str:  # fmt: skip
    """BatchNormalization; the last of the vectors is the number, others may be ones or zeros."""
    *given, epsilon = vectors
    count, layout = type.shape[axis], FIRST if axis == 1 else LAST
    scale = given.pop(0) if scaled else w.constant(np.ones(count, "float32"))
    bias = given.pop(0) if moved else w.constant(np.zeros(count, "float32"))
    first = to_first(w, x, layout, type.ndim)
    y = w.op("BatchNormalization", first, scale, bias, mean, var, epsilon=epsilon)
    return from_first(w, y, layout, type.ndim)
