"""Elementary functions and activations."""

from __future__ import annotations

from collections.abc import Callable

import graphc as gx
from graphc import nn
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import Converter, OnnxNode, Result, Table
from graphc.onnx.ops_arithmetic import unary

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def elu(call: OnnxNode) -> Result:
    """x, or alpha * (exp(x) - 1) where negative."""
    return nn.elu(call.x(), call["alpha"])


def celu(call: OnnxNode) -> Result:
    """x, or alpha * (exp(x / alpha) - 1) where negative."""
    x, alpha = call.x(), call["alpha"]
    return gx.where(x > 0, x, alpha * gx.expm1(gx.minimum(x, 0.0) / alpha))


def selu(call: OnnxNode) -> Result:
    """gamma * elu(x, alpha)."""
    result: Tensor = call.get("gamma", SELU_GAMMA) * nn.elu(call.x(), call.get("alpha", SELU_ALPHA))
    return result


def leaky_relu(call: OnnxNode) -> Result:
    """x, or alpha * x where negative."""
    return nn.leaky_relu(call.x(), call["alpha"])


def prelu(call: OnnxNode) -> Result:
    """x, or slope * x where negative; the slope broadcasts, before opset 7 over channels."""
    x, slope = call.x(0), call.x(1)
    if call.opset < 7 and slope.ndim == 1 and slope.shape[0] != 1:
        slope = gx.reshape(slope, slope.shape + (1,) * (x.ndim - 2))
    return gx.where(x < 0, slope * x, x)


def hard_sigmoid(call: OnnxNode) -> Result:
    """clip(alpha * x + beta, 0, 1)."""
    return gx.clip(call["alpha"] * call.x() + call["beta"], 0.0, 1.0)


def hard_swish(call: OnnxNode) -> Result:
    """x * clip(x / 6 + 1/2, 0, 1)."""
    x = call.x()
    return x * gx.clip(x / 6.0 + 0.5, 0.0, 1.0)


def thresholded_relu(call: OnnxNode) -> Result:
    """x where it is above alpha, else 0."""
    x = call.x()
    return gx.where(x > call["alpha"], x, 0.0)


def shrink(call: OnnxNode) -> Result:
    """x nearer to 0 by the bias, 0 within lambd of 0."""
    x, bias, limit = call.x(), call["bias"], call["lambd"]
    if x.dtype.is_float:
        return gx.where(x < -limit, x + bias, gx.where(x > limit, x - bias, 0.0))
    wide = gx.astype(x, "float64")
    moved = gx.where(wide < -limit, wide + bias, gx.where(wide > limit, wide - bias, 0.0))
    return gx.astype(moved, x.dtype)


def gelu(call: OnnxNode) -> Result:
    """x times the normal distribution function."""
    return nn.gelu(call.x(), approximate=call["approximate"] == "tanh")


def swish(call: OnnxNode) -> Result:
    """x * sigmoid(alpha * x)."""
    x = call.x()
    return x * gx.sigmoid(call["alpha"] * x)


def relu(call: OnnxNode) -> Result:
    """max(x, 0), also of integers."""
    x = call.x()
    return nn.relu(x) if x.dtype.is_float else gx.maximum(x, 0)


def along(x: Tensor, call: OnnxNode) -> tuple[Tensor, int]:
    """The tensor and the axis of a softmax; before opset 13 it is over all axes from one on."""
    axis = call.axis()
    if call.opset >= 13:
        return x, axis
    return gx.reshape(x, (*x.shape[:axis], gx.flatten(x, axis).shape[-1])), axis


def normalised(function: Callable[[Tensor, int], Tensor]) -> Converter:
    """A softmax or its logarithm; of 16-bit floats computed in float32."""

    def convert(call: OnnxNode) -> Result:
        x, axis = along(call.x(), call)
        wide = gx.astype(x, "float32") if x.dtype.bits == 16 else x
        return gx.astype(gx.reshape(function(wide, axis), call.x().shape), x.dtype)

    return convert


def hardmax(call: OnnxNode) -> Result:
    """1 at the first maximum, 0 elsewhere."""
    x, axis = along(call.x(), call)
    top = gx.argmax(x, axis, keepdims=True)
    shape = tuple(s if i == axis else 1 for i, s in enumerate(x.shape))
    places = gx.reshape(gx.arange(x.shape[axis], dtype="int64"), shape)
    return gx.reshape(gx.astype(gx.equal(top, places), x.dtype), call.x().shape)


TABLE: Table = {
    ("Exp", 1): unary(gx.exp),
    ("Log", 1): unary(gx.log),
    ("Sqrt", 1): unary(gx.sqrt),
    ("Reciprocal", 1): unary(gx.reciprocal),
    ("Floor", 1): unary(gx.floor),
    ("Ceil", 1): unary(gx.ceil),
    ("Round", 11): unary(gx.round),
    ("Erf", 9): unary(gx.erf),
    ("Sin", 7): unary(gx.sin),
    ("Cos", 7): unary(gx.cos),
    ("Tan", 7): unary(gx.tan),
    ("Asin", 7): unary(gx.asin),
    ("Acos", 7): unary(gx.acos),
    ("Atan", 7): unary(gx.atan),
    ("Asinh", 9): unary(gx.asinh),
    ("Acosh", 9): unary(gx.acosh),
    ("Atanh", 9): unary(gx.atanh),
    ("Sinh", 9): unary(gx.sinh),
    ("Cosh", 9): unary(gx.cosh),
    ("Tanh", 1): unary(gx.tanh),
    ("Sigmoid", 1): unary(gx.sigmoid),
    ("Softplus", 1): unary(gx.softplus),
    ("Softsign", 1): unary(nn.softsign),
    ("Mish", 18): unary(nn.mish),
    ("Relu", 1): relu,
    ("LeakyRelu", 1): leaky_relu,
    ("PRelu", 1): prelu,
    ("Elu", 1): elu,
    ("Celu", 12): celu,
    ("Selu", 1): selu,
    ("HardSigmoid", 1): hard_sigmoid,
    ("HardSwish", 14): hard_swish,
    ("ThresholdedRelu", 10): thresholded_relu,
    ("Shrink", 9): shrink,
    ("Gelu", 20): gelu,
    ("Swish", 24): swish,
    ("Softmax", 1): normalised(nn.softmax),
    ("LogSoftmax", 1): normalised(nn.log_softmax),
    ("Hardmax", 1): hardmax,
}
