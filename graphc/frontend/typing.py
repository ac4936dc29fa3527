"""The types of arguments, under the names that signatures have for them."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphc.ir.dims import Poly
from graphc.ir.types import DType


class SupportsArray(Protocol):
    """A tensor, an array of numpy or of another library, a numpy scalar."""

    def __array__(self) -> NDArray[Any]: ...


# what a tensor can be made of: a tensor, a number, a size, an array, nested sequences of numbers
TensorLike: TypeAlias = "float | Poly | SupportsArray | Sequence[TensorLike]"
# an element type: "float32", numpy.float32, bool
DTypeLike: TypeAlias = "str | DType | type[Any] | np.dtype[Any]"
# a size, or the sizes of all axes; a text names a dim
Shape: TypeAlias = "int | str | Poly | Sequence[int | str | Poly]"
# an axis, several, or None: all of them
AxisLike: TypeAlias = "int | Sequence[int] | None"
# what picks elements: positions, slices, ..., None for a new axis, masks, or a tuple of them
Index: TypeAlias = "int | slice | EllipsisType | Poly | SupportsArray | Sequence[Index] | None"
