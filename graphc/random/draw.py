"""Draws from distributions, as functions over random bits."""

from __future__ import annotations

import hashlib

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.functions.operands import same_dtype
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import DTypeLike, Shape
from graphc.ir import naming
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise_random import NormalFloat, UnitFloat
from graphc.ir.types import DType, bool_, find_dtype, float32


def stream_of(name: str) -> int:
    """The 64-bit stream number of a draw: the first 8 bytes of the name's SHA-256, little end
    first."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def bits(shape: Shape, name: str | None = None, kind: str = "bits") -> Tensor:
    """Draw uint32 numbers of 32 random bits each."""
    return stream(shape, naming.automatic(kind) if name is None else naming.scoped(name))


def stream(shape: Shape, full: str) -> Tensor:
    """The bits of the stream with this whole name, uint32."""
    sizes = symbols.check_shape(f"random {full}", shape, dims=True)
    drawn = lift_op(leaf.RandomBits(sizes, stream_of(full)), name=full)
    origins.note_random(drawn.node)
    return drawn


def uniform(
    shape: Shape,
    low: float | Tensor = 0.0,
    high: float | Tensor = 1.0,
    name: str | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Draw uniformly from [low, high), which may be tensors that broadcast to the shape.

    The numbers are multiples of 2**-24 (2**-11 for float16, 2**-8 for bfloat16) of the interval,
    rounded to the dtype; what would round to `high` is the number before it. Where the dtype has no
    number between them the result is `low`.
    """
    unit = unit_of(bits(shape, name, "uniform"), wanted_float("uniform", dtype))
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return _between(*same_dtype("random.uniform", (unit, low, high)))
    return unit if (low, high) == (0, 1) else _between_numbers(unit, low, high)


def _between_numbers(unit: Tensor, low: float, high: float) -> Tensor:
    """A share of an interval of numbers; only what may round to the end is looked at."""
    kind = unit.dtype.numpy.type
    with np.errstate(over="ignore"):
        first, end, width = kind(low), kind(high), kind(high - low)
        if not np.isfinite(first) or not np.isfinite(end):
            text = f"random.uniform: {low} to {high} is no range of {unit.dtype.name}"
            raise ArgumentError(text, origin=origins.find_origin())
        most = kind(1 - 2.0 ** -_FEW_BITS.get(unit.dtype.name, 24))
        last = most * width + first
    value = unit * high + (1.0 - unit) * low if np.isinf(width) else unit * (high - low) + low
    if (first < end and last < end) or (first > end and last > end):
        return value
    limit = float(np.nextafter(end, first))
    return fn.minimum(value, limit) if first <= end else fn.maximum(value, limit)


def _between(unit: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """A share of intervals, each of which may be wider than the largest number."""
    width = high - low
    value = fn.where(fn.isinf(width), unit * high + (1.0 - unit) * low, unit * width + low)
    limit = fn.nextafter(high, low)
    beyond = fn.where(low <= high, value > limit, value < limit)
    return fn.where(beyond, limit, value)


def normal(
    shape: Shape,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    name: str | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Draw normal variates; mean and std may be tensors that broadcast to the shape."""
    wanted = wanted_float("normal", dtype)
    first = bits(shape, name, "normal")
    second = stream(shape, first.name + "/second")
    unit = fn.astype(lift_op(NormalFloat(), first, second), wanted)
    scaled: Tensor = unit if _is(std, 1) else unit * std
    return scaled if _is(mean, 0) else scaled + mean


def bernoulli(shape: Shape, p: float | Tensor = 0.5, name: str | None = None) -> Tensor:
    """Draw bools that are true with probability p, a number or a tensor."""
    return choose(bits(shape, name, "bernoulli"), p)


def choose(drawn: Tensor, p: float | Tensor) -> Tensor:
    """Bools that are true with probability p, from random bits."""
    if isinstance(p, Tensor):
        below: Tensor = unit_of(drawn, float32) < fn.astype(p, float32)
        return below
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"bernoulli: p must be between 0 and 1, got {p}")
    threshold = round(p * 2**32)
    if threshold == 2**32:  # does not fit the comparison below
        return fn.full(drawn.shape, True, dtype=bool_)
    chosen: Tensor = drawn < threshold
    return chosen


# ------------------------------------------------------------------------------- machinery


_FEW_BITS = {"float16": 11, "bfloat16": 8}  # more would round up to 1


def unit_of(drawn: Tensor, dtype: DType) -> Tensor:
    if dtype.name in _FEW_BITS:
        unused = 32 - _FEW_BITS[dtype.name]
        drawn = (drawn >> unused) << unused
    return fn.astype(lift_op(UnitFloat(), drawn), dtype)


def _is(value: object, number: int) -> bool:
    return isinstance(value, (int, float)) and value == number


def wanted_float(kind: str, dtype: DTypeLike) -> DType:
    """The float dtype of a name; raises for others."""
    found = find_dtype(dtype)
    if found is None or not found.is_float:
        raise DTypeError(f"random.{kind}: needs a float dtype, got {dtype}")
    return found
