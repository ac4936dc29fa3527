"""Losses of numbers: squares, absolute values, likelihoods of counts and of normal noise."""

from __future__ import annotations

import math

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import cast
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.nn.activations import softplus
from graphc.nn.pairs import paired


def mse(prediction: Tensor, target: TensorLike) -> Tensor:
    """(prediction - target)^2, element by element."""
    x, y, dtype = paired("mse", ("prediction", "target"), prediction, target)
    difference = x - y
    return cast(difference * difference, dtype)


def mae(prediction: Tensor, target: TensorLike) -> Tensor:
    """|prediction - target|, element by element; the gradient at 0 is 0."""
    x, y, dtype = paired("mae", ("prediction", "target"), prediction, target)
    return cast(fn.abs(x - y), dtype)


def huber(prediction: Tensor, target: TensorLike, delta: float = 1.0) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), element by element."""
    if not delta > 0:
        raise ArgumentError(f"huber: delta must be positive, got {delta}")
    x, y, dtype = paired("huber", ("prediction", "target"), prediction, target)
    difference = x - y
    size = fn.abs(difference)
    near = 0.5 * (difference * difference)
    return cast(fn.where(size <= delta, near, delta * (size - 0.5 * delta)), dtype)


def log_cosh(prediction: Tensor, target: TensorLike) -> Tensor:
    """log(cosh(prediction - target)), element by element, without overflow.

    About d^2 / 2 near 0 and |d| - log 2 far away, smooth in between.
    """
    x, y, dtype = paired("log_cosh", ("prediction", "target"), prediction, target)
    size = fn.abs(x - y)
    far = size + softplus(-2.0 * size) - math.log(2.0)  # cancels near 0
    half = fn.sinh(0.5 * fn.minimum(size, 1.0))
    return cast(fn.where(size < 1.0, fn.log1p(2.0 * half * half), far), dtype)


def quantile(prediction: Tensor, target: TensorLike, q: float = 0.5) -> Tensor:
    """max(q d, (q - 1) d) with d = target - prediction, element by element (Koenker and Bassett
    1978), whose mean is least at the q-quantile of the targets."""
    if not 0.0 < q < 1.0:
        raise ArgumentError(f"quantile: q must be in (0, 1), got {q}")
    x, y, dtype = paired("quantile", ("prediction", "target"), prediction, target)
    d = y - x
    return cast(fn.maximum(q * d, (q - 1.0) * d), dtype)


def poisson(prediction: Tensor, target: TensorLike, log_input: bool = True) -> Tensor:
    """rate - target log(rate), the likelihood of counts but for a constant, element by element.

    The prediction is log(rate); with `log_input=False` the rate itself, where 0 log 0 is 0.
    """
    x, y, dtype = paired("poisson", ("prediction", "target"), prediction, target)
    if log_input:
        return cast(fn.exp(x) - y * x, dtype)
    none = y == 0
    logs = fn.log(fn.where(none, 1.0, x))
    return cast(x - fn.where(none, 0.0, y * logs), dtype)


def gaussian_nll(
    prediction: Tensor, target: TensorLike, variance: TensorLike, epsilon: float = 1e-6
) -> Tensor:
    """(log(variance) + (prediction - target)^2 / variance) / 2, element by element: the likelihood
    of normal noise but for a constant (Nix and Weigend 1994).

    Variances below `epsilon` count as that; a number stands for all.
    """
    if not epsilon > 0:
        raise ArgumentError(f"gaussian_nll: epsilon must be positive, got {epsilon}")
    x, y, dtype = paired("gaussian_nll", ("prediction", "target"), prediction, target)
    _, v, _ = paired("gaussian_nll", ("prediction", "variance"), prediction, variance)
    least = fn.maximum(v, epsilon)
    d = x - y
    return cast(0.5 * (fn.log(least) + d * d / least), dtype)
