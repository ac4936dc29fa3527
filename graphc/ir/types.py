"""Element types and tensor types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.ir.dims import Dim, Size, dims_of, product

Array = NDArray[Any]  # of numpy, also of rank 0 as its scalars


@dataclass(frozen=True)
class DType:
    """An element type: kind is one of b(ool) i(nteger) u(nsigned) f(loat)."""

    name: str
    short: str
    kind: str
    bits: int

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return max(1, self.bits // 8)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype of the same bits."""
        if self.name == "bfloat16":
            import ml_dtypes

            half: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return half
        return np.dtype(self.name)

    @property
    def is_float(self) -> bool:
        """True for float16, bfloat16, float32, float64."""
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers, not for bool."""
        return self.kind in "iu"

    def __str__(self) -> str:
        return self.short

    __repr__ = __str__


bool_ = DType("bool", "bool", "b", 1)
int8 = DType("int8", "i8", "i", 8)
int16 = DType("int16", "i16", "i", 16)
int32 = DType("int32", "i32", "i", 32)
int64 = DType("int64", "i64", "i", 64)
uint8 = DType("uint8", "u8", "u", 8)
uint16 = DType("uint16", "u16", "u", 16)
uint32 = DType("uint32", "u32", "u", 32)
uint64 = DType("uint64", "u64", "u", 64)
float16 = DType("float16", "f16", "f", 16)
bfloat16 = DType("bfloat16", "bf16", "f", 16)
float32 = DType("float32", "f32", "f", 32)
float64 = DType("float64", "f64", "f", 64)

ALL_DTYPES = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64,
)  # fmt: skip

UNSIGNED = {8: uint8, 16: uint16, 32: uint32, 64: uint64}  # by width
_BY_NAME = {d.name: d for d in ALL_DTYPES} | {d.short: d for d in ALL_DTYPES}


@dataclass(frozen=True)
class TensorType:
    """Element type and shape; prints as ``f32[batch,784]``."""

    dtype: DType
    shape: tuple[Size, ...]

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> Size:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    def dims(self) -> tuple[Dim, ...]:
        """The named dims in the shape, each once."""
        found = {d.name: d for size in self.shape for d in dims_of(size)}
        return tuple(found.values())

    def with_shape(self, shape: tuple[Size, ...]) -> TensorType:
        """The same element type with another shape."""
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        """The same shape with another element type."""
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.short}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


def find_dtype(name: object) -> DType | None:
    """The DType that a name, a DType, a numpy dtype or a Python type stands for, or None."""
    if isinstance(name, DType):
        return name
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name]
    if not isinstance(name, (str, type, np.dtype)):
        return None
    try:
        return _BY_NAME.get(np.dtype(name).name)
    except (TypeError, ValueError, SyntaxError, DeprecationWarning):
        return None


def promote(a: DType, b: DType) -> DType | None:
    """The array API's type promotion (standard 2024.12, table of mixed kinds excluded).

    None where the standard leaves it undefined: bool with numbers, int64 with uint64,
    integers with floats, float16 with bfloat16.
    """
    if a == b:
        return a
    if "b" in (a.kind, b.kind):
        return None
    if a.kind == b.kind:
        return None if a.bits == b.bits else (a if a.bits > b.bits else b)
    if a.is_float or b.is_float:
        return None
    signed, unsigned = (a, b) if a.kind == "i" else (b, a)
    if signed.bits > unsigned.bits:
        return signed
    return None if unsigned.bits == 64 else _BY_NAME[f"int{unsigned.bits * 2}"]


def weak_dtype(value: bool | int | float, like: DType | None) -> DType:
    """The dtype that a Python scalar takes beside a tensor of dtype `like`."""
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        if like is None or like == bool_:
            return int32 if -(2**31) <= value < 2**31 else int64
        return like
    return like if like is not None and like.is_float else float32
