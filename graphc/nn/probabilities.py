"""Cross-entropies of probabilities, under Keras' names, and losses that look at hard examples.

Outputs that are a softmax or a sigmoid are seen through: the loss is that of the logits, which
neither overflows nor cancels, with a gradient everywhere.
"""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, widened
from graphc.frontend.tensor import Tensor, handle, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.ops.elementwise_math import Sigmoid
from graphc.nn.activations import log_sigmoid, log_softmax, sigmoid, softmax_logits
from graphc.nn.losses import class_mask, sigmoid_cross_entropy, softmax_cross_entropy
from graphc.nn.pairs import paired


def categorical_crossentropy(
    probabilities: Tensor, labels: Tensor, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> Tensor:
    """-sum of labels * log(probabilities) along the last axis, for one-hot labels or distributions
    of the shape of the probabilities; (..., classes) twice give (...).

    Integer labels without the class axis are taken as well. Probabilities below `epsilon` count
    as that, but a softmax is seen through. `label_smoothing` as in softmax_cross_entropy.
    """
    p, t = lift(probabilities), lift(labels)
    logits = softmax_logits(p)
    if t.shape == p.shape and not t.dtype.is_float:
        t = fn.astype(t, p.dtype)  # one-hot integers
    if logits is not None:
        return softmax_cross_entropy(logits, t, label_smoothing)
    logs = fn.log(fn.maximum(widened(p), epsilon))
    if t.shape != p.shape:
        mine = fn.sum(choose(class_mask("categorical_crossentropy", p, t), logs, 0.0), axis=-1)
        return cast(_smoothed(-mine, logs, label_smoothing), p.dtype)
    _, wide, dtype = paired("categorical_crossentropy", ("probabilities", "labels"), p, t)
    return cast(_smoothed(-fn.sum(wide * logs, axis=-1), logs, label_smoothing), dtype)


def sparse_categorical_crossentropy(
    probabilities: Tensor, labels: Tensor, epsilon: float = 1e-7
) -> Tensor:
    """-log(probability of the label) along the last axis, for integer labels; see
    categorical_crossentropy."""
    p, t = lift(probabilities), lift(labels)
    if t.shape == (*p.shape[:-1], 1):
        t = fn.squeeze(t, -1)  # as Keras takes them
    class_mask("sparse_categorical_crossentropy", p, t)
    return categorical_crossentropy(p, t, epsilon=epsilon)


def binary_crossentropy(
    probabilities: Tensor, labels: TensorLike, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> Tensor:
    """-labels log(p) - (1 - labels) log(1 - p), element by element.

    Probabilities are held `epsilon` away from 0 and 1, but a sigmoid is seen through.
    `label_smoothing` s moves labels to (1 - s) * labels + s / 2.
    """
    p = lift(probabilities)
    if isinstance(p.node.op, Sigmoid):
        return sigmoid_cross_entropy(handle(p.node.inputs[0]), labels, label_smoothing)
    x, y, dtype = paired("binary_crossentropy", ("probabilities", "labels"), p, labels)
    y = smoothed_labels("binary_crossentropy", y, label_smoothing)
    x = fn.clip(x, epsilon, 1.0 - epsilon)
    return cast(-(y * fn.log(x) + (1.0 - y) * fn.log1p(-x)), dtype)


def sigmoid_focal(
    logits: Tensor, labels: TensorLike, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """-(1 - p)^gamma log(p) with the probability p of the label, 0 or 1, element by element.

    Examples that are right already count little (Lin et al. 2017). `alpha` weighs ones with alpha
    and zeros with 1 - alpha.
    """
    _check_focal("sigmoid_focal", gamma, alpha)
    x, y, dtype = paired("sigmoid_focal", ("logits", "labels"), logits, labels)
    ones = -log_sigmoid(x) * _power(sigmoid(-x), gamma)
    zeros = -log_sigmoid(-x) * _power(sigmoid(x), gamma)
    if alpha is not None:
        ones, zeros = alpha * ones, (1.0 - alpha) * zeros
    return cast(y * ones + (1.0 - y) * zeros, dtype)


def softmax_focal(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """-(1 - p)^gamma log(p) with p = softmax(logits)[label]; the shape of the integer labels
    (Lin et al. 2017)."""
    _check_focal("softmax_focal", gamma, None)
    logits, labels = lift(logits), lift(labels)
    hot = class_mask("softmax_focal", logits, labels)
    logs = log_softmax(widened(logits))
    mine = fn.sum(choose(hot, logs, 0.0), axis=-1)
    others = fn.sum(choose(hot, 0.0, fn.exp(logs)), axis=-1)  # 1 - p, without cancellation
    return cast(-mine * _power(others, gamma), logits.dtype)


def smoothed_labels(name: str, labels: Tensor, smoothing: float) -> Tensor:
    """Labels of 0 and 1, moved towards 1/2."""
    if not 0.0 <= smoothing <= 1.0:
        raise ArgumentError(f"{name}: label_smoothing must be between 0 and 1, got {smoothing}")
    return labels if not smoothing else (1.0 - smoothing) * labels + 0.5 * smoothing


def _smoothed(loss: Tensor, logs: Tensor, smoothing: float) -> Tensor:
    if not 0.0 <= smoothing <= 1.0:
        raise ArgumentError(f"label_smoothing must be between 0 and 1, got {smoothing}")
    if not smoothing:
        return loss
    return (1.0 - smoothing) * loss - smoothing * fn.mean(logs, axis=-1)


def _power(x: Tensor, gamma: float) -> Tensor:
    """x^gamma for x from 0, with the finite gradient 0 at 0."""
    if gamma == 0:
        return x * 0.0 + 1.0
    if gamma in (1.0, 2.0):
        return x if gamma == 1.0 else x * x
    some = x > 0
    return fn.where(some, fn.where(some, x, 1.0) ** gamma, 0.0)


def _check_focal(name: str, gamma: float, alpha: float | None) -> None:
    if not gamma >= 0:
        raise ArgumentError(f"{name}: gamma must not be negative, got {gamma}")
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise ArgumentError(f"{name}: alpha must be between 0 and 1, got {alpha}")
