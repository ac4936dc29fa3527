"""Matrix products."""

from __future__ import annotations

import graphc as gx
from graphc import linalg
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_arithmetic import binary


def gemm(call: OnnxNode) -> Result:
    """alpha * A' B' + beta * C, either matrix transposed if asked for."""
    a, b = call.x(0), call.x(1)
    a = gx.permute_dims(a, (1, 0)) if call["transA"] else a
    b = gx.permute_dims(b, (1, 0)) if call["transB"] else b
    product = scaled(gx.matmul(a, b), call["alpha"])
    if not call.has(2) or call["beta"] == 0.0:
        return product
    return product + scaled(call.x(2), call["beta"])


def scaled(x: Tensor, factor: float) -> Tensor:
    """x times a number, which is 1 most of the time."""
    if factor == 1.0:
        return x
    if x.dtype.is_float:
        return x * factor
    return gx.astype(gx.astype(x, "float64") * factor, x.dtype)


def einsum(call: OnnxNode) -> Result:
    """Sums of products over labelled axes."""
    return gx.einsum(call["equation"], *call.tensors)


def det(call: OnnxNode) -> Result:
    """The determinants of matrices."""
    return linalg.det(call.x())


TABLE: Table = {
    ("MatMul", 1): binary(gx.matmul),
    ("Gemm", 1): gemm,
    ("Einsum", 12): einsum,
    ("Det", 11): det,
}
