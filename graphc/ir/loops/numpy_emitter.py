"""The scalar primitives on numpy arrays, element by element: the oracle for backends."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.types import Array, DType, bfloat16, bool_, find_dtype, float32, float64


def _quiet(method: Callable[..., Any]) -> Callable[..., Any]:
    """Compute without warnings: overflow and invalid operations have defined results."""

    def apply(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return method(*args)

    apply.__name__, apply.__doc__ = method.__name__, method.__doc__
    return apply


class NumpyEmitter:
    """`ScalarEmitter` whose values are numpy arrays or scalars; `fma` rounds once."""

    def const(self, value: float, dtype: DType) -> Array:
        """Return a literal; integers wrap around."""
        if dtype.is_integer:
            value = int(value) % 2**dtype.bits
            if dtype.kind == "i" and value >= 2 ** (dtype.bits - 1):
                value -= 2**dtype.bits
        result: Array = dtype.numpy.type(value)
        return result

    def dtype(self, x: Array) -> DType:
        """Return the dtype of a value."""
        found = find_dtype(x.dtype)
        if found is None:
            found = bfloat16 if x.dtype.name == "bfloat16" else None
        assert found is not None, f"no dtype for {x.dtype}"
        return found

    def apply(self, function: str, *xs: Array) -> Array:
        """Apply a primitive or defined function by its name."""
        if function in DEFINITIONS:
            defined: Array = DEFINITIONS[function](self, *xs)
            return defined
        result: Array = getattr(self, function)(*xs)
        return result

    def select_unlikely(self, condition: Array, function: str, x: Array, usual: Array) -> Array:
        """Choose between the function, applied where the condition holds, and what is usual."""
        if not np.any(condition):
            return usual
        return self.select(condition, self.apply(function, x), usual)

    @_quiet
    def add(self, x: Array, y: Array) -> Array:
        return x + y

    @_quiet
    def sub(self, x: Array, y: Array) -> Array:
        return x - y

    @_quiet
    def mul(self, x: Array, y: Array) -> Array:
        return x * y

    @_quiet
    def div(self, x: Array, y: Array) -> Array:
        if self.dtype(x).is_float:
            return x / y
        quotient = x // y  # rounded down; truncation differs where the signs do
        result: Array = quotient + ((quotient < 0) & (quotient * y != x)).astype(quotient.dtype)
        return result

    @_quiet
    def rem(self, x: Array, y: Array) -> Array:
        return np.fmod(x, y)

    def mulhi(self, x: Array, y: Array) -> Array:
        """Return the upper half of the product of two uint32."""
        wide = np.asarray(x).astype(np.uint64) * np.asarray(y).astype(np.uint64)
        return (wide >> np.uint64(32)).astype(np.uint32)[()]

    @_quiet
    def fma(self, x: Array, y: Array, z: Array) -> Array:
        dtype = self.dtype(x)
        if dtype == float64:
            return _fma64(x, y, z)
        # the product is exact in float64, and rounding the sum to odd makes rounding it again safe
        wide = [np.asarray(v).astype(np.float64) for v in (x, y, z)]
        total = _add_to_odd(wide[0] * wide[1], wide[2])
        return self._narrow(total, dtype)[()]

    def _narrow(self, total: Array, dtype: DType) -> Array:
        if dtype == float32:
            return total.astype(np.float32)
        single = _float32_to_odd(total)
        return single.astype(dtype.numpy)

    @_quiet
    def neg(self, x: Array) -> Array:
        return -x

    @_quiet
    def abs(self, x: Array) -> Array:
        return np.abs(x)

    @_quiet
    def sqrt(self, x: Array) -> Array:
        return np.sqrt(x)

    @_quiet
    def floor(self, x: Array) -> Array:
        return np.floor(x)

    @_quiet
    def ceil(self, x: Array) -> Array:
        return np.ceil(x)

    @_quiet
    def trunc(self, x: Array) -> Array:
        return np.trunc(x)

    @_quiet
    def rint(self, x: Array) -> Array:
        return np.rint(x)

    @_quiet
    def lt(self, x: Array, y: Array) -> Array:
        return x < y

    @_quiet
    def le(self, x: Array, y: Array) -> Array:
        return x <= y

    @_quiet
    def eq(self, x: Array, y: Array) -> Array:
        result: Array = x == y
        return result

    @_quiet
    def ne(self, x: Array, y: Array) -> Array:
        result: Array = x != y
        return result

    def logical_and(self, x: Array, y: Array) -> Array:
        return x & y

    def logical_or(self, x: Array, y: Array) -> Array:
        return x | y

    def logical_not(self, x: Array) -> Array:
        return np.logical_not(x)

    def bit_and(self, x: Array, y: Array) -> Array:
        return x & y

    def bit_or(self, x: Array, y: Array) -> Array:
        return x | y

    def bit_xor(self, x: Array, y: Array) -> Array:
        return x ^ y

    def shl(self, x: Array, y: Array) -> Array:
        return x << y

    def shr(self, x: Array, y: Array) -> Array:
        return x >> y

    def select(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)[()]

    @_quiet
    def cast(self, x: Array, dtype: DType) -> Array:
        """Convert the value; float to integer saturates and NaN gives 0."""
        source = self.dtype(x)
        x = np.asarray(x)
        if dtype == bool_:
            true: Array = (x != 0)[()]
            return true
        if not (source.is_float and dtype.is_integer):
            if source == float64 and dtype == bfloat16:
                x = _float32_to_odd(x)
            return x.astype(dtype.numpy)[()]
        return _saturate(x.astype(np.float64), dtype)[()]

    def bitcast(self, x: Array, dtype: DType) -> Array:
        """Return the same bits as another dtype."""
        return np.asarray(x).view(dtype.numpy)[()]


def _saturate(x: Array, dtype: DType) -> Array:
    least = -(2 ** (dtype.bits - 1)) if dtype.kind == "i" else 0
    limit = 2 ** (dtype.bits - 1) if dtype.kind == "i" else 2**dtype.bits
    inside = (x > least - 1 if dtype.bits < 64 else x >= least) & (x < limit)
    result = np.where(inside, x, 0.0).astype(dtype.numpy)
    result = np.where(x >= limit, dtype.numpy.type(limit - 1), result)
    low = (x < least) & ~inside
    return np.where(low, dtype.numpy.type(least), result)


def _two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """Return x + y rounded and the error (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """Return x * y rounded and the error, of float64 far from its limits (Dekker)."""
    product = x * y
    (xh, xl), (yh, yl) = _halves(x), _halves(y)
    return product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl


def _halves(x: Array) -> tuple[Array, Array]:
    scaled = x * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def _to_odd(total: Array, error: Array) -> Array:
    """Of the two neighbours of total + error, the one with an odd last bit; total if exact."""
    total = np.asarray(total)
    bits = total.view(np.int64)
    inexact = np.isfinite(total) & np.isfinite(error) & (error != 0)
    even = (bits & 1) == 0
    outward = (error > 0) == (total > 0)
    moved = bits + np.where(outward, 1, -1)
    return np.where(inexact & even, moved.view(np.float64), total)


def _add_to_odd(x: Array, y: Array) -> Array:
    return _to_odd(*_two_sum(x, y))


def _float32_to_odd(x: Array) -> Array:
    """Narrow to float32, odd where inexact, so that a further narrowing rounds correctly."""
    single = np.asarray(x).astype(np.float32)
    bits = single.view(np.int32)
    error = x - single.astype(np.float64)
    inexact = np.isfinite(single) & (error != 0)
    even = (bits & 1) == 0
    outward = (error > 0) == (np.signbit(single) == 0)
    moved = (bits + np.where(outward, 1, -1).astype(np.int32)).view(np.float32)
    # towards zero from a single that is 0 there is nothing below
    return np.where(inexact & even & ((single != 0) | outward), moved, single)


def _fma64(x: Array, y: Array, z: Array) -> Array:
    """Return x * y + z rounded once (Boldo and Melquiond, 2008), by integers near the limits."""
    x, y, z = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, y, z)))
    product, error = _two_product(x, y)
    high, low = _two_sum(z, error)
    total, rest = _two_sum(product, high)
    result = total + _add_to_odd(rest, low)
    plain = (x == 0) | (y == 0) | ~np.isfinite(x) | ~np.isfinite(y) | ~np.isfinite(z)
    result = np.where(plain, x * y + z, result)
    p, c = np.abs(x * y), np.abs(z)
    factors = np.maximum(np.abs(x), np.abs(y))
    safe = (p > 2.0**-900) & (p < 2.0**1000) & (factors < 2.0**990)
    safe &= (c == 0) | ((c > 2.0**-900) & (c < 2.0**1000))
    hard = np.flatnonzero(~(safe | plain).reshape(-1))
    flat = np.array(result).reshape(-1)
    for i in hard:
        flat[i] = _fma_exact(*(float(v.reshape(-1)[i]) for v in (x, y, z)))
    return flat.reshape(result.shape)[()]


def _fma_exact(x: float, y: float, z: float) -> float:
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return x * y + z
    try:
        return float(exact) if float(exact) != 0 or exact > 0 else -0.0
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")
