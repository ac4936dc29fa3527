"""A value of a device program as a value of a dtype of graphc."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.types import DType, bfloat16, bool_, float16, int32, int64, uint8, uint16
from graphc_cuda.device.program import Literal, Value
from graphc_cuda.lower.ranges import INT32, Range

SHORT = {float16: "f16", bfloat16: "bf16"}


@dataclass(frozen=True, eq=False)
class Scalar:
    """A value of a dtype of graphc.

    `value` holds 16-bit floats as their bits. An int64 with a `range` is an index: it is known to
    lie there, and `value` is an int32 where that holds it.
    """

    value: Value
    dtype: DType
    range: Range | None = None


def held_as(dtype: DType) -> DType:
    """The dtype of a device value: 16-bit floats are their bits."""
    return uint16 if dtype in SHORT else dtype


def stored_as(dtype: DType) -> DType:
    """The dtype of elements in memory: a bool is a byte."""
    return uint8 if dtype == bool_ else held_as(dtype)


def as_index(value: int) -> Scalar:
    """A number that is an index."""
    dtype = int32 if INT32[0] <= value <= INT32[1] else int64
    return Scalar(Literal(dtype, value, is_index=True), int64, (value, value))


def index_of(value: Value, low: int, high: int) -> Scalar:
    """An index that is known to lie between two numbers."""
    return Scalar(value, int64, (low, high))
