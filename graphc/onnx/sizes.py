"""Sizes that a model computes for itself, while it is loaded: ints and polynomials of dims.

Exporters compute shapes in the graph (Shape, Gather, Mul, Concat, ...). What such nodes make of
sizes is again sizes, so that Reshape, Expand or Slice see a shape and not a tensor. There are
three kinds of such nodes:

- what has constants for operands is converted like any node and evaluated at once;
- what only moves elements is converted too, for the places of the elements instead of them;
- arithmetic on polynomials is done here, where the bounds of the dims tell the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from graphc.errors import RuntimeCheckError
from graphc.ir.dims import Dim, FloorDiv, MinSize, Size, bound, divide_exactly, max_size, min_size
from graphc.ir.types import Array
from graphc.onnx.call import OnnxNode
from graphc.onnx.values import MAX_SHAPE_ELEMENTS, OnnxValue, sizes_value

Convert = Callable[[OnnxNode], "list[OnnxValue | None]"]

ALL = None
# Operators that only move elements, and which of their operands hold them.
MOVES: dict[str, tuple[int, ...] | None] = {
    "Concat": ALL, "Expand": (0,), "Flatten": (0,), "Gather": (0,), "GatherElements": (0,),
    "GatherND": (0,), "Identity": (0,), "Pad": (0, 2), "Reshape": (0,), "Scatter": (0, 2),
    "ScatterElements": (0, 2), "ScatterND": (0, 2), "Slice": (0,), "Split": (0,), "Squeeze": (0,),
    "Tile": (0,), "Transpose": (0,), "Unsqueeze": (0,), "Where": (1, 2),
}  # fmt: skip


class CannotFoldError(Exception):
    """The sizes do not tell the result."""


def fold(call: OnnxNode, convert: Convert) -> list[OnnxValue | None] | None:
    """What a node makes of symbolic sizes, or None where only tensors can say."""
    symbolic = any(v is not None and is_symbolic(v) for v in call.inputs)
    if not symbolic or call.node.domain not in ("", "ai.onnx"):
        return None
    name = call.node.op_type
    try:
        if name in MOVES and call.get("reduction", "none") == "none":
            return moved(call, convert, MOVES[name])
        if name in ARITHMETIC and call.get("axis") is None:
            return [elementwise(call, *ARITHMETIC[name])]
        if name in REDUCTIONS:
            return [reduced(call, REDUCTIONS[name])]
        return [cast(call)] if name == "Cast" else None
    except (CannotFoldError, ArithmeticError):
        return None


def evaluated(call: OnnxNode, results: list[OnnxValue | None]) -> list[OnnxValue | None]:
    """The results as arrays, where nothing but small constants went in."""
    given = [v for v in call.inputs if v is not None]
    graphs = any(a.HasField("g") for a in call.node.attribute)
    if not given or graphs or not all(is_constant(v) for v in given):
        return results
    return [at_once(value) for value in results]


def is_symbolic(value: OnnxValue) -> bool:
    """Whether it is an array with a size that is a polynomial."""
    return value.array is not None and value.array.dtype == object


def is_constant(value: OnnxValue) -> bool:
    """Whether it is a small array of numbers that stay what they are."""
    array = value.array
    return (
        array is not None
        and array.dtype.kind in "biuf"
        and array.size <= MAX_SHAPE_ELEMENTS
        and value.stored is None
    )


def at_once(value: OnnxValue | None) -> OnnxValue | None:
    """The value as an array, if it is small and nothing is drawn at random."""
    if value is None or value.items is not None or value.array is not None:
        return value
    size = value.tensor.size
    if not isinstance(size, int) or size > MAX_SHAPE_ELEMENTS:
        return value
    try:
        array = value.known()
    except RuntimeCheckError:  # it fails when the model runs, if that is reached
        return value
    return value if array is None else OnnxValue(array=array)


# ------------------------------------------------------------------------ moved elements


def moved(
    call: OnnxNode, convert: Convert, places: tuple[int, ...] | None
) -> list[OnnxValue | None]:
    """The results of an operator that moves elements: it moves their numbers, 0 is none."""
    elements: list[Any] = [0]
    inputs: list[OnnxValue | None] = []
    kinds = set()
    for i, value in enumerate(call.inputs):
        array = None if value is None else small(value)
        if value is None or (places is not ALL and i not in places):
            if array is not None and array.dtype == object:
                raise CannotFoldError
            inputs.append(value)
            continue
        assert array is not None
        kinds.add(value.kind)
        numbers = np.arange(len(elements), len(elements) + array.size, dtype=np.int64)
        elements.extend(objects(array).flat)
        inputs.append(OnnxValue(array=numbers.reshape(array.shape)))
    if len(kinds) != 1:
        raise CannotFoldError
    results = convert(OnnxNode(call.node, call.opset, tuple(inputs), call.attributes, call.scope))
    (kind,) = kinds
    return [None if r is None else renamed(r, elements, kind) for r in results]


def renamed(numbers: OnnxValue, elements: list[Any], kind: np.dtype[Any]) -> OnnxValue:
    """The elements that have these numbers."""
    found = at_once(numbers)
    if found is None or found.array is None:
        raise CannotFoldError
    array = np.empty(found.array.size, object)
    array[:] = [elements[int(i)] for i in found.array.flat]
    return sizes_value(array.reshape(found.array.shape), kind)


def small(value: OnnxValue) -> Array:
    """The array of a value that may be a shape or a part of one."""
    array = None
    try:
        if value.array is not None or (value.items is None and value.tensor.dtype.kind in "biu"):
            array = value.known()
    except RuntimeCheckError as error:  # it fails when the model runs, if that is reached
        raise CannotFoldError from error
    if array is None or array.size > MAX_SHAPE_ELEMENTS or array.dtype.kind not in "biuO":
        raise CannotFoldError
    return array


def objects(array: Array) -> Array:
    """The array with Python ints for elements, which do not overflow and meet polynomials."""
    return array if array.dtype == object else array.astype(object)


# ---------------------------------------------------------------------------- arithmetic


def elementwise(call: OnnxNode, function: Callable[..., Any], kind: str) -> OnnxValue:
    """One operand or several, which broadcast, element by element."""
    if any(v is None for v in call.inputs):
        raise CannotFoldError
    values = [v for v in call.inputs if v is not None]
    given = [objects(small(v)) for v in values]
    try:
        arrays = np.broadcast_arrays(*given)
    except ValueError as error:  # shapes that do not fit: the tensors say so
        raise CannotFoldError from error
    if len({v.kind for v in values}) != 1:
        raise CannotFoldError
    flat = np.empty(arrays[0].size, object)
    if len(arrays) == 1:
        flat[:] = [function(a) for a in arrays[0].flat]
    else:
        flat[:] = arrays[0].reshape(-1)
        for array in arrays[1:]:
            flat[:] = [function(a, b, call) for a, b in zip(flat, array.flat)]
    result = np.dtype(kind) if kind else values[0].kind
    return sizes_value(flat.reshape(arrays[0].shape), result)


def reaches(size: Size, least: int) -> bool:
    """Whether a size is never below a number, with 1 element at least along every dim."""
    found = bound(from_one(size))
    return found is not None and found >= least


def from_one(size: Size) -> Size:
    """The size with one more for every dim that may be 0."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for atom in monomial:
            if isinstance(atom, FloorDiv):
                term = term * (from_one(atom.numerator) // from_one(atom.denominator))
            elif isinstance(atom, MinSize):
                term = term * min_size(*map(from_one, atom.sizes))
            elif isinstance(atom, Dim) and atom.min == 0:
                term = term * (Dim(atom.name, atom.max) + 1)
            else:
                term = term * atom
        total = total + term
    return total


def add(a: Size, b: Size, _: OnnxNode) -> Size:
    """a + b"""
    return a + b


def subtract(a: Size, b: Size, _: OnnxNode) -> Size:
    """a - b"""
    return a - b


def multiply(a: Size, b: Size, _: OnnxNode) -> Size:
    """a * b"""
    return a * b


def divide(a: Size, b: Size, _: OnnxNode) -> Size:
    """a / b rounded towards 0, which is down where both are known to have no sign."""
    if isinstance(a, int) and isinstance(b, int) and b:
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    exact = divide_exactly(a, b)
    if exact is not None:
        return exact
    if reaches(a, 0) and reaches(b, 1):
        return a // b
    raise CannotFoldError


def remainder(a: Size, b: Size, call: OnnxNode) -> Size:
    """a - b * (a / b), rounded down, or towards 0 with fmod."""
    if call.get("fmod", 0):
        return a - b * divide(a, b, call)
    if not (isinstance(a, int) and isinstance(b, int) and b) and not reaches(b, 1):
        raise CannotFoldError
    return a - b * (a // b)


def negative(a: Size) -> Size:
    """-a"""
    return -a


def absolute(a: Size) -> Size:
    """The size without its sign."""
    return -a if is_more(0, a) else a


def is_more(a: Size, b: Size) -> bool:
    """Whether a > b, where that is certain; raises where it depends on dims."""
    least, least_back = bound(a - b), bound(b - a)
    if least is not None and least > 0:
        return True
    if least_back is not None and least_back >= 0:
        return False
    raise CannotFoldError


def equal(a: Size, b: Size, _: OnnxNode) -> bool:
    """Whether two sizes are equal, where that is certain."""
    if a == b:
        return True
    for difference in (a - b, b - a):
        least = bound(difference)
        if least is not None and least > 0:
            return False
    raise CannotFoldError


def larger(a: Size, b: Size, _: OnnxNode) -> Size:
    """The larger one."""
    return max_size(a, b)


def smaller(a: Size, b: Size, _: OnnxNode) -> Size:
    """The smaller one."""
    return min_size(a, b)


# The functions, and the element type of the result where it is not that of the operands.
ARITHMETIC: dict[str, tuple[Callable[..., Any], str]] = {
    "Abs": (absolute, ""),
    "Add": (add, ""),
    "Div": (divide, ""),
    "Equal": (equal, "bool"),
    "Greater": (lambda a, b, _: is_more(a, b), "bool"),
    "GreaterOrEqual": (lambda a, b, _: not is_more(b, a), "bool"),
    "Less": (lambda a, b, _: is_more(b, a), "bool"),
    "LessOrEqual": (lambda a, b, _: not is_more(a, b), "bool"),
    "Max": (larger, ""),
    "Min": (smaller, ""),
    "Mod": (remainder, ""),
    "Mul": (multiply, ""),
    "Neg": (negative, ""),
    "Sub": (subtract, ""),
    "Sum": (add, ""),
}

REDUCTIONS = {"ReduceMax": larger, "ReduceMin": smaller, "ReduceProd": multiply, "ReduceSum": add}


def reduced(call: OnnxNode, function: Callable[..., Any]) -> OnnxValue:
    """The elements of a vector in one."""
    value = call.value(0)
    array = small(value)
    axes = call.get("axes")
    if call.has(1):
        axes = tuple(small(call.value(1)).flat)
    whole = axes is None or (len(axes) == 0 and not call.get("noop_with_empty_axes", 0))
    if array.ndim != 1 or not array.size or not (whole or tuple(axes or ()) in ((0,), (-1,))):
        raise CannotFoldError
    if axes is None and call.get("noop_with_empty_axes", 0):
        return value
    first, *rest = objects(array)
    for size in rest:
        first = function(first, size, call)
    result = np.empty(1 if call.get("keepdims", 1) else (), object)
    result[...] = first
    return sizes_value(result, value.kind)


KINDS: dict[int, np.dtype[Any]] = {
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.INT32: np.dtype(np.int32),
}


def cast(call: OnnxNode) -> OnnxValue:
    """Sizes of another width."""
    kind = KINDS.get(call["to"])
    if kind is None:
        raise CannotFoldError
    return OnnxValue(array=small(call.value(0)), kind=kind)
