"""Arithmetic on sizes while a model is loaded: numpy, over ints and polynomials of dims.

Exporters compute shapes in the graph (Shape, Gather, Mul, Concat, ...). What such nodes make of
sizes is again sizes, so that Reshape, Expand or Slice see a shape and not a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from graphc.dims import Poly
from graphc.onnx.values import settled
from graphc.ops.base import Array

Fold = Callable[[Mapping[str, Any], list[Array | None]], Any]

LARGEST = 4096  # elements: what is larger is data, not a shape


class CannotFoldError(Exception):
    """The sizes do not tell the result."""


def fold(name: str, attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array | None:
    """What a node makes of known whole numbers, or None where only tensors can say."""
    function = FOLDS.get(name)
    if function is None or not arrays or not all(map(foldable, arrays)):
        return None
    try:
        result = np.asarray(function(attributes, arrays))
        return finished(result, next(a.dtype for a in arrays if a is not None))
    except (CannotFoldError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def foldable(array: Array | None) -> bool:
    """Whether it may be a shape or a part of one."""
    return array is None or (array.dtype.kind in "biuO" and array.size <= LARGEST)


def finished(array: Array, kind: np.dtype[Any]) -> Array:
    """Objects that are numbers as numbers, of the dtype that went in."""
    if array.dtype != object:
        return array
    array = settled(array)
    return array if array.dtype == object or kind.kind == "O" else array.astype(kind)


def objects(array: Array) -> Array:
    """The array with Python ints for elements, which do not overflow and meet polynomials."""
    return array if array.dtype == object else array.astype(object)


def elementwise(function: Callable[[Any, Any], Any]) -> Fold:
    """Two or more operands, element by element."""

    def apply(_: Mapping[str, Any], arrays: list[Array | None]) -> Array:
        result = objects(_present(arrays[0]))
        if result.dtype != object or any(a is not None and a.dtype == bool for a in arrays):
            raise CannotFoldError
        for array in arrays[1:]:
            pairs = np.broadcast(result, objects(_present(array)))
            flat = np.empty(pairs.size, object)
            flat[:] = [function(a, b) for a, b in pairs]
            result = flat.reshape(pairs.shape)
        return result

    return apply


def _present(array: Array | None) -> Array:
    if array is None:
        raise CannotFoldError
    return array


def divide(a: Any, b: Any) -> Any:
    """a / b; of numbers rounded towards 0, of sizes (which are not negative) down."""
    if isinstance(a, Poly) or isinstance(b, Poly):
        if isinstance(b, int) and b <= 0:
            raise CannotFoldError
        return a // b
    if b == 0:
        raise CannotFoldError
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def same(a: Any, b: Any) -> bool:
    """Whether two sizes are equal, where that is certain."""
    if a == b:
        return True
    symbolic = [s for s in (a, b) if isinstance(s, Poly)]
    if symbolic and not any(isinstance(s, int) and s < 0 for s in (a, b)):
        raise CannotFoldError
    return False


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers."""
    return max(*_numbers(a, b))


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two numbers."""
    return min(*_numbers(a, b))


def _numbers(a: Any, b: Any) -> tuple[int, int]:
    if isinstance(a, Poly) or isinstance(b, Poly):
        raise CannotFoldError
    return a, b


def equal(_: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Element by element, as bool."""
    pairs = np.broadcast(objects(_present(arrays[0])), objects(_present(arrays[1])))
    return np.array([same(a, b) for a, b in pairs], bool).reshape(pairs.shape)


