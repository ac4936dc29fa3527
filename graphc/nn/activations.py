"""Activation functions, element by element or along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakKeyDictionary

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import all_axes, cast, floating, widened
from graphc.frontend.functions.reductions import kept_shape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.ir.graph import Node
from graphc.ir.ops.activation import Relu
from graphc.ir.ops.elementwise_logic import StopGradient
from graphc.ir.ops.elementwise_math import Erf, Sigmoid, Softplus
from graphc.ir.ops.reduce import Max

ActivationLike: TypeAlias = str | Callable[[Tensor], Tensor] | None  # None: the identity


def identity(x: Tensor) -> Tensor:
    """Return x itself."""
    return lift(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""
    return lift_op(Relu(), lift(x))


def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """x where positive, slope * x elsewhere; the gradient at 0 is the slope."""
    return fn.where(x > 0, x, x * slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    negative = fn.where(x > 0, 0.0, x)  # keeps the branch not taken, and its gradient, finite
    return fn.where(x > 0, x, alpha * fn.expm1(negative))


def selu(x: Tensor) -> Tensor:
    """The self-normalising elu (Klambauer et al. 2017)."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))"""
    return lift_op(Sigmoid(), lift(x))


def hard_sigmoid(x: Tensor) -> Tensor:
    """clip(x / 6 + 1/2, 0, 1)"""
    return fn.clip(x * (1.0 / 6.0) + 0.5, 0.0, 1.0)


def hard_tanh(x: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    """x held between two bounds."""
    return fn.clip(x, low, high)


def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x), also called hard swish (Howard et al. 2019)."""
    return x * hard_sigmoid(x)


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere (Barron 2017)."""
    return fn.where(x > 0, x, alpha * fn.expm1(fn.where(x > 0, 0.0, x) / alpha))


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """x where positive, slope * x elsewhere; the slope is learnt (He et al. 2015)."""
    return fn.where(x > 0, x, x * slope)


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2017)."""
    value, gate = fn.split(x, 2, axis=axis)
    return value * sigmoid(gate)


def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return -softplus(-x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return fn.tanh(x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), without overflow."""
    return lift_op(Softplus(), lift(x))


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return x / (1.0 + fn.abs(x))


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish."""
    return x * sigmoid(x)


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)) (Misra 2019)."""
    wide = widened(x)
    return cast(wide * fn.tanh(softplus(wide)), x.dtype)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the normal distribution function (Hendrycks and Gimpel 2016), or its tanh form."""
    wide = widened(x)
    if approximate:
        inner = wide + 0.044715 * (wide * wide * wide)
        step = fn.tanh(inner * math.sqrt(2.0 / math.pi))
    else:
        step = lift_op(Erf(), wide * math.sqrt(0.5))
    return cast(0.5 * wide * (1.0 + step), x.dtype)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, without overflow."""
    x = floating("softmax", x)
    powers = fn.exp(shifted("softmax", x, axis))
    result = cast(powers / fn.sum(powers, axis=axis, keepdims=True), x.dtype)
    if axis in (-1, x.ndim - 1):
        _LOGITS[result.node] = x
    return result


def softmax_logits(x: Tensor) -> Tensor | None:
    """What a tensor is the softmax of, along the last axis; None for any other."""
    return _LOGITS.get(x.node)


_LOGITS: WeakKeyDictionary[Node, Tensor] = WeakKeyDictionary()


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)), without cancellation."""
    x = floating("log_softmax", x)
    moved = shifted("log_softmax", x, axis)
    return cast(moved - fn.log(fn.sum(fn.exp(moved), axis=axis, keepdims=True)), x.dtype)


def shifted(name: str, x: Tensor, axis: int) -> Tensor:
    """x minus its maximum along an axis, 16-bit floats as float32; no function built on it here
    depends on the shift, so the maximum counts as a constant to derivatives."""
    x = floating(name, x)
    axes = tuple(sorted(all_axes(name, axis, x.ndim, (x,))))
    x = widened(x)
    top = fn.reshape(lift_op(Max(axes, shift=True), x), kept_shape(x, axes))
    return x - lift_op(StopGradient(), top)


def find(activation: ActivationLike) -> Callable[[Tensor], Tensor]:
    """The function that a name, a function or None stands for."""
    if activation is None:
        return identity
    if callable(activation):
        return activation
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    raise ArgumentError(
        f"no activation is called {activation!r}", hint="one of " + ", ".join(ACTIVATIONS)
    )


_ALL = (
    identity, relu, leaky_relu, elu, selu, sigmoid, hard_sigmoid, tanh, softplus, softsign,
    silu, mish, gelu, softmax, log_softmax, hard_tanh, hard_silu, celu, glu, log_sigmoid,
)  # fmt: skip

ACTIVATIONS = {f.__name__: f for f in _ALL}
