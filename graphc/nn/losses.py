"""Losses per example: cross-entropies and divergences.

A loss reduces nothing but the axis it is defined over: take `.mean()` for a number to minimise.
"""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.indexing import narrowed
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.ops import leaf
from graphc.ir.ops.failure import VALUE
from graphc.ir.ops.gather import Guard
from graphc.ir.types import int32, int64
from graphc.nn.activations import shifted, softplus
from graphc.nn.pairs import label_hint, paired


def softmax_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(logits)[label] along the last axis; the shape of the integer labels.

    A label outside 0..C-1 is a RuntimeCheckError when the function runs. Labels may also be
    floats of the shape of the logits: a distribution over the classes for every example.
    `label_smoothing` s takes s of the weight from the label and spreads it over all classes.
    """
    logits, labels = lift(logits), lift(labels)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"label_smoothing must be between 0 and 1, got {label_smoothing}")
    if not logits.shape or not logits.dtype.is_float:
        _fail(DTypeError, f"logits must be floats with a class axis, got {logits.type}", logits)
    if labels.dtype.is_float:
        return _soft_cross_entropy(logits, labels, label_smoothing)
    moved = shifted("softmax_cross_entropy", logits, -1)
    total = fn.log(fn.sum(fn.exp(moved), axis=-1))
    hot = class_mask("softmax_cross_entropy", logits, labels)
    loss = total - fn.sum(choose(hot, moved, 0.0), axis=-1)
    if label_smoothing:
        even = total - fn.mean(moved, axis=-1)
        loss = (1.0 - label_smoothing) * loss + label_smoothing * even
    return fn.astype(loss, logits.dtype)


def _soft_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    if labels.shape != logits.shape:
        _fail(
            ShapeError,
            f"float labels must have the logits' shape {logits.type}, got {labels.type}",
            logits,
            labels,
            hint="integer labels have the shape without the class axis: astype('int32')",
        )
    moved = shifted("softmax_cross_entropy", logits, -1)
    total = fn.log(fn.sum(fn.exp(moved), axis=-1, keepdims=True))
    weights = fn.astype(labels, moved.dtype)
    if smoothing:
        share = fn.mean(weights, axis=-1, keepdims=True)
        weights = (1.0 - smoothing) * weights + smoothing * share
    terms = fn.where(weights == 0, 0.0, weights * (total - moved))
    return fn.astype(fn.sum(terms, axis=-1), logits.dtype)


def class_mask(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Bools of the shape of the logits: where the class is the label; checks the labels."""
    if not labels.dtype.is_integer:
        _fail(DTypeError, f"labels must be integers, got {labels.type}", logits, labels)
    if labels.shape != logits.shape[:-1]:
        _fail(
            ShapeError,
            f"labels must have the logits' shape without the last axis, {logits.type}[:-1],"
            f" got {labels.type}",
            logits,
            labels,
            hint=label_hint(logits, labels),
        )
    index = legal_labels(name, labels, logits.shape[-1])
    numbers = lift_op(leaf.Iota(logits.shape, len(logits.shape) - 1, index.dtype))
    return numbers == fn.expand_dims(index, axis=-1)


def legal_labels(name: str, labels: Tensor, classes: Size) -> Tensor:
    """Labels as int32 or int64, after a check that they are among the classes."""
    labels = narrowed(name, labels)
    index = fn.astype(labels, int32 if labels.dtype.bits < 32 or labels.dtype == int32 else int64)
    count = fn.astype(lift_op(leaf.SizeOf(classes)), index.dtype)
    valid = (index >= 0) & (index < count)
    message = f"{name}: a label is outside 0 to {{last}}{VALUE}"
    return lift_op(Guard(message, classes), index, valid)


def sigmoid_cross_entropy(
    logits: Tensor, labels: TensorLike, label_smoothing: float = 0.0
) -> Tensor:
    """-labels log sigmoid(x) - (1 - labels) log(1 - sigmoid(x)), element by element.

    As in all losses of two operands here, shapes must be equal; a number may stand for one.
    `label_smoothing` s moves labels to (1 - s) * labels + s / 2.
    """
    x, y, dtype = paired("sigmoid_cross_entropy", ("logits", "labels"), logits, labels)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"label_smoothing must be between 0 and 1, got {label_smoothing}")
    if label_smoothing:
        y = (1.0 - label_smoothing) * y + 0.5 * label_smoothing
    return cast(softplus(x) - x * y, dtype)


def kl_divergence(p: Tensor, q: Tensor, axis: int = -1) -> Tensor:
    """sum of p log(p / q) along an axis, for distributions of one shape; 0 log 0 is 0."""
    p, q, dtype = paired("kl_divergence", ("p", "q"), p, q)
    some = p > 0
    ratio = fn.log(fn.where(some, p, 1.0)) - fn.log(fn.where(some, q, 1.0))
    return cast(fn.sum(fn.where(some, p * ratio, 0.0), axis=axis), dtype)


def _fail(
    kind: type[DTypeError] | type[ShapeError], text: str, *tensors: Tensor, hint: str | None = None
) -> None:
    raise kind(
        f"softmax_cross_entropy: {text}",
        operands=graphs.describe([t.node for t in tensors]),
        origin=origins.find_origin(),
        hint=hint,
    )