def where(_: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Numbers chosen by a condition."""
    condition, x, y = map(_present, arrays)
    return np.where(condition.astype(bool), objects(x), objects(y))


def gather(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Parts along an axis."""
    x, index = _present(arrays[0]), _present(arrays[1])
    axis = attributes.get("axis", 0)
    if index.dtype == object or not -x.ndim <= axis < x.ndim:
        raise CannotFoldError
    if index.size and not (-x.shape[axis] <= index.min() and index.max() < x.shape[axis]):
        raise CannotFoldError
    return np.take(x, index, axis)


def concat(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Parts side by side."""
    parts = [_present(a) for a in arrays]
    if any(a.dtype == object for a in parts):
        parts = [objects(a) for a in parts]
    axis = attributes.get("axis", 1)
    if parts[0].ndim != 1 or axis not in (0, -1) or any(a.ndim != 1 for a in parts):
        raise CannotFoldError
    return np.concatenate(parts, axis)


def squeeze(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Without axes of size 1."""
    x, axes = _present(arrays[0]), _axes(attributes, arrays)
    kept = [i for i in range(x.ndim) if i not in [a % x.ndim for a in axes or ()]]
    if any(x.shape[i] != 1 for i in range(x.ndim) if axes and i not in kept):
        raise CannotFoldError
    return x.reshape([x.shape[i] for i in kept if axes or x.shape[i] != 1])


def unsqueeze(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """With new axes of size 1."""
    axes = _axes(attributes, arrays)
    if axes is None:
        raise CannotFoldError
    return np.expand_dims(_present(arrays[0]), axes)


def _axes(attributes: Mapping[str, Any], arrays: list[Array | None]) -> tuple[int, ...] | None:
    if len(arrays) > 1 and arrays[1] is not None:
        return tuple(int(a) for a in arrays[1].flat)
    return attributes.get("axes")


def part(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """A slice of a vector."""
    x = _present(arrays[0])
    rest: list[Any] = [None if a is None else a.tolist() for a in arrays[1:]]
    if not rest:
        rest = [list(attributes["starts"]), list(attributes["ends"]), attributes.get("axes")]
    starts, ends, axes, steps = rest + [None] * (4 - len(rest))
    if x.ndim != 1 or len(starts) != 1 or next(iter(axes or [0])) not in (0, -1):
        raise CannotFoldError
    if any(isinstance(end, Poly) for end in (starts[0], ends[0])):
        raise CannotFoldError
    step = (steps or [1])[0]
    stop = None if step < 0 and ends[0] < -len(x) else ends[0]
    return x[starts[0] : stop : step]


def cast(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Whole numbers of another width."""
    x, number = _present(arrays[0]), attributes["to"]
    kinds = {TensorProto.INT64: np.int64, TensorProto.INT32: np.int32}
    if number not in kinds or x.dtype == bool:
        raise CannotFoldError
    return x if x.dtype == object else x.astype(kinds[number])


def identity(_: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """The same."""
    return _present(arrays[0])


def reshape(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """Another shape of a few numbers."""
    x, shape = _present(arrays[0]), arrays[1] if len(arrays) > 1 else None
    sizes = list(attributes.get("shape", ())) if shape is None else shape.tolist()
    if any(isinstance(s, Poly) for s in sizes) or 0 in sizes:
        raise CannotFoldError
    try:
        return x.reshape(sizes)
    except ValueError as error:
        raise CannotFoldError from error


def product(attributes: Mapping[str, Any], arrays: list[Array | None]) -> Array:
    """The product of a vector."""
    x = _present(arrays[0])
    if x.ndim != 1 or x.dtype.kind not in "iO":
        raise CannotFoldError
    total = np.prod(objects(x)) if x.size else 1
    return np.array([total] if attributes.get("keepdims", 1) else total, object)


FOLDS: dict[str, Fold] = {
    "Add": elementwise(lambda a, b: a + b),
    "Sub": elementwise(lambda a, b: a - b),
    "Mul": elementwise(lambda a, b: a * b),
    "Div": elementwise(divide),
    "Max": elementwise(larger),
    "Min": elementwise(smaller),
    "Equal": equal,
    "Where": where,
    "Gather": gather,
    "Concat": concat,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": part,
    "Cast": cast,
    "Identity": identity,
    "Reshape": reshape,
    "ReduceProd": product,
}
