"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Any, NoReturn

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.control import scan
from graphc.frontend.functions.creation import size_as
from graphc.frontend.functions.indexing import narrowed
from graphc.frontend.functions.operands import widened
from graphc.frontend.tensor import Tensor, lift
from graphc.ir import graph as graphs
from graphc.ir.ops.failure import VALUE
from graphc.ir.types import int64
from graphc.nn.activations import log_softmax

NEVER = float("-inf")  # the logarithm of the probability of what cannot be


def ctc(
    logits: Tensor,
    labels: Tensor,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    blank: int = 0,
) -> Tensor:
    """-log P(labels | logits), summed over all alignments (Graves et al. 2006); shape (batch,).

    `logits` is (batch, time, classes), `labels` integers (batch, labels). The lengths, integers
    (batch,), say how much of each example counts (default: all); labels beyond are not looked at.
    An alignment writes a label at every time, or the blank; equal labels in a row are one, and
    blanks vanish. Where no alignment exists the loss is infinite and its gradient 0.
    A label or length out of range is a RuntimeCheckError when the function runs.
    """
    logits, labels = lift(logits), lift(labels)
    classes = _check(logits, labels, blank)
    time, count = logits.shape[1], labels.shape[1]
    times = _lengths("logit_lengths", logit_lengths, logits, time)
    lengths = _lengths("label_lengths", label_lengths, labels, count)
    path = _path(labels, lengths, blank, classes)
    logs = fn.permute_dims(log_softmax(widened(logits)), (1, 0, 2))
    states = (time, *path.shape)
    heard = fn.take_along_axis(logs, fn.broadcast_to(path, states), axis=2)
    # A state may follow itself, the one before and, over a blank, the one before that.
    skips = (path != blank) & (path != _shifted(path, 2, blank))
    place = fn.arange(path.shape[1], dtype="int64")
    start = fn.where(place == 0, 0.0, NEVER).astype(logs.dtype)

    def advance(alpha: Tensor, now: Any) -> tuple[Tensor, None]:
        step, emitted = now
        two = fn.where(skips, _shifted(alpha, 2, NEVER), NEVER)
        new = fn.logsumexp(fn.stack([alpha, _shifted(alpha, 1, NEVER), two]), axis=0) + emitted
        return fn.where(fn.expand_dims(step < times, axis=1), new, alpha), None

    first = fn.broadcast_to(start, path.shape)
    last, _ = scan(advance, first, (fn.arange(time, dtype="int64"), heard))
    final = fn.expand_dims(2 * lengths, axis=1)
    ends = (place == final) | (place == final - 1)
    total = fn.logsumexp(fn.where(ends, last, NEVER), axis=1)
    return fn.astype(-total, logits.dtype)


def _path(labels: Tensor, lengths: Tensor, blank: int, classes: int) -> Tensor:
    """The states of an alignment: a blank before, between and after the labels."""
    batch, count = labels.shape
    counted = fn.arange(count, dtype="int64") < fn.expand_dims(lengths, axis=1)
    labels = fn.where(counted, fn.astype(narrowed("ctc", labels), "int64"), blank)
    legal = ~counted | ((labels >= 0) & (labels < classes) & (labels != blank))
    text = f"ctc: a label is outside 0 to {classes - 1}, or the blank, {blank}{VALUE}"
    labels = fn.check(labels, legal, text)
    pairs = fn.stack([fn.full_like(labels, blank), labels], axis=2)
    inner = fn.reshape(pairs, (batch, 2 * count))
    return fn.concat([inner, fn.full((batch, 1), blank, dtype="int64")], axis=1)


def _shifted(x: Tensor, places: int, value: float) -> Tensor:
    """For every state what the one `places` before has, or the value where there is none."""
    return fn.pad(x, ((0, 0), (places, 0)), value=value)[:, : x.shape[1]]


def _lengths(name: str, given: Any, x: Tensor, most: Any) -> Tensor:
    """Lengths of axis 1 of x, checked; all of it by default."""
    if given is None:
        return fn.broadcast_to(size_as(most, int64), x.shape[:1])
    lengths = lift(given)
    if not lengths.dtype.is_integer:
        _fail(DTypeError, f"{name} must be integers, got {lengths.type}", lengths)
    if lengths.shape != x.shape[:1]:
        _fail(ShapeError, f"{name} must have shape ({x.shape[0]},), got {lengths.type}", x, lengths)
    lengths = fn.astype(narrowed("ctc", lengths), "int64")
    legal = (lengths >= 0) & (lengths <= size_as(most, int64))
    return fn.check(lengths, legal, f"ctc: one of the {name} is outside 0 to {most}{VALUE}")


def _check(logits: Tensor, labels: Tensor, blank: Any) -> int:
    """The number of classes; raises where logits and labels do not fit."""
    if not logits.dtype.is_float or logits.ndim != 3:
        _fail(
            ShapeError, f"logits must be floats (batch, time, classes), got {logits.type}", logits
        )
    if not labels.dtype.is_integer:
        _fail(DTypeError, f"labels must be integers, got {labels.type}", labels)
    if labels.ndim != 2 or labels.shape[0] != logits.shape[0]:
        text = f"labels must be ({logits.shape[0]}, labels) for logits {logits.type}"
        _fail(ShapeError, f"{text}, got {labels.type}", logits, labels)
    classes = logits.shape[2]
    if not isinstance(classes, int):
        _fail(ShapeError, f"the number of classes must be known, got {logits.type}", logits)
    if isinstance(blank, bool) or not isinstance(blank, int) or not 0 <= blank < classes:
        _fail(ArgumentError, f"blank must be one of the {classes} classes, got {blank!r}", logits)
    return classes


def _fail(kind: type[Exception], text: str, *tensors: Tensor) -> NoReturn:
    raise kind(  # type: ignore[call-arg]
        f"ctc: {text}",
        operands=graphs.describe(t.node for t in tensors),
        origin=origins.find_origin(),
    )
