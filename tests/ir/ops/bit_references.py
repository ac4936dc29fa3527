"""References of ops on bits and dtypes, for the op harness: Python's numbers, strings of bits.

They get arrays of the dtypes that the op gets.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir import ops
from graphc.ir.ops.base import Op
from graphc.ir.types import Array

LETTERS = {
    "float16": "e", "float32": "f", "float64": "d", "int8": "b", "int16": "h", "int32": "i",
    "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
}  # fmt: skip


def bitwise(merge: Callable[..., Any]) -> Callable[..., Array]:
    """A function of 0 and 1, bit by bit."""

    def reference(op: Op, *arrays: Array) -> Array:
        (first, *_) = arrays
        bits = [np.unpackbits(np.frombuffer(a.tobytes(), np.uint8)).astype(int) for a in arrays]
        packed = np.packbits(np.asarray(merge(*bits), bool))
        return np.frombuffer(packed.tobytes(), first.dtype).reshape(first.shape)

    return reference


def by_element(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of Python's numbers, wrapped around into the first operand's dtype."""

    def reference(op: Op, *arrays: Array) -> Array:
        dtype = arrays[0].dtype
        width = 8 * dtype.itemsize
        rows = zip(*(a.ravel().tolist() for a in arrays))
        values = [function(width, *row) % 2**width for row in rows]
        if dtype.kind == "i":
            values = [v - 2**width * (v >= 2 ** (width - 1)) for v in values]
        return np.array(values, dtype).reshape(arrays[0].shape)

    return reference


def shifted_left(width: int, x: int, y: int) -> int:
    """A product."""
    return x * 2**y if 0 <= y < width else 0


def shifted_right(width: int, x: int, y: int) -> int:
    """A quotient, rounded down."""
    return math.floor(x / 2**y) if 0 <= y < width else 0


def cast(op: ops.Cast, x: Array) -> Array:
    """Number by number."""
    to = op.dtype
    numbers = [float(v) if x.dtype.kind not in "biu" else int(v) for v in x.ravel()]
    if to.is_float:
        result = np.array(numbers, np.float64)
    elif to.is_integer:
        result = np.array([whole(v, to.numpy) for v in numbers], to.numpy)
    else:
        result = np.array([v != 0 for v in numbers], bool)
    return result.reshape(x.shape)


def whole(v: float, dtype: Any) -> int:
    """Floats saturate, NaN is 0; integers wrap around."""
    bounds = np.iinfo(dtype)
    low, high = int(bounds.min), int(bounds.max)
    if isinstance(v, int):
        return (v - low) % (high - low + 1) + low
    if math.isnan(v):
        return 0
    return high if v >= high else low if v <= low else math.trunc(v)


def bitcast(op: ops.Bitcast, x: Array) -> Array:
    """Packed by one format, read by another."""
    values = [read(op.dtype.name, written(x.dtype.name, v)) for v in x.ravel().tolist()]
    return np.array(values, op.dtype.numpy).reshape(x.shape)


def written(dtype: str, v: float) -> bytes:
    """The bytes of a number; a bfloat16 is the upper half of a float32."""
    if dtype == "bfloat16":
        return struct.pack("<f", v)[2:]
    return struct.pack("<" + LETTERS[dtype], v)


def read(dtype: str, data: bytes) -> Any:
    """The number of some bytes."""
    if dtype == "bfloat16":
        return struct.unpack("<f", b"\0\0" + data)[0]
    return struct.unpack("<" + LETTERS[dtype], data)[0]


def next_after(op: ops.NextAfter, x: Array, y: Array) -> Array:
    """The nearest of the dtype's numbers beyond x, found by halving the distance to them."""

    def step(a: Any, b: Any) -> Any:
        kind = type(a)
        if a == b:
            return b
        far = kind(float(b))
        while True:
            middle = kind((float(a) + float(far)) / 2)
            if middle in (a, far):
                return far
            far = middle

    values = [step(a, b) for a, b in zip(x.ravel(), y.ravel())]
    return np.array(values, x.dtype).reshape(x.shape)


REFERENCES: dict[type[Op], Callable[..., Any]] = {
    ops.BitAnd: bitwise(lambda a, b: a * b),
    ops.BitOr: bitwise(np.maximum),
    ops.BitXor: bitwise(lambda a, b: a != b),
    ops.BitNot: bitwise(lambda a: 1 - a),
    ops.ShiftLeft: by_element(shifted_left),
    ops.ShiftRight: by_element(shifted_right),
    ops.Cast: cast,
    ops.Bitcast: bitcast,
    ops.NextAfter: next_after,
}
