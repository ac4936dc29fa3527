"""Dtype promotion of float arrays that meet tensors: they take the tensors' dtype.

numpy's floats are float64 where nobody chose. An array that an operator or a function makes a
tensor of is marked as lifted; where it meets a float tensor it takes that tensor's dtype, as the
arrays do that a compiled function is called with. What gx.constant makes keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.ir.arrays import converted
from graphc.ir.ops.base import View
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.ops.leaf import Constant, Literal
from graphc.ir.types import Array, DType, find_dtype, promote


def lifted_array(x: Tensor) -> Array | None:
    """The array of floats that x is, or is a view of, if an operator or a function lifted it."""
    node = x.node
    while isinstance(node.op, View):
        node = node.inputs[0]
    weak = isinstance(node.op, (Constant, Literal)) and node.op.lifted
    return node.op.evaluate() if weak else None


def floats_of(tensors: Iterable[Tensor]) -> DType | None:
    """The float dtype that tensors promote to, without lifted arrays; None where there is none."""
    found: DType | None = None
    for t in tensors:
        if t.dtype.is_float and lifted_array(t) is None:
            found = t.dtype if found is None else promote(found, t.dtype)
            if found is None:
                return None
    return found


def promote_lifted(
    name: str, tensors: Sequence[Tensor], dtype: DType | None = None
) -> list[Tensor]:
    """Cast lifted arrays among tensors to the float dtype of the others, or to `dtype`.

    An array of floats is float64 where nobody chose; it must not turn a network to float64.
    """
    dtype = dtype or floats_of(tensors)
    if dtype is None or not dtype.is_float:
        return list(tensors)
    result = []
    for t in tensors:
        array = lifted_array(t) if t.dtype.is_float and t.dtype != dtype else None
        if array is None:
            result.append(t)
            continue
        new = converted(name, array, dtype)
        view = isinstance(t.node.op, View)
        result.append(lift_op(Cast(dtype), t) if view else lift(new))
    return result


def is_lifted(value: object) -> bool:
    """Whether a value is an array of floats, or what an operator made of one."""
    if isinstance(value, Tensor):
        op = value.node.op
        return isinstance(op, (Constant, Literal)) and op.lifted
    if not isinstance(value, (np.ndarray, np.generic)) or isinstance(value, float):
        return False
    dtype = find_dtype(value.dtype)
    return dtype is not None and dtype.is_float


def promote_arguments(name: str, values: Sequence[Any], places: Iterable[bool]) -> list[Any]:
    """Cast the lifted arrays among a function's arguments to the dtype of the others."""
    arrays = [place and is_lifted(v) for v, place in zip(values, places)]
    dtype = floats_of(v for v in values if isinstance(v, Tensor)) if any(arrays) else None
    if dtype is None:
        return list(values)
    pairs = zip(values, arrays)
    return [promote_lifted(name, [lift(v)], dtype)[0] if array else v for v, array in pairs]
