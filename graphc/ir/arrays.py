"""Convert what users pass to arrays of the declared dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir.exchange import to_numpy
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.types import Array, DType, find_dtype, float64

CASTS = ("same_kind", "no")


def label(node: Node) -> str:
    """The user's name of an input or parameter node."""
    op = node.op
    return op.label if isinstance(op, (leaf.Input, leaf.Parameter)) else node.name


def convert(function: str, node: Node, value: Any, cast: str = "same_kind") -> Array:
    """The value as a C-ordered, aligned array of the node's dtype and rank.

    Its sizes are not looked at.
    """
    array = value if type(value) is np.ndarray else as_array(function, node, value)
    wanted = node.type.dtype
    if not array.dtype.isnative:
        _refuse(
            DTypeError,
            f"{function}: input {label(node)} is byte-swapped ({array.dtype.str})",
            node,
            array,
            "array.astype(array.dtype.newbyteorder('=')) makes a native copy",
        )
    if array.dtype != wanted.numpy:
        weak = isinstance(value, (int, float, list, tuple))
        array = _cast(function, node, array, cast, weak)
    if array.ndim != node.type.ndim:
        _refuse(
            ShapeError,
            f"{function}: input {label(node)} must have {node.type.ndim} axes, got {array.ndim}",
            node,
            array,
        )
    regular = array.flags.c_contiguous and array.flags.aligned
    return array if regular else np.array(array, order="C")


def as_array(function: str, node: Node, value: Any) -> Array:
    """A numpy array of what has the buffer protocol, DLPack, or is nested Python numbers."""
    where = f"{function}: input {label(node)}"
    symbolic = isinstance(getattr(value, "node", None), Node)
    if symbolic or value is None:
        kind = "a symbolic tensor" if symbolic else "None"
        _refuse(ArgumentError, f"{where} must be an array, got {kind}", node)
    try:
        return np.asarray(to_numpy(value))
    except (ValueError, TypeError, RuntimeError, BufferError, OverflowError) as error:
        _refuse(ArgumentError, f"{where}: {type(value).__name__} is no array: {error}", node)
        raise AssertionError from None  # _refuse raises


def _cast(function: str, node: Node, array: Array, cast: str, weak: bool) -> Array:
    """The array in the node's dtype, where the rules and the values allow it."""
    source, wanted = find_dtype(array.dtype), node.type.dtype
    if source is None or not _allowed(array, source, wanted, cast, weak):
        given = source.name if source else str(array.dtype)
        hint = f"convert it: array.astype({wanted.name!r})" if source else None
        if not wanted.is_float and source and array.ndim == len(node.type.shape) + 1:
            hint = "numbers of classes, not a row for each: array.argmax(-1)"
        text = f"{function}: input {label(node)} must be {wanted.name}, got {given}"
        _refuse(DTypeError, text, node, array, hint)
    with np.errstate(all="ignore"):
        result = array.astype(wanted.numpy)
    lost = lost_value(array, result, wanted)
    if lost is None and wanted.is_float and array.dtype.kind in "iu":
        lost = _rounded(array, result)
    if lost is not None:
        text = f"{function}: input {label(node)}: {lost} does not fit {wanted.name}"
        _refuse(ArgumentError, text, node, array)
    return result


def _allowed(array: Array, source: DType, wanted: DType, cast: str, weak: bool) -> bool:
    """numpy's safe casts, float64 to shorter floats, int64 to int32, integers to floats; and of
    Python numbers what their kinds allow."""
    if weak:
        ranks = "b", "iu", "f"
        rank = {kind: i for i, kinds in enumerate(ranks) for kind in kinds}
        return rank[source.kind] <= rank[wanted.kind]
    if cast == "no":
        return False
    if source.name == "float64" and wanted.is_float:
        return True
    if source.name == "int64" and wanted.name == "int32":
        return True
    if source.is_integer and wanted.is_float:
        return True
    return np.can_cast(array.dtype, wanted.numpy, "safe")


def _rounded(array: Array, result: Array) -> Any:
    """An integer that the floats do not hold exactly."""
    wide = result.astype(np.float64)  # exact
    limits = np.iinfo(array.dtype)
    inside = (wide >= float(limits.min)) & (wide < float(limits.max + 1))
    back = np.where(inside, wide, 0.0).astype(array.dtype)
    lost = ~inside | (back != array)
    return array[lost].flat[0] if lost.any() else None


def lost_value(array: Array, result: Array, wanted: DType) -> Any:
    """A value that changed its meaning (a finite one became infinite, an integer wrapped)."""
    if not array.size or array.dtype.kind == "b":
        return None
    if wanted.is_integer:
        limits = np.iinfo(wanted.numpy)
        outside = [v for v in (array.min(), array.max()) if not limits.min <= v <= limits.max]
        return outside[0] if outside else None
    if not wanted.is_float or bool(np.isfinite(result).all()):
        return None
    overflowed = ~np.isfinite(result) & np.isfinite(array)
    return array[overflowed].flat[0] if overflowed.any() else None


def _refuse(
    error: type[GraphcError],
    text: str,
    node: Node,
    array: Array | None = None,
    hint: str | None = None,
) -> None:
    operands: list[tuple[str, str, Any]] = [("wanted", f"{label(node)} {node.type}", node.origin)]
    if array is not None:
        operands.append(("got", array_text(array), None))
    raise error(text, operands=tuple(operands), origin=origins.find_origin(), hint=hint)


def array_text(array: Array) -> str:
    """Dtype and shape of an array in the notation of types."""
    dtype = find_dtype(array.dtype)
    return f"{dtype.short if dtype else array.dtype}[{','.join(map(str, array.shape))}]"


# ---------------------------------------------------------------------- without a node


def python_array(value: Any, wanted: DType | None = None) -> Array:
    """An array; of nested Python numbers a float32, int32 (int64 if needed) or bool one.

    Numbers that will be `wanted` as float64 are not rounded to float32 before.
    """
    try:
        array = np.asarray(to_numpy(value))
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(f"a tensor needs rows of one length: {error}") from None
    if not isinstance(value, (bool, int, float, list, tuple)) or isinstance(value, np.generic):
        return array
    if array.dtype == np.float64 and not holds_numpy(value):
        return array if wanted == float64 else array.astype(np.float32)
    fits = array.dtype == np.int64 and (not array.size or abs(array).max() < 2**31)
    return array.astype(np.int32) if fits and not holds_numpy(value) else array


def converted(name: str, array: Array, wanted: DType) -> Array:
    """An array in another dtype; raises where a value does not fit."""
    with np.errstate(all="ignore"):
        result = array.astype(wanted.numpy)
    lost = lost_value(array, result, wanted)
    if lost is not None:
        raise DTypeError(
            f"{name}: {lost} does not fit into {wanted.name}", origin=origins.find_origin()
        )
    return result


def holds_numpy(value: Any) -> bool:
    """Whether nested sequences hold numpy values, whose dtype was chosen by someone."""
    if isinstance(value, (list, tuple)):
        return any(holds_numpy(v) for v in value)
    return isinstance(value, (np.ndarray, np.generic))
