"""How often outputs are right."""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.ir.graph import describe
from graphc.ir.ops import leaf
from graphc.ir.types import float32, int32, int64
from graphc.nn.losses import class_mask
from graphc.nn.pairs import refuse_shapes


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of examples whose largest logit is the label's, a float32 of rank 0.

    Logits have one axis more than labels, the classes; of equal logits the first counts. With
    logits of the labels' shape, a positive logit says 1.
    """
    return fn.mean(fn.astype(are_right(logits, labels), float32))


def are_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Bools of the shape of the labels; see `accuracy`."""
    logits, labels = lift(logits), lift(labels)
    if logits.shape == labels.shape:
        return (logits > 0) == (labels != 0)
    if logits.shape == (*labels.shape, 1) or logits.shape[:-1] != labels.shape:
        refuse_shapes("accuracy", ("logits", "labels"), logits, labels)
    chosen = fn.argmax(logits, axis=-1)
    return chosen == fn.astype(labels, chosen.dtype)


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 5) -> Tensor:
    """The share of examples whose label is among the k largest logits, a float32 of rank 0.

    Of equal logits the first counts as larger, NaN as larger than every number.
    """
    if k < 1:
        raise ArgumentError(f"top_k_accuracy: k must be at least 1, got {k}")
    classes = lift(logits).shape[-1] if lift(logits).ndim else None
    if isinstance(classes, int) and k > classes:
        raise ArgumentError(
            f"top_k_accuracy: k must be at most the number of classes, {classes}, got {k}",
            operands=describe((lift(logits).node,)),
        )
    return fn.mean(fn.astype(rank_of_label(logits, labels) < k, float32))


def rank_of_label(logits: Tensor, labels: Tensor) -> Tensor:
    """How many logits come before the label's, int32 of the shape of the labels."""
    logits, labels = lift(logits), lift(labels)
    hot = class_mask("top_k_accuracy", logits, labels)
    mine = fn.sum(choose(hot, logits, 0.0), axis=-1, keepdims=True)
    classes = lift_op(leaf.Iota(logits.shape, len(logits.shape) - 1, int64))
    earlier = classes < fn.expand_dims(fn.astype(labels, int64), axis=-1)
    before = (logits > mine) | ((logits == mine) & earlier)
    unknown = fn.isnan(logits)  # larger than every number, as in topk
    before = fn.where(unknown, ~fn.isnan(mine) | earlier, before)
    return fn.sum(fn.astype(before, int32), axis=-1)
