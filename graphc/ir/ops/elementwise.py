"""Arithmetic on numbers, element by element."""

from __future__ import annotations

import numpy as np

from graphc.errors import RuntimeCheckError
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array

WIDE_DOMAIN = ((-4.0, 4.0), (-4.0, 4.0))


class PiecewiseConstant(Elementwise):
    """A piecewise constant function: its gradient is 0 almost everywhere."""

    @property
    def differentiable(self) -> bool:
        """Flat between jumps."""
        return False


class Add(Elementwise):
    """x + y"""

    name = "add"
    kinds = "iuf"
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The cotangent, twice."""
        return dz, dz

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's add."""
        with np.errstate(all="ignore"):
            return np.asarray(x + y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One addition."""
        return e.add(x, y)


class Sub(Elementwise):
    """x - y"""

    name = "subtract"
    kinds = "iuf"
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The cotangent and its negative."""
        return dz, -dz

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's subtract."""
        with np.errstate(all="ignore"):
            return np.asarray(x - y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One subtraction."""
        return e.sub(x, y)


class Mul(Elementwise):
    """x * y"""

    name = "multiply"
    kinds = "iuf"
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The product rule."""
        return dz * y, dz * x

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's multiply."""
        with np.errstate(all="ignore"):
            return np.asarray(x * y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One multiplication."""
        return e.mul(x, y)


class Div(Elementwise):
    """x / y for floats"""

    name = "divide"
    kinds = "f"
    domain = ((-4.0, 4.0), (0.5, 4.0))

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The quotient rule, in terms of the quotient."""
        dx = dz / y
        return dx, -(dx * z)

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's divide."""
        with np.errstate(all="ignore"):
            return np.asarray(x / y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """One division."""
        return e.div(x, y)


class FloorDivide(PiecewiseConstant):
    """x / y rounded down; the function checks that an integer y is not 0"""

    name = "floor_divide"
    kinds = "iuf"
    cost = 4
    domain = ((-9.0, 9.0), (1.0, 4.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's floor_divide."""
        check_divisor(self.name, y)
        with np.errstate(all="ignore"):
            return np.asarray(x // y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("floor_div", x, y)


class Remainder(Elementwise):
    """x - floor(x / y) * y, with the sign of y; the function checks an integer y"""

    name = "remainder"
    kinds = "iuf"
    cost = 5
    domain = ((-9.0, 9.0), (1.0, 4.0))

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The quotient counts as a constant."""
        return dz, -(dz * (x // y))

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's remainder."""
        check_divisor(self.name, y)
        with np.errstate(all="ignore"):
            return np.asarray(x % y)

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("remainder", x, y)


def check_divisor(name: str, y: Array) -> None:
    """Raise where an integer divisor is 0."""
    if y.dtype.kind in "iu" and not np.all(y):
        raise RuntimeCheckError(f"{name}: integer division by zero")


class Neg(Elementwise):
    """-x"""

    name = "negative"
    kinds = "iuf"
    domain = ((-4.0, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The negative cotangent."""
        return (-dy,)

    def evaluate(self, x: Array) -> Array:
        """numpy's negative."""
        return np.asarray(np.negative(x))

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One negation."""
        return e.neg(x)


class Abs(Elementwise):
    """|x|; the gradient at 0 is 0"""

    name = "abs"
    kinds = "iuf"
    domain = ((-4.0, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The cotangent with the sign of x."""
        return (dy * f.apply(Sign(), x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's abs."""
        return np.asarray(np.abs(x))

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive; the identity for unsigned integers."""
        return x if e.dtype(x).kind == "u" else e.abs(x)


class Sign(PiecewiseConstant):
    """-1, 0 or 1; NaN for NaN"""

    name = "sign"
    kinds = "iuf"
    cost = 2
    domain = ((-4.0, 4.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's sign."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sign(x), x.dtype)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("sign", x)


class Maximum(Elementwise):
    """The larger of x and y, NaN if either is NaN; ties share the gradient evenly"""

    name = "maximum"
    kinds = "iuf"
    cost = 2
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The cotangent goes to the larger one."""
        return winner_contribution(f, dz, x > y, x, y), winner_contribution(f, dz, y > x, y, x)

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's maximum."""
        with np.errstate(all="ignore"):
            return np.asarray(np.maximum(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("maximum", x, y)


class Minimum(Elementwise):
    """The smaller of x and y, NaN if either is NaN; ties share the gradient evenly"""

    name = "minimum"
    kinds = "iuf"
    cost = 2
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The cotangent goes to the smaller one."""
        return winner_contribution(f, dz, x < y, x, y), winner_contribution(f, dz, y < x, y, x)

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's minimum."""
        with np.errstate(all="ignore"):
            return np.asarray(np.minimum(x, y))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("minimum", x, y)


def winner_contribution(f: ArrayFunctions[V], dz: V, wins: V, x: V, y: V) -> V:
    """The share of x: all where it wins or is a NaN beside a number, half at ties, else 0."""
    share = f.choose(wins, dz, f.choose(x == y, dz * 0.5, 0.0))
    return f.choose(x != x, f.choose(y != y, dz * 0.5, dz), share) if x.dtype.is_float else share
