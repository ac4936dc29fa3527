"""Functions of the bits of floats, and lengths without overflow."""

from __future__ import annotations

from graphc.ir.loops.formats import FORMATS, Emitter, select_const, widened
from graphc.ir.loops.scalar import S
from graphc.ir.types import DType, float32, float64, int16, int32, int64

_INTEGERS = {16: int16, 32: int32, 64: int64}


def _integer(dtype: DType) -> DType:
    return _INTEGERS[dtype.bits]


def copysign(e: Emitter[S], x: S, y: S) -> S:
    """The magnitude of x with the sign of y."""
    dtype = e.dtype(x)
    integer = _integer(dtype)
    sign = e.const(-1 << (dtype.bits - 1), integer)
    rest = e.const((1 << (dtype.bits - 1)) - 1, integer)
    kept = e.bit_and(e.bitcast(x, integer), rest)
    return e.bitcast(e.bit_or(kept, e.bit_and(e.bitcast(y, integer), sign)), dtype)


def nextafter(e: Emitter[S], x: S, y: S) -> S:
    """The number next to x in the direction of y."""
    dtype = e.dtype(x)
    integer = _integer(dtype)
    zero, one = e.const(0.0, dtype), e.const(1, integer)
    bits = e.bitcast(x, integer)
    # away from 0 the bits grow, whatever the sign
    grows = e.eq(e.lt(zero, x), e.lt(x, y))
    moved = e.bitcast(e.select(grows, e.add(bits, one), e.sub(bits, one)), dtype)
    least = copysign(e, e.bitcast(one, dtype), y)
    moved = e.select(e.eq(x, zero), least, moved)
    unknown = e.logical_or(e.ne(x, x), e.ne(y, y))
    return e.select(unknown, e.add(x, y), e.select(e.eq(x, y), y, moved))


# numbers whose squares are neither too large nor too small, and a factor for the others
_SQUARES = {float32: (2.0**-40, 2.0**60, 2.0**90), float64: (2.0**-400, 2.0**500, 2.0**650)}


@widened
def hypot(e: Emitter[S], x: S, y: S) -> S:
    """sqrt(x**2 + y**2) without overflow; infinite where one is."""
    f = FORMATS[e.dtype(x)]
    low, high, factor = _SQUARES[f.dtype]
    a, b = e.abs(x), e.abs(y)
    larger = e.select(e.lt(a, b), b, a)
    tiny, huge = e.lt(larger, e.const(low, f.dtype)), e.lt(e.const(high, f.dtype), larger)
    scale = e.select(
        tiny, e.const(factor, f.dtype), select_const(e, huge, 1 / factor, 1.0, f.dtype)
    )
    back = e.select(tiny, e.const(1 / factor, f.dtype), select_const(e, huge, factor, 1.0, f.dtype))
    a, b = e.mul(a, scale), e.mul(b, scale)
    length = e.mul(e.sqrt(e.fma(a, a, e.mul(b, b))), back)
    infinite = e.const(float("inf"), f.dtype)
    either = e.logical_or(e.eq(e.abs(x), infinite), e.eq(e.abs(y), infinite))
    return e.select(either, infinite, length)
