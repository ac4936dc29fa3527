"""Lists of tensors, whose number is known while loading, and values that may be missing."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.errors import FormatError
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.values import OnnxValue

MAX_SEQUENCE_ELEMENTS = 2**16  # elements of a sequence that is made of a tensor


def items(call: OnnxNode) -> list[OnnxValue]:
    """The elements of operand 0."""
    found = call.value(0).items
    if found is None:
        raise FormatError(f"{call.where}: input 0 must be a sequence")
    return list(found)


def construct(call: OnnxNode) -> Result:
    """A list of the operands."""
    return OnnxValue(items=tuple(call.value(i) for i in range(len(call.inputs))))


def empty(call: OnnxNode) -> Result:
    """A list of nothing."""
    return OnnxValue(items=())


def length(call: OnnxNode) -> Result:
    """How many elements there are."""
    return np.int64(len(items(call)))


def at(call: OnnxNode) -> Result:
    """One element."""
    item: OnnxValue = items(call)[call.number(1)]
    return item


def insert(call: OnnxNode) -> Result:
    """One element more, at a place or at the end."""
    found = items(call)
    place = call.number(2) if call.has(2) else len(found)
    if not -len(found) <= place <= len(found):
        raise FormatError(f"{call.where}: there is no place {place} among {len(found)} elements")
    found.insert(place, call.value(1))
    return OnnxValue(items=tuple(found))


def erase(call: OnnxNode) -> Result:
    """Without one element, or without the last."""
    found = items(call)
    del found[call.number(1) if call.has(1) else -1]
    return OnnxValue(items=tuple(found))


def concat(call: OnnxNode) -> Result:
    """The elements concatenated along an axis, or stacked along a new one."""
    parts = [value.tensor for value in items(call)]
    if call["new_axis"]:
        return gx.stack(parts, call["axis"])
    return gx.concat(parts, call["axis"])


def split(call: OnnxNode) -> Result:
    """Parts of a tensor along an axis: of given sizes, of one size, or single ones."""
    x, axis = call.x(), call.axis()
    whole = call.extent(axis)
    if whole > MAX_SEQUENCE_ELEMENTS:
        call.unsupported(f"a sequence of more than {MAX_SEQUENCE_ELEMENTS} elements")
    if not call.has(1):
        rows = gx.unstack(x, axis=axis) if whole else ()
        kept = [gx.expand_dims(row, axis) if call["keepdims"] else row for row in rows]
        return OnnxValue(items=tuple(map(OnnxValue, kept)))
    sizes = call.ints(1)
    if call.x(1).ndim == 0:
        size = sizes[0]
        sizes = tuple(min(size, whole - start) for start in range(0, whole, size))
    if sum(sizes) != whole or min(sizes, default=0) < 0:
        raise FormatError(f"{call.where}: {whole} elements do not fall into parts of {sizes}")
    ends = np.cumsum(sizes)
    key = (slice(None),) * axis
    parts = (x[(*key, slice(int(e) - n, int(e)))] for n, e in zip(sizes, ends))
    return OnnxValue(items=tuple(map(OnnxValue, parts)))


def present(call: OnnxNode) -> Result:
    """Whether there is a value."""
    return np.bool_(call.has(0))


def value(call: OnnxNode) -> Result:
    """The value, which must be there."""
    if not call.has(0):
        call.unsupported("a value that is missing")
    return call.value(0)


TABLE: Table = {
    ("SequenceConstruct", 11): construct,
    ("SequenceEmpty", 11): empty,
    ("SequenceLength", 11): length,
    ("SequenceAt", 11): at,
    ("SequenceInsert", 11): insert,
    ("SequenceErase", 11): erase,
    ("ConcatFromSequence", 11): concat,
    ("SplitToSequence", 11): split,
    ("OptionalHasElement", 15): present,
    ("OptionalGetElement", 15): value,
    ("Optional", 15): value,
}
