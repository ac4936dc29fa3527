"""Losses that want a distance between scores, or between embeddings."""

from __future__ import annotations

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, fail, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.types import int64
from graphc.nn.activations import relu, softplus
from graphc.nn.losses import class_mask, softmax_cross_entropy
from graphc.nn.pairs import paired


def hinge(scores: Tensor, labels: TensorLike) -> Tensor:
    """max(0, 1 - labels * scores) for labels -1 and 1, element by element."""
    x, y, dtype = paired("hinge", ("scores", "labels"), scores, labels)
    return cast(relu(1.0 - x * y), dtype)


def squared_hinge(scores: Tensor, labels: TensorLike) -> Tensor:
    """max(0, 1 - labels * scores)^2 for labels -1 and 1, element by element."""
    x, y, dtype = paired("squared_hinge", ("scores", "labels"), scores, labels)
    short = relu(1.0 - x * y)
    return cast(short * short, dtype)


def categorical_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """max(0, 1 + the largest other score - the label's), for (..., classes) and integer labels
    (...) (Crammer and Singer 2001)."""
    scores, labels = lift(scores), lift(labels)
    hot = class_mask("categorical_hinge", scores, labels)
    wide = widened(scores)
    mine = fn.sum(choose(hot, wide, 0.0), axis=-1)
    other = fn.max(choose(hot, float("-inf"), wide), axis=-1)
    return cast(relu(1.0 + other - mine), scores.dtype)


def contrastive(a: Tensor, b: Tensor, same: TensorLike, margin: float = 1.0) -> Tensor:
    """Pull pairs together or push them apart to a margin (Hadsell, Chopra and LeCun 2006).

    same * d^2 + (1 - same) * max(0, margin - d)^2 with d = |a - b|; (..., features) twice and
    (...) zeros and ones give (...).
    """
    _check_margin("contrastive", margin)
    x, y, dtype = paired("contrastive", ("a", "b"), a, b)
    square, d = _distance(x, y)
    _, together, _ = paired("contrastive", ("the distances", "same"), d, same)
    apart = relu(margin - d)
    return cast(together * square + (1.0 - together) * (apart * apart), dtype)


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin), for (..., features) three times
    (Schroff, Kalenichenko and Philbin 2015, with distances as they are)."""
    _check_margin("triplet", margin)
    x, y, dtype = paired("triplet", ("anchor", "positive"), anchor, positive)
    _, z, _ = paired("triplet", ("anchor", "negative"), anchor, negative)
    return cast(relu(_distance(x, y)[1] - _distance(x, z)[1] + margin), dtype)


def info_nce(
    queries: Tensor, keys: Tensor, temperature: float = 0.1, symmetric: bool = False
) -> Tensor:
    """Which key belongs to a query, among all of the batch (van den Oord, Li and Vinyals 2018).

    The cross-entropy of queries @ keys.mT / temperature with the key of the same row, for
    (n, features) twice; the result is (n,). `symmetric` is the mean with the same for keys
    (Radford et al. 2021). Normalise both with `l2_normalize` for cosines.
    """
    if not temperature > 0:
        raise ArgumentError(f"info_nce: temperature must be positive, got {temperature}")
    q, k = lift(queries), lift(keys)
    if q.ndim != 2 or q.shape != k.shape:
        text = f"info_nce: queries and keys must be (n, features) both: {q.type} vs {k.type}"
        fail(ShapeError, text, (q, k))
    q, k = same_dtype("info_nce", (q, k))
    scores = widened(q) @ fn.matrix_transpose(widened(k)) / temperature
    rows = fn.arange(q.shape[0], dtype=int64)
    loss = softmax_cross_entropy(scores, rows)
    if symmetric:
        loss = 0.5 * (loss + softmax_cross_entropy(fn.matrix_transpose(scores), rows))
    return cast(loss, q.dtype)


def nce(
    scores: Tensor, noise_scores: Tensor, log_prior: TensorLike, noise_log_prior: TensorLike
) -> Tensor:
    """Tell the data from k draws of noise each (Gutmann and Hyvarinen 2010).

    -log s(score - log k - log_prior) - sum of log(1 - s(noise_score - log k - noise_log_prior))
    with the sigmoid s: scores (n,) of the data, (n, k) of the noise, and how probable the noise
    holds either, as logarithms of the same shapes. The result is (n,).
    """
    x, p, dtype = paired("nce", ("scores", "log_prior"), scores, log_prior)
    y, q, _ = paired("nce", ("noise_scores", "noise_log_prior"), noise_scores, noise_log_prior)
    if y.ndim != x.ndim + 1 or y.shape[:-1] != x.shape:
        text = f"nce: noise_scores must have one axis more than scores: {x.type} vs {y.type}"
        fail(ShapeError, text, (x, y))
    count = fn.log(fn.astype(fn.asarray(y.shape[-1]), x.dtype))
    return cast(softplus(count + p - x) + fn.sum(softplus(y - q - count), axis=-1), dtype)


def _distance(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The square of the Euclidean distance along the last axis, and itself; its gradient at 0 is
    0."""
    d = x - y
    square = fn.sum(d * d, axis=-1)
    some = square > 0
    return square, fn.where(some, fn.sqrt(fn.where(some, square, 1.0)), 0.0)


def _check_margin(name: str, margin: float) -> None:
    if not margin > 0:
        raise ArgumentError(f"{name}: margin must be positive, got {margin}")
