"""Powers and rounding, element by element."""

from __future__ import annotations

import numpy as np

from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.elementwise import PiecewiseConstant
from graphc.ir.ops.elementwise_math import compute
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array


class Pow(Elementwise):
    """x ** y; negative powers of integers are truncated towards 0"""

    name = "pow"
    kinds = "iuf"
    cost = 30
    domain = ((0.3, 3.0), (-2.0, 2.0))

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V | None, V | None]:
        """y x^(y-1) and z log(x); 0 where y = 0 and where x = 0 < y, the limits there."""
        exponent = f.known_number(y)
        if exponent is None:
            flat = y == 0.0
            dx = f.where(flat, 0.0, dz * y * f.apply(Pow(), x, f.where(flat, 1.0, y - 1.0)))
        elif exponent == 0.0:
            dx = f.zeros_like(x)  # x counts, although nothing depends on how large it is
        else:
            dx = dz * (exponent * x ** (exponent - 1.0))
        at_zero = x == 0.0
        dy = f.where(at_zero, 0.0, dz * z * f.log(f.where(at_zero, 1.0, x)))
        return dx, dy

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's power; negative powers of integers are truncated: 0 but for x = 1 and -1."""
        if x.dtype.kind not in "iu":
            return compute(np.power, x, y)
        powers = np.power(x, np.maximum(y, 0))
        units = np.where(np.abs(x) == 1, np.where(y % 2 == 0, 1, x), 0)
        return np.where(y < 0, units, powers).astype(x.dtype)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("pow", x, y)


class Floor(PiecewiseConstant):
    """The largest whole number that is not above x"""

    name = "floor"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's floor."""
        return compute(np.floor, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.floor(x)


class Ceil(PiecewiseConstant):
    """The smallest whole number that is not below x"""

    name = "ceil"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's ceil."""
        return compute(np.ceil, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.ceil(x)


class Trunc(PiecewiseConstant):
    """x without its fraction"""

    name = "trunc"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's trunc."""
        return compute(np.trunc, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.trunc(x)


class Round(PiecewiseConstant):
    """The nearest whole number, the even one of two"""

    name = "round"
    kinds = "f"
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's rint."""
        return compute(np.rint, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.rint(x)
