"""The optimisers and gradients of the preview domain of training."""

from __future__ import annotations

from collections.abc import Callable

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import Converter, OnnxNode, Result, Table


def optimizer(update: Callable[..., tuple[Tensor, ...]], states: int) -> Converter:
    """A rule for several tensors: operands are rate, step, all tensors, all gradients, all states.

    Returns all new tensors, then all new states of each kind.
    """

    def convert(call: OnnxNode) -> Result:
        rate, step = call.x(0), call.x(1)
        count = (len(call.inputs) - 2) // (2 + states)
        groups = [[call.x(2 + k * count + i) for i in range(count)] for k in range(2 + states)]
        new = [update(call, rate, step, *parts) for parts in zip(*groups)]
        return tuple(t for kind in zip(*new) for t in kind)

    return convert


def adagrad(
    call: OnnxNode, rate: Tensor, step: Tensor, x: Tensor, g: Tensor, h: Tensor
) -> tuple[Tensor, ...]:
    """Steps divided by the root of all squared gradients."""
    g = g + call["norm_coefficient"] * x
    rate = rate / (1.0 + gx.astype(step, rate.dtype) * call["decay_factor"])
    h = h + g * g
    return x - rate * g / (gx.sqrt(h) + call["epsilon"]), h


def adam(
    call: OnnxNode, rate: Tensor, step: Tensor, x: Tensor, g: Tensor, v: Tensor, h: Tensor
) -> tuple[Tensor, ...]:
    """Steps along the mean gradient over the root of the mean square."""
    alpha, beta = call["alpha"], call["beta"]
    g = g + call["norm_coefficient"] * x
    v = alpha * v + (1.0 - alpha) * g
    h = beta * h + (1.0 - beta) * (g * g)
    t = gx.astype(step, rate.dtype)
    some = gx.maximum(t, 1.0)
    corrected = rate * gx.sqrt(1.0 - gx.pow(beta, some)) / (1.0 - gx.pow(alpha, some))
    rate = gx.where(t > 0, corrected, rate)
    new = x - rate * v / (gx.sqrt(h) + call["epsilon"])
    return (1.0 - call["norm_coefficient_post"]) * new, v, h


def momentum(
    call: OnnxNode, rate: Tensor, step: Tensor, x: Tensor, g: Tensor, v: Tensor
) -> tuple[Tensor, ...]:
    """Steps along a running sum of gradients, in Nesterov's form looking ahead."""
    alpha = call["alpha"]
    g = g + call["norm_coefficient"] * x
    v = alpha * v + gx.where(step > 0, call["beta"], 1.0) * g
    return x - rate * (g + alpha * v if call["mode"] == "nesterov" else v), v


def gradient(call: OnnxNode) -> Result:
    """The derivatives of a value of the graph by others."""
    y = call.scope.find(call["y"], call.node).tensor
    xs = [call.scope.find(name, call.node).tensor for name in call["xs"]]
    return tuple(gx.grad(gx.sum(y, dtype=y.dtype), xs, unreachable="zero"))


TRAINING = "ai.onnx.preview.training."
TABLE: Table = {
    (TRAINING + "Adagrad", 1): optimizer(adagrad, 1),
    (TRAINING + "Adam", 1): optimizer(adam, 2),
    (TRAINING + "Momentum", 1): optimizer(momentum, 1),
    (TRAINING + "Gradient", 1): gradient,
}
