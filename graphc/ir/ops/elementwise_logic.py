"""Comparisons, logic, bits, choice and conversion, element by element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Comparison, Elementwise
from graphc.ir.ops.elementwise import WIDE_DOMAIN, PiecewiseConstant
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import (
    ALL_DTYPES,
    Array,
    DType,
    TensorType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)


class Less(Comparison):
    """x < y"""

    name = "less"
    kinds = "iuf"
    domain = WIDE_DOMAIN

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's less."""
        with np.errstate(all="ignore"):
            return np.asarray(np.less(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One comparison."""
        return e.lt(x, y)


class LessEqual(Comparison):
    """x <= y"""

    name = "less_equal"
    kinds = "iuf"
    domain = WIDE_DOMAIN

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's less_equal."""
        with np.errstate(all="ignore"):
            return np.asarray(np.less_equal(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One comparison."""
        return e.le(x, y)


class Equal(Comparison):
    """x == y"""

    name = "equal"
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's equal."""
        with np.errstate(all="ignore"):
            return np.asarray(np.equal(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One comparison."""
        return e.eq(x, y)


class NotEqual(Comparison):
    """x != y; true for NaN against anything"""

    name = "not_equal"
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's not_equal."""
        with np.errstate(all="ignore"):
            return np.asarray(np.not_equal(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One comparison."""
        return e.ne(x, y)


class LogicalAnd(PiecewiseConstant):
    """Both true"""

    name = "logical_and"
    kinds = "b"

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's logical_and."""
        return np.asarray(np.logical_and(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One primitive."""
        return e.logical_and(x, y)


class LogicalOr(PiecewiseConstant):
    """At least one true"""

    name = "logical_or"
    kinds = "b"

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's logical_or."""
        return np.asarray(np.logical_or(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One primitive."""
        return e.logical_or(x, y)


class LogicalNot(PiecewiseConstant):
    """The other truth value"""

    name = "logical_not"
    kinds = "b"

    def evaluate(self, x: Array) -> Array:
        """numpy's logical_not."""
        return np.asarray(np.logical_not(x))

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.logical_not(x)


class BitAnd(PiecewiseConstant):
    """The bits set in both"""

    name = "bitwise_and"
    kinds = "iu"

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's bitwise_and."""
        return np.asarray(x & y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One primitive."""
        return e.bit_and(x, y)


class BitOr(PiecewiseConstant):
    """The bits set in either"""

    name = "bitwise_or"
    kinds = "iu"

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's bitwise_or."""
        return np.asarray(x | y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One primitive."""
        return e.bit_or(x, y)


class BitXor(PiecewiseConstant):
    """The bits set in exactly one"""

    name = "bitwise_xor"
    kinds = "iu"

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's bitwise_xor."""
        return np.asarray(x ^ y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One primitive."""
        return e.bit_xor(x, y)


class BitNot(PiecewiseConstant):
    """The bits that are not set"""

    name = "bitwise_invert"
    kinds = "iu"

    def evaluate(self, x: Array) -> Array:
        """numpy's invert."""
        return np.asarray(~x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """All bits flipped by xor."""
        dtype = e.dtype(x)
        ones = -1 if dtype.kind == "i" else 2**dtype.bits - 1
        return e.bit_xor(x, e.const(ones, dtype))


class ShiftLeft(PiecewiseConstant):
    """x times 2 ** y; 0 where y is negative or not below the width"""

    name = "bitwise_left_shift"
    kinds = "iu"
    cost = 3
    domain = ((-9.0, 9.0), (-2.0, 70.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's left_shift inside the width."""
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        return np.where(inside, np.left_shift(x, np.where(inside, y, 0)), 0).astype(x.dtype)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """Shift by 0 where the primitive is undefined, and drop that."""
        return shifted(e, e.shl, x, y)


class ShiftRight(PiecewiseConstant):
    """x divided by 2 ** y, rounded down; 0 where y is negative or not below the width"""

    name = "bitwise_right_shift"
    kinds = "iu"
    cost = 3
    domain = ((-100.0, 100.0), (-2.0, 70.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's right_shift inside the width."""
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        return np.where(inside, np.right_shift(x, np.where(inside, y, 0)), 0).astype(x.dtype)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """Shift by 0 where the primitive is undefined, and drop that."""
        return shifted(e, e.shr, x, y)


def shifted(e: ScalarEmitter[S], shift: Callable[[S, S], S], x: S, y: S) -> S:
    """shift(x, y) where 0 <= y < width, else 0."""
    dtype = e.dtype(x)
    zero, width = e.const(0, dtype), e.const(dtype.bits, dtype)
    inside = e.logical_and(e.le(zero, y), e.lt(y, width))
    return e.select(inside, shift(x, e.select(inside, y, zero)), zero)


@dataclass(frozen=True)
class Where(Elementwise):
    """x where the condition is true, else y; the other one's gradient there is 0, never NaN

    `guarded` keeps that promise for everything that the branches are made of; without it their
    gradients may be multiplied by 0, which is as good where they are finite. It is no part of
    the value, so the two kinds are equal.
    """

    name = "where"
    guarded: bool = field(default=True, compare=False, repr=False)

    def infer(self, condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
        """The condition is bool, x and y have one dtype, all have one shape."""
        if condition.dtype != bool_:
            raise DTypeError(
                f"where: the condition must be bool, got {condition.dtype.name} (input 0)",
                hint="compare it with 0: condition != 0",
            )
        self.check_shapes((condition, x, y))
        if x.dtype != y.dtype:
            raise DTypeError(
                f"where: dtypes differ: {x.dtype.name} (input 1) vs {y.dtype.name} (input 2)",
                hint="convert one with astype",
            )
        return x

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, c: V, x: V, y: V) -> tuple[V | None, ...]:
        """Nothing, and the cotangent where each was chosen."""
        choose = f.where if self.guarded else f.choose
        return None, choose(c, dz, 0.0), choose(c, 0.0, dz)

    def evaluate(self, condition: Array, x: Array, y: Array) -> Array:
        """numpy's where."""
        return np.where(condition, x, y)

    def emit(self, e: ScalarEmitter[S], condition: S, x: S, y: S) -> S:
        """One primitive."""
        return e.select(condition, x, y)

    @classmethod
    def samples(cls) -> Samples:
        """Floats and integers."""
        return tuple(
            (cls(), (TensorType(bool_, (3, 5)), TensorType(d, (3, 5)), TensorType(d, (3, 5))))
            for d in (float32, int32, bool_)
        )


@dataclass(frozen=True)
class Cast(Elementwise):
    """The same values as another dtype; floats to integers saturate and NaN gives 0"""

    name = "astype"
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-300.0, 300.0),)
    dtype: DType
    promotes: bool = field(default=False, compare=False, repr=False)  # nobody asked for it

    def infer(self, *types: TensorType) -> TensorType:
        """The shape of x with the new dtype."""
        return types[0].with_dtype(self.dtype)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V | None]:
        """The cotangent converted back, between floats only."""
        return (f.astype(dy, x.dtype) if x.dtype.is_float and self.dtype.is_float else None,)

    def evaluate(self, x: Array) -> Array:
        """numpy's astype, with saturation."""
        if self.dtype.is_integer and x.dtype.kind not in "biu":
            return saturated(x.astype(np.float64), self.dtype)
        with np.errstate(all="ignore"):
            return x.astype(self.dtype.numpy)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.cast(x, self.dtype)

    @classmethod
    def samples(cls) -> Samples:
        """Every pair of dtypes."""
        return tuple(
            (cls(new), (TensorType(old, (7,)),)) for old in ALL_DTYPES for new in ALL_DTYPES
        )


def saturated(x: Array, dtype: DType) -> Array:
    """float64 rounded towards 0 into an integer dtype; its bounds beyond them, 0 for NaN."""
    bounds = np.iinfo(dtype.numpy)
    low, high = x <= float(bounds.min), x >= float(bounds.max)
    inside = ~(low | high | np.isnan(x))
    result = np.where(inside, x, 0.0).astype(dtype.numpy)
    result[low] = bounds.min
    result[high] = bounds.max
    return result


@dataclass(frozen=True)
class Bitcast(PiecewiseConstant):
    """The same bits as another dtype of the same width"""

    name = "bitcast"
    dtype: DType
    promotes: bool = field(default=False, compare=False, repr=False)  # nobody asked for it

    def infer(self, *types: TensorType) -> TensorType:
        """The shape of x with the new dtype."""
        if types[0].dtype.itemsize != self.dtype.itemsize or "b" in (
            types[0].dtype.kind,
            self.dtype.kind,
        ):
            raise DTypeError(
                f"bitcast: {types[0].dtype.name} (input 0) and {self.dtype.name} differ in width"
            )
        return types[0].with_dtype(self.dtype)

    def evaluate(self, x: Array) -> Array:
        """numpy's view."""
        return np.ascontiguousarray(x).view(self.dtype.numpy).reshape(x.shape)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.bitcast(x, self.dtype)

    @classmethod
    def samples(cls) -> Samples:
        """There and back, for every width."""
        pairs = ((float32, int32), (float64, int64), (float16, uint16), (bfloat16, int16),
                 (uint8, int8), (uint64, int64), (uint32, int32))  # fmt: skip
        ways = (way for a, b in pairs for way in ((a, b), (b, a)))
        return tuple((cls(target), (TensorType(source, (7,)),)) for source, target in ways)


class StopGradient(PiecewiseConstant):
    """x, as a constant to every derivative"""

    name = "stop_gradient"
    cost = 0
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """x itself."""
        return x

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """Nothing."""
        return x
