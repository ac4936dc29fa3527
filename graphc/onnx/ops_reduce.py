"""Reductions, positions of extremes, running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.functions.operands import widened
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import Converter, OnnxNode, Result, Table

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def reduction(function: Reduction, axes_input: int) -> Converter:
    """A reduction whose axes are an attribute, and operand 1 from an operator set on."""

    def convert(call: OnnxNode) -> Result:
        x = call.x()
        axes: Any = call.get("axes")
        if call.opset >= axes_input:
            axes = call.ints(1) if call.has(1) else None
        if not axes:
            if call.get("noop_with_empty_axes"):
                return x if function in IDENTITY_REDUCTIONS else function(x, (), False)
            axes = range(x.ndim)
        return function(x, tuple(call.normal(a, x.ndim) for a in axes), bool(call["keepdims"]))

    return convert


def total(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The sum in the dtype of x."""
    return gx.sum(x, axes, dtype=x.dtype, keepdims=keepdims)


def total_product(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The product in the dtype of x."""
    return gx.prod(x, axes, dtype=x.dtype, keepdims=keepdims)


def average(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The mean in the dtype of x."""
    if x.dtype.is_float:
        return gx.mean(x, axes, keepdims)
    return gx.astype(gx.mean(x, axes, keepdims), x.dtype)


def largest(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The largest; of bools whether one is true, of nothing the least number."""
    if x.dtype.kind == "b":
        return gx.any(x, axes, keepdims)
    if any(x.shape[a] == 0 for a in axes):
        return of_nothing(x, axes, keepdims, largest=True)
    return gx.max(x, axes, keepdims)


def smallest(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The smallest; of bools whether all are true, of nothing the largest number."""
    if x.dtype.kind == "b":
        return gx.all(x, axes, keepdims)
    if any(x.shape[a] == 0 for a in axes):
        return of_nothing(x, axes, keepdims, largest=False)
    return gx.min(x, axes, keepdims)


def of_nothing(x: Tensor, axes: tuple[int, ...], keepdims: bool, largest: bool) -> Tensor:
    """What a maximum (or minimum) of nothing is: the number that any other beats."""
    if x.dtype.is_float:
        value: Any = float("-inf") if largest else float("inf")
    else:
        bounds = np.iinfo(x.dtype.numpy)
        value = int(bounds.min if largest else bounds.max)
    shape = tuple(1 if i in axes else s for i, s in enumerate(x.shape) if keepdims or i not in axes)
    return gx.full(shape, value, x.dtype)


def total_absolute(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The sum of absolute values."""
    return total(gx.abs(x), axes, keepdims)


def norm(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The root of the sum of squares."""
    wide = gx.astype(x, floats(x))
    return gx.astype(gx.sqrt(total_square(wide, axes, keepdims)), x.dtype)


def total_square(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The sum of squares."""
    return total(gx.square(x), axes, keepdims)


def log_total(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The logarithm of the sum."""
    wide = widened(x)
    return rounded(gx.log(gx.astype(total(wide, axes, keepdims), floats(x))), x)


def log_total_exp(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The logarithm of the sum of exponentials."""
    return rounded(gx.logsumexp(gx.astype(x, floats(x)), axes, keepdims), x)


def floats(x: Tensor) -> Any:
    """The dtype to compute in."""
    return widened(x).dtype if x.dtype.is_float else "float64"


def rounded(y: Tensor, x: Tensor) -> Tensor:
    """y in the dtype of x."""
    return gx.astype(y, x.dtype)


# what leaves a single element alone
IDENTITY_REDUCTIONS = (total, total_product, average, largest, smallest)


def position(last: Callable[..., Tensor]) -> Converter:
    """Where the extreme is along an axis: the first of several, or the last one."""

    def convert(call: OnnxNode) -> Result:
        x, axis, keep = call.x(), call.axis(), bool(call["keepdims"])
        if not call.get("select_last_index"):
            return last(x, axis, keep)
        return x.shape[axis] - 1 - last(gx.flip(x, axis), axis, keep)

    return convert


TABLE: Table = {
    ("ReduceSum", 1): reduction(total, 13),
    ("ReduceMean", 1): reduction(average, 18),
    ("ReduceProd", 1): reduction(total_product, 18),
    ("ReduceMax", 1): reduction(largest, 18),
    ("ReduceMin", 1): reduction(smallest, 18),
    ("ReduceL1", 1): reduction(total_absolute, 18),
    ("ReduceL2", 1): reduction(norm, 18),
    ("ReduceSumSquare", 1): reduction(total_square, 18),
    ("ReduceLogSum", 1): reduction(log_total, 18),
    ("ReduceLogSumExp", 1): reduction(log_total_exp, 18),
    ("ArgMax", 1): position(gx.argmax),
    ("ArgMin", 1): position(gx.argmin),
}
