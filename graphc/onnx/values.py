"""What a name of a file stands for: a tensor, an array that is known now, both, or a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import FormatError
from graphc.frontend import functions as fn
from graphc.frontend.functions.creation import size_as
from graphc.frontend.tensor import Tensor, constant_of, evaluate
from graphc.ir.dims import Dim, Poly, Size, dims_of
from graphc.ir.graph import topological
from graphc.ir.ops import leaf
from graphc.ir.types import Array, int64

MAX_SHAPE_ELEMENTS = 4096  # elements: what is larger is data, not a shape


class OnnxValue:
    """A tensor, an array that is known, or both; the tensor of an array is made when needed.

    An array of dtype object holds sizes, which are ints and polynomials of dims, of an element
    type of their own (`kind`). A sequence has items only. What a file stores under a name and may
    be learnt is `stored`; its parameter is made (`make`) when something computes with it.
    """

    __slots__ = ("_kind", "_make", "_tensor", "array", "items", "stored")

    def __init__(
        self,
        tensor: Tensor | None = None,
        array: Array | None = None,
        items: tuple[OnnxValue, ...] | None = None,
        kind: np.dtype[Any] | None = None,
        make: Callable[[], Tensor] | None = None,
        stored: tuple[str, Array] | None = None,
    ) -> None:
        self._tensor = tensor
        self.array = array
        self.items = items
        self._make = make
        self.stored = stored
        self._kind = np.dtype(np.int64) if kind is None else kind

    @property
    def tensor(self) -> Tensor:
        """The value as a tensor."""
        if self.items is not None:
            raise FormatError("onnx.load: a sequence stands where a tensor is wanted")
        if self._tensor is None:
            assert self.array is not None
            self._tensor = self._make() if self._make else tensor_of(self.array, self._kind)
        return self._tensor

    @property
    def kind(self) -> np.dtype[Any]:
        """The element type."""
        if self.array is None:
            return np.dtype(self.tensor.dtype.numpy)
        return self._kind if self.array.dtype == object else self.array.dtype

    def known(self) -> Array | None:
        """The value as an array if it depends on nothing but constants; else None."""
        if self.array is None and not any(sources_of(self.tensor)):
            self.array = np.asarray(evaluate([self.tensor], {})[0])
        return self.array


def tensor_of(array: Array, kind: np.dtype[Any]) -> Tensor:
    """The constant tensor of an array, or the tensor of sizes."""
    if array.dtype != object:
        return constant_of(np.asarray(array))
    sizes = [size_as(size, int64) for size in array.flat]
    if not sizes:
        return constant_of(array.astype(kind))
    return fn.astype(fn.reshape(fn.stack(sizes), array.shape), kind.name)


def sources_of(tensor: Tensor) -> tuple[tuple[str, ...], tuple[Dim, ...]]:
    """What keeps a value from being known: inputs, parameters, random bits by name; and dims."""
    names: dict[str, None] = {}
    dims: dict[Dim, None] = {}
    for node in topological([tensor.node]):
        if isinstance(node.op, (leaf.Input, leaf.Parameter, leaf.RandomBits)):
            names[node.name or node.op.name] = None
        elif isinstance(node.op, leaf.SizeOf):
            dims.update(dict.fromkeys(dims_of(node.op.size)))
        else:
            dims.update(dict.fromkeys(node.type.dims()))
    return tuple(names), tuple(dims)


def result_value(result: Tensor | OnnxValue | Array | np.generic | None) -> OnnxValue | None:
    """The value that a converter's result stands for: a tensor, an array or a Value."""
    if result is None or isinstance(result, OnnxValue):
        return result
    if isinstance(result, Tensor):
        return OnnxValue(result)
    return OnnxValue(array=np.asarray(result))


def sizes_array(sizes: tuple[Size, ...]) -> Array:
    """Sizes as an int64 array, or one of objects if one is symbolic."""
    array = np.array(sizes, dtype=object)
    symbolic = any(isinstance(size, Poly) for size in sizes)
    return array if symbolic else array.astype(np.int64)


def sizes_value(array: Array, kind: np.dtype[Any]) -> OnnxValue:
    """The value of an array of objects: numbers of an element type, if none is symbolic."""
    if any(isinstance(size, Poly) for size in array.flat):
        return OnnxValue(array=array, kind=kind)
    wide = array.astype(np.int64 if kind.kind != "b" else bool)
    return OnnxValue(array=wide.astype(kind))
