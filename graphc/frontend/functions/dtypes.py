"""Questions about dtypes, as in the Python array API standard (2024.12)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.frontend.functions.operands import fail, is_weak, to_dtype
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir.types import DType, promote, weak_dtype

KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu",
    "real floating": "f", "numeric": "iuf",
}  # fmt: skip


def dtype_of(name: str, value: Any) -> DType:
    """The dtype of a tensor or array, or the dtype itself."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, np.ndarray):
        return to_dtype(name, value.dtype)
    return to_dtype(name, value)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that tensors, dtypes and Python numbers promote to; numbers are weak.

    Raises DTypeError where the standard leaves it undefined.
    """
    strong = [dtype_of("result_type", v) for v in arrays_and_dtypes if not is_weak(v)]
    if not strong:
        fail(DTypeError, "result_type: needs a tensor or a dtype")
    result = strong[0]
    for other in strong[1:]:
        both = promote(result, other)
        if both is None:
            fail(DTypeError, f"result_type: {result.name} and {other.name} have no common dtype")
        assert both is not None
        result = both
    for value in arrays_and_dtypes:
        if is_weak(value):
            result = weak_dtype(value, result)
    return result


def can_cast(source: TensorLike | DTypeLike, to: DTypeLike) -> bool:
    """Whether promotion alone leads from a dtype (or a tensor's) to another."""
    wanted = to_dtype("can_cast", to)
    return promote(dtype_of("can_cast", source), wanted) == wanted


def isdtype(dtype: DTypeLike, kind: DTypeLike | tuple[DTypeLike, ...]) -> bool:
    """Whether a dtype is of a kind: "bool", "signed integer", "unsigned integer", "integral",
    "real floating", "numeric"; another dtype; or one of a tuple of these."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    found = to_dtype("isdtype", dtype)
    if isinstance(kind, str) and kind in KINDS:
        return found.kind in KINDS[kind]
    return found == to_dtype("isdtype", kind)


def finfo(type: Any) -> Any:
    """The limits of a floating dtype (or a tensor's): bits, eps, max, min, smallest_normal."""
    import ml_dtypes

    found = dtype_of("finfo", type)
    if not found.is_float:
        fail(DTypeError, f"finfo: {found.name} is no floating dtype")
    return ml_dtypes.finfo(found.numpy)  # type: ignore[no-untyped-call]


def iinfo(type: Any) -> Any:
    """The limits of an integer dtype (or a tensor's): bits, max, min."""
    found = dtype_of("iinfo", type)
    if not found.is_integer:
        fail(DTypeError, f"iinfo: {found.name} is no integer dtype")
    return np.iinfo(found.numpy)
