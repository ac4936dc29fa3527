"""Softmax over very many classes, of which training looks at a few."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import cast, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir import graph as graphs
from graphc.ir import naming
from graphc.ir.ops.elementwise_random import BitExact
from graphc.ir.types import float64
from graphc.nn.losses import legal_labels, softmax_cross_entropy
from graphc.random import draw

DISTRIBUTIONS = ("log_uniform", "uniform")


def sampled_softmax(
    x: Tensor,
    table: Tensor,
    labels: Tensor,
    samples: int,
    bias: Tensor | None = None,
    distribution: str = "log_uniform",
    name: str | None = None,
) -> Tensor:
    """The cross-entropy of softmax(x @ table.T + bias) and labels, estimated from some classes.

    `x` is (..., units), `table` (classes, units), `labels` integers (...), whose shape the loss
    has. Every step draws `samples` classes, with replacement, for the whole batch. Those that are
    not the label, each divided by how often it is expected, stand for all others in the sum of
    the softmax, whose estimate is thus unbiased (Bengio and Senecal 2003). "log_uniform" fits
    classes in order of falling frequency: class k has probability
    log((k + 2) / (k + 1)) / log(classes + 1). Only rows that are looked at have a gradient.
    A label outside 0..classes-1 is a RuntimeCheckError. Evaluate with the whole softmax.
    """
    x, table, labels = lift(x), lift(table), lift(labels)
    classes = _check(x, table, labels, samples, bias, distribution)
    full = naming.scoped(name) if name else naming.automatic("sampled_softmax")
    drawn = candidates(classes, samples, distribution, full)
    legal = legal_labels("sampled_softmax", labels, classes)
    rows = fn.reshape(legal, (-1,)).astype("int64")
    flat = widened(fn.reshape(x, (rows.shape[0], x.shape[-1])))

    own = fn.sum(flat * widened(fn.take(table, rows, axis=0)), axis=-1)
    others = flat @ widened(fn.take(table, drawn, axis=0)).mT
    if bias is not None:
        own = own + fn.take(lift(bias), rows, axis=0)
        others = others + fn.take(lift(bias), drawn, axis=0)
    expected = samples * probability(drawn, classes, distribution)
    others = others - fn.astype(fn.log(expected), others.dtype)
    hits = fn.expand_dims(rows, axis=1) == drawn
    others = choose(hits, float("-inf"), others)
    logits = fn.concat([fn.expand_dims(own, axis=1), others], axis=1)
    loss = softmax_cross_entropy(logits, fn.zeros_like(rows))
    dtype = same_dtype("sampled_softmax", (x, table))[0].dtype
    return fn.reshape(cast(loss, dtype), labels.shape)


def candidates(classes: int, samples: int, distribution: str, full: str) -> Tensor:
    """The classes drawn, int64, from the random stream with this whole name."""
    unit = draw.unit_of(draw.stream((samples,), full), float64)
    if distribution == "uniform":
        place = fn.floor(unit * float(classes))
    else:
        place = fn.floor(lift_op(BitExact("exp"), unit * math.log(classes + 1))) - 1.0
    return fn.clip(fn.astype(place, "int64"), 0, classes - 1)


def probability(ids: Tensor, classes: int, distribution: str) -> Tensor:
    """The probability with which each class is drawn, float64."""
    if distribution == "uniform":
        return fn.full(ids.shape, 1.0 / classes, dtype=float64)
    return fn.log1p(1.0 / (fn.astype(ids, float64) + 1.0)) / math.log(classes + 1)


def _check(
    x: Tensor,
    table: Tensor,
    labels: Tensor,
    samples: object,
    bias: TensorLike | None,
    distribution: Any,
) -> int:
    """The number of classes; raises where the arguments do not fit."""
    if not x.dtype.is_float or not table.dtype.is_float:
        _fail(DTypeError, f"x and table must be floats, got {x.type} and {table.type}", x, table)
    if not labels.dtype.is_integer:
        _fail(DTypeError, f"labels must be integers, got {labels.type}", labels)
    if table.ndim != 2 or not isinstance(table.shape[0], int) or x.shape[-1:] != table.shape[1:]:
        text = f"table must be (classes, units) for x (..., units) {x.type}, got {table.type}"
        _fail(ShapeError, text, x, table)
    if labels.shape != x.shape[:-1]:
        text = f"labels must have the shape of x without the last axis, {x.type}[:-1]"
        _fail(ShapeError, f"{text}, got {labels.type}", x, labels)
    classes = table.shape[0]
    if not classes:
        _fail(ShapeError, f"table must have a class or more, got {table.type}", table)
    if bias is not None and lift(bias).shape != (classes,):
        _fail(ShapeError, f"bias must be ({classes},), got {lift(bias).type}", table, lift(bias))
    if not isinstance(samples, (int, np.integer)) or isinstance(samples, bool) or samples < 1:
        _fail(ArgumentError, f"samples must be an int of 1 or more, got {samples!r}")
    if distribution not in DISTRIBUTIONS:
        text = f"distribution must be one of {', '.join(DISTRIBUTIONS)}, got {distribution!r}"
        _fail(ArgumentError, text)
    return classes


def _fail(kind: type[Exception], text: str, *tensors: Tensor) -> NoReturn:
    raise kind(  # type: ignore[call-arg]
        f"sampled_softmax: {text}",
        operands=graphs.describe(t.node for t in tensors),
        origin=origins.find_origin(),
    )
