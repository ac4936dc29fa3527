"""Values that come from outside the graph, or from its sizes alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from graphc.ir.dims import Size
from graphc.ir.ops.base import Leaf
from graphc.ir.types import Array, DType, TensorType, int64, uint32


@dataclass(frozen=True)
class Input(Leaf):
    """A value given at every call."""

    name = "input"
    label: str
    type: TensorType

    def infer(self) -> TensorType:
        """As declared."""
        return self.type


@dataclass(frozen=True, eq=False)
class Parameter(Leaf):
    """A persistent value that compiled functions share and update; every parameter is itself."""

    name = "parameter"
    label: str
    type: TensorType
    trainable: bool = True

    def infer(self) -> TensorType:
        """As declared."""
        return self.type


@dataclass(frozen=True, eq=False)
class Constant(Leaf):
    """An array that is part of the program; `lifted` without gx.constant, floats are weak."""

    name = "constant"
    value: Array = field(repr=False)
    type: TensorType
    lifted: bool = field(default=False, repr=False)

    def infer(self) -> TensorType:
        """As given."""
        return self.type

    def evaluate(self) -> Array:
        """The array."""
        return self.value


@dataclass(frozen=True)
class Literal(Leaf):
    """One number, rank 0; `lifted` from an array without axes, floats are weak."""

    name = "literal"
    value: Any
    dtype: DType
    lifted: bool = field(default=False, repr=False)

    def infer(self) -> TensorType:
        """Rank 0."""
        return TensorType(self.dtype, ())

    def evaluate(self) -> Array:
        """The number as a rank-0 array."""
        with np.errstate(over="ignore"):  # beyond the dtype's range is infinity
            return np.asarray(self.value, self.dtype.numpy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Literal) or other.dtype != self.dtype:
            return False
        return repr(self.value) == repr(other.value)  # -0.0 is not 0.0, NaN is NaN

    def __hash__(self) -> int:
        return hash((repr(self.value), self.dtype))


@dataclass(frozen=True)
class SizeOf(Leaf):
    """A size as a rank-0 int64."""

    name = "size"
    size: Size

    def infer(self) -> TensorType:
        """Rank 0."""
        return TensorType(int64, ())


@dataclass(frozen=True)
class Iota(Leaf):
    """The index along one axis: result[i0, i1, ...] = i_axis."""

    name = "iota"
    shape: tuple[Size, ...]
    axis: int
    dtype: DType

    def infer(self) -> TensorType:
        """As declared."""
        return TensorType(self.dtype, self.shape)


@dataclass(frozen=True)
class RandomBits(Leaf):
    """uint32 bits of Philox 4x32-10 with key (seed xor stream), counter (element, step).

    `stream` is a 64-bit number derived from the name of the node that draws.
    """

    name = "random_bits"
    pure: ClassVar[bool] = True  # a function of (seed, step, stream, element)
    shape: tuple[Size, ...]
    stream: int

    def infer(self) -> TensorType:
        """As declared."""
        return TensorType(uint32, self.shape)
