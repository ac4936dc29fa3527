"""Inverse trigonometric and hyperbolic functions, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.elementwise import WIDE_DOMAIN, PiecewiseConstant
from graphc.ir.ops.elementwise_math import compute
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array


@dataclass(frozen=True)
class NamedFunction(Elementwise):
    """A float function that the loop level defines under the op's name and numpy under `ufunc`."""

    kinds: ClassVar[str] = "f"
    cost: ClassVar[int] = 25
    ufunc: ClassVar[Any]

    def evaluate(self, *arrays: Array) -> Array:
        """numpy's function."""
        return compute(self.ufunc, *arrays)

    def emit(self, e: ScalarEmitter[S], *xs: S) -> S:
        """As defined at the loop level."""
        return e.apply(self.name, *xs)


@dataclass(frozen=True)
class Atan(NamedFunction):
    """The angle whose tangent is x"""

    name = "atan"
    ufunc = np.arctan
    domain = ((-4.0, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / (1 + x^2)."""
        return (dy / (x * x + 1.0),)


@dataclass(frozen=True)
class Atan2(NamedFunction):
    """The angle of the point (x, y), y being the first operand"""

    name = "atan2"
    ufunc = np.arctan2
    domain = ((0.5, 4.0), (-4.0, 4.0))

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, y: V, x: V) -> tuple[V, V]:
        """x and -y over the square of the distance."""
        share = dz / (x * x + y * y)
        return share * x, -(share * y)


@dataclass(frozen=True)
class Asin(NamedFunction):
    """The angle whose sine is x; NaN outside [-1, 1]"""

    name = "asin"
    ufunc = np.arcsin
    domain = ((-0.9, 0.9),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / sqrt(1 - x^2)."""
        return (dy / f.sqrt((1.0 - x) * (x + 1.0)),)


@dataclass(frozen=True)
class Acos(NamedFunction):
    """The angle whose cosine is x; NaN outside [-1, 1]"""

    name = "acos"
    ufunc = np.arccos
    domain = ((-0.9, 0.9),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """-1 / sqrt(1 - x^2)."""
        return (-(dy / f.sqrt((1.0 - x) * (x + 1.0))),)


@dataclass(frozen=True)
class Sinh(NamedFunction):
    """The hyperbolic sine"""

    name = "sinh"
    ufunc = np.sinh
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The hyperbolic cosine."""
        return (dy * f.apply(Cosh(), x),)


@dataclass(frozen=True)
class Cosh(NamedFunction):
    """The hyperbolic cosine"""

    name = "cosh"
    ufunc = np.cosh
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The hyperbolic sine."""
        return (dy * f.apply(Sinh(), x),)


@dataclass(frozen=True)
class Asinh(NamedFunction):
    """The number whose hyperbolic sine is x"""

    name = "asinh"
    ufunc = np.arcsinh
    domain = ((-4.0, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / sqrt(x^2 + 1)."""
        return (dy / f.sqrt(x * x + 1.0),)


@dataclass(frozen=True)
class Acosh(NamedFunction):
    """The number above 0 whose hyperbolic cosine is x; NaN below 1"""

    name = "acosh"
    ufunc = np.arccosh
    domain = ((1.2, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / sqrt(x^2 - 1)."""
        return (dy / f.sqrt((x - 1.0) * (x + 1.0)),)


@dataclass(frozen=True)
class Atanh(NamedFunction):
    """The number whose hyperbolic tangent is x; NaN outside [-1, 1]"""

    name = "atanh"
    ufunc = np.arctanh
    domain = ((-0.9, 0.9),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / (1 - x^2)."""
        return (dy / ((1.0 - x) * (x + 1.0)),)


@dataclass(frozen=True)
class Hypot(NamedFunction):
    """sqrt(x^2 + y^2) without overflow; the gradient at 0 is 0"""

    name = "hypot"
    ufunc = np.hypot
    cost = 8
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, V]:
        """The direction of the point."""
        share = dz / f.where(z == 0.0, 1.0, z)
        return share * x, share * y


@dataclass(frozen=True)
class CopySign(NamedFunction):
    """The magnitude of x with the sign of y"""

    name = "copysign"
    ufunc = np.copysign
    cost = 3
    domain = WIDE_DOMAIN

    def vjp(self, f: ArrayFunctions[V], z: V, dz: V, x: V, y: V) -> tuple[V, None]:
        """The cotangent, with the opposite sign where the sign changed."""
        return f.where(z == x, dz, -dz), None


@dataclass(frozen=True)
class NextAfter(PiecewiseConstant):
    """The number next to x in the direction of y"""

    name = "nextafter"
    kinds = "f"
    cost = 8
    domain = WIDE_DOMAIN

    def evaluate(self, x: Array, y: Array) -> Array:
        """numpy's nextafter; of 16-bit floats through their bits."""
        if x.dtype.name != "bfloat16":
            return np.asarray(np.nextafter(x, y))
        low = np.array(1, np.int16).view(x.dtype)
        with np.errstate(all="ignore"):
            step = np.where((x > 0) == (x < y), 1, -1).astype(np.int16)
            moved = (x.view(np.int16) + step).view(x.dtype)
            moved = np.where(x == 0, np.copysign(low, y), moved)
            return np.where(np.isnan(x) | np.isnan(y), x + y, np.where(x == y, y, moved))

    def emit(self, e: ScalarEmitter[S], x: S, y: S) -> S:
        """As defined at the loop level."""
        return e.apply("nextafter", x, y)
