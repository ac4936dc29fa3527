"""Random numbers; streams are named after the node's output."""

from __future__ import annotations

from typing import Any

import graphc as gx
from graphc.ir.types import DType
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.proto import dtype_of


def wanted(call: OnnxNode, like: bool) -> tuple[Any, DType, str]:
    """Shape, dtype and name of what is drawn."""
    shape = call.x().shape if like else tuple(call["shape"])
    number = call.get("dtype", 0)
    dtype = dtype_of(number, call.where) if number else (call.x().dtype if like else None)
    name = call.node.name or call.node.output[0]
    if dtype is None or not dtype.is_float:
        call.unsupported(f"random numbers of {dtype}")
    return shape, dtype, name


def uniform(call: OnnxNode) -> Result:
    """Evenly between two bounds."""
    shape, dtype, name = wanted(call, call.node.op_type.endswith("Like"))
    return gx.random.uniform(shape, call["low"], call["high"], name=name, dtype=dtype)


def normal(call: OnnxNode) -> Result:
    """Normal variates."""
    shape, dtype, name = wanted(call, call.node.op_type.endswith("Like"))
    return gx.random.normal(shape, call["mean"], call["scale"], name=name, dtype=dtype)


def bernoulli(call: OnnxNode) -> Result:
    """1 with the probability that the operand says, else 0."""
    x = call.x()
    number = call.get("dtype", 0)
    dtype = dtype_of(number, call.where) if number else x.dtype
    name = call.node.name or call.node.output[0]
    return gx.astype(gx.random.bernoulli(x.shape, x, name=name), dtype)


def multinomial(call: OnnxNode) -> Result:
    """Classes drawn with the probabilities whose logarithms are given."""
    x = call.x()
    name = call.node.name or call.node.output[0]
    noise = gx.random.uniform((x.shape[0], call["sample_size"], x.shape[1]), name=name)
    gumbel = -gx.log(-gx.log(gx.maximum(noise, 2.0**-24)))
    best = gx.argmax(gx.expand_dims(gx.astype(x, "float32"), 1) + gumbel, 2)
    return gx.astype(best, dtype_of(call["dtype"], call.where))


TABLE: Table = {
    ("RandomUniform", 1): uniform,
    ("RandomUniformLike", 1): uniform,
    ("RandomNormal", 1): normal,
    ("RandomNormalLike", 1): normal,
    ("Bernoulli", 15): bernoulli,
    ("Multinomial", 7): multinomial,
}
