"""Losses per example, and metrics.

A loss reduces nothing but the axis it is defined over: take `.mean()` for a number to minimise.
"""

from __future__ import annotations

from typing import NoReturn

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.indexing import narrowed
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, fail, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.ops import leaf
from graphc.ir.ops.failure import VALUE
from graphc.ir.ops.gather import Guard
from graphc.ir.types import DType, float32, int32, int64
from graphc.nn.activations import relu, shifted, softplus


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
            hint=_label_hint(logits, labels),
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


def _label_hint(logits: Tensor, labels: Tensor) -> str | None:
    if labels.shape == (*logits.shape[:-1], 1):
        return "labels[..., 0] would fit"
    if labels.shape == logits.shape:
        return "a distribution over the classes is given as floats: astype('float32')"
    return None


def sigmoid_cross_entropy(logits: Tensor, labels: TensorLike) -> Tensor:
    """-labels log sigmoid(x) - (1 - labels) log(1 - sigmoid(x)), element by element.

    As in all losses of two operands here, shapes must be equal; a number may stand for one.
    """
    x, y, dtype = _pair("sigmoid_cross_entropy", ("logits", "labels"), logits, labels)
    return cast(softplus(x) - x * y, dtype)


def mse(prediction: Tensor, target: TensorLike) -> Tensor:
    """(prediction - target)^2, element by element."""
    x, y, dtype = _pair("mse", ("prediction", "target"), prediction, target)
    difference = x - y
    return cast(difference * difference, dtype)


def mae(prediction: Tensor, target: TensorLike) -> Tensor:
    """|prediction - target|, element by element; the gradient at 0 is 0."""
    x, y, dtype = _pair("mae", ("prediction", "target"), prediction, target)
    return cast(fn.abs(x - y), dtype)


def huber(prediction: Tensor, target: TensorLike, delta: float = 1.0) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), element by element."""
    if not delta > 0:
        raise ArgumentError(f"huber: delta must be positive, got {delta}")
    x, y, dtype = _pair("huber", ("prediction", "target"), prediction, target)
    difference = x - y
    size = fn.abs(difference)
    near = 0.5 * (difference * difference)
    return cast(fn.where(size <= delta, near, delta * (size - 0.5 * delta)), dtype)


def hinge(scores: Tensor, labels: TensorLike) -> Tensor:
    """max(0, 1 - labels * scores) for labels -1 and 1, element by element."""
    x, y, dtype = _pair("hinge", ("scores", "labels"), scores, labels)
    return cast(relu(1.0 - x * y), dtype)


def kl_divergence(p: Tensor, q: Tensor, axis: int = -1) -> Tensor:
    """sum of p log(p / q) along an axis, for distributions of one shape; 0 log 0 is 0."""
    p, q, dtype = _pair("kl_divergence", ("p", "q"), p, q)
    some = p > 0
    ratio = fn.log(fn.where(some, p, 1.0)) - fn.log(fn.where(some, q, 1.0))
    return cast(fn.sum(fn.where(some, p * ratio, 0.0), axis=axis), dtype)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of examples whose largest logit is the label's, a float32 of rank 0.

    Logits have one axis more than labels, the classes; of equal logits the first counts. With
    logits of the labels' shape, a positive logit says 1.
    """
    logits, labels = lift(logits), lift(labels)
    if logits.shape == labels.shape:
        right = (logits > 0) == (labels != 0)
    elif logits.shape == (*labels.shape, 1) or logits.shape[:-1] != labels.shape:
        _refuse_shapes("accuracy", ("logits", "labels"), logits, labels)
    else:
        chosen = fn.argmax(logits, axis=-1)
        right = chosen == fn.astype(labels, chosen.dtype)
    return fn.mean(fn.astype(right, float32))


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 5) -> Tensor:
    """The share of examples whose label is among the k largest logits, a float32 of rank 0.

    Of equal logits the first counts as larger, NaN as larger than every number.
    """
    logits, labels = lift(logits), lift(labels)
    if k < 1:
        raise ArgumentError(f"top_k_accuracy: k must be at least 1, got {k}")
    hot = class_mask("top_k_accuracy", logits, labels)
    mine = fn.sum(choose(hot, logits, 0.0), axis=-1, keepdims=True)
    classes = lift_op(leaf.Iota(logits.shape, len(logits.shape) - 1, int64))
    earlier = classes < fn.expand_dims(fn.astype(labels, int64), axis=-1)
    before = (logits > mine) | ((logits == mine) & earlier)
    unknown = fn.isnan(logits)  # larger than every number, as in topk
    before = fn.where(unknown, ~fn.isnan(mine) | earlier, before)
    rank = fn.sum(fn.astype(before, int32), axis=-1)
    return fn.mean(fn.astype(rank < k, float32))


def _pair(
    name: str, roles: tuple[str, str], prediction: TensorLike, target: TensorLike
) -> tuple[Tensor, Tensor, DType]:
    """Two operands of one shape (or one of them a number), the second in the dtype of the first;
    16-bit floats as float32; and the dtype of the result.

    Broadcasting here would pair every prediction with every target. Bools, integers and arrays
    convert.
    """
    x = lift(prediction)
    y = lift(target, x.dtype)
    if x.dtype.is_float and (not isinstance(target, Tensor) or not y.dtype.is_float):
        y = fn.astype(y, x.dtype)
    if x.shape != y.shape and x.ndim and y.ndim:
        _refuse_shapes(name, roles, x, y)
    dtype = same_dtype(name, (x, y))[0].dtype
    return widened(x), widened(y), dtype


def _refuse_shapes(name: str, roles: tuple[str, str], x: Tensor, y: Tensor) -> NoReturn:
    """Complain about two operands of a loss or metric, with what would make them fit."""
    hint = None
    for (role, t), (other, u) in (((roles[0], x), (roles[1], y)), ((roles[1], y), (roles[0], x))):
        if t.shape == (*u.shape, 1):
            hint = f"{role}[..., 0] has the shape of {other}"
        elif u.shape == t.shape[t.ndim - u.ndim :]:
            hint = f"gx.broadcast_to({other}, {role}.shape) where every {role} meets {other}"
    wanted = "must have one shape"
    if name == "accuracy":
        wanted += ", or the logits one axis of classes more"
        hint = hint or _label_hint(x, y)
    fail(
        ShapeError,
        f"{name}: {roles[0]} and {roles[1]} {wanted}: {x.type} vs {y.type}",
        (x, y),
        hint,
    )


def _fail(
    kind: type[DTypeError] | type[ShapeError], text: str, *tensors: Tensor, hint: str | None = None
) -> None:
    raise kind(
        f"softmax_cross_entropy: {text}",
        operands=graphs.describe([t.node for t in tensors]),
        origin=origins.find_origin(),
        hint=hint,
    )
