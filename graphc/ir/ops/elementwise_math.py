"""Elementary functions of floats, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array


def compute(function: Callable[..., Any], *arrays: Array) -> Array:
    """Apply a numpy function without warnings; 16-bit floats go through float32."""
    dtype = arrays[0].dtype
    if dtype.itemsize == 2:
        arrays = tuple(x.astype(np.float32) for x in arrays)
    with np.errstate(all="ignore"):
        return np.asarray(function(*arrays)).astype(dtype)


class Exp(Elementwise):
    """e ** x"""

    name = "exp"
    kinds = "f"
    cost = 10
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """Its own derivative."""
        return (dy * y,)

    def evaluate(self, x: Array) -> Array:
        """numpy's exp."""
        return compute(np.exp, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("exp", x)


class Exp2(Elementwise):
    """2 ** x"""

    name = "exp2"
    kinds = "f"
    cost = 10
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """log(2) times the value."""
        return (dy * y * math.log(2.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's exp2."""
        return compute(np.exp2, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("exp2", x)


class Expm1(Elementwise):
    """e ** x - 1, exact near 0"""

    name = "expm1"
    kinds = "f"
    cost = 12
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The exponential again."""
        return (dy * (y + 1.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's expm1."""
        return compute(np.expm1, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("expm1", x)


class Log(Elementwise):
    """The natural logarithm"""

    name = "log"
    kinds = "f"
    cost = 10
    domain = ((0.2, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / x."""
        return (dy / x,)

    def evaluate(self, x: Array) -> Array:
        """numpy's log."""
        return compute(np.log, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("log", x)


class Log2(Elementwise):
    """The logarithm to base 2"""

    name = "log2"
    kinds = "f"
    cost = 10
    domain = ((0.2, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / (x log 2)."""
        return (dy / (x * math.log(2.0)),)

    def evaluate(self, x: Array) -> Array:
        """numpy's log2."""
        return compute(np.log2, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("log2", x)


class Log1p(Elementwise):
    """log(1 + x), exact near 0"""

    name = "log1p"
    kinds = "f"
    cost = 12
    domain = ((-0.7, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / (1 + x)."""
        return (dy / (x + 1.0),)

    def evaluate(self, x: Array) -> Array:
        """numpy's log1p."""
        return compute(np.log1p, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("log1p", x)


class Sqrt(Elementwise):
    """The square root; its gradient at 0 is infinite"""

    name = "sqrt"
    kinds = "f"
    cost = 4
    domain = ((0.2, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """1 / (2 y)."""
        return (dy * 0.5 / y,)

    def evaluate(self, x: Array) -> Array:
        """numpy's sqrt."""
        return compute(np.sqrt, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One primitive."""
        return e.sqrt(x)


class Tanh(Elementwise):
    """The hyperbolic tangent"""

    name = "tanh"
    kinds = "f"
    cost = 15
    domain = ((-3.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """In terms of y, so that x need not be kept."""
        return (dy * (1.0 - y * y),)

    def evaluate(self, x: Array) -> Array:
        """numpy's tanh."""
        return compute(np.tanh, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("tanh", x)


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))"""

    name = "sigmoid"
    kinds = "f"
    cost = 12
    domain = ((-5.0, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """In terms of y, so that x need not be kept."""
        return (dy * (y * (1.0 - y)),)

    def evaluate(self, x: Array) -> Array:
        """Through exp(-|x|), which never overflows."""

        def sigmoid(x: Array) -> Array:
            small = np.exp(-np.abs(x))
            return np.where(x >= 0, 1 / (1 + small), small / (1 + small))

        return compute(sigmoid, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("sigmoid", x)


class Softplus(Elementwise):
    """log(1 + exp(x))"""

    name = "softplus"
    kinds = "f"
    cost = 20
    domain = ((-5.0, 5.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The sigmoid."""
        return (dy * f.apply(Sigmoid(), x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's logaddexp with 0."""
        return compute(lambda x: np.logaddexp(x, np.zeros_like(x)), x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("softplus", x)


class Sin(Elementwise):
    """The sine"""

    name = "sin"
    kinds = "f"
    cost = 15
    domain = ((-6.0, 6.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The cosine."""
        return (dy * f.apply(Cos(), x),)

    def evaluate(self, x: Array) -> Array:
        """numpy's sin."""
        return compute(np.sin, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("sin", x)


class Cos(Elementwise):
    """The cosine"""

    name = "cos"
    kinds = "f"
    cost = 15
    domain = ((-6.0, 6.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The negative sine."""
        return (-(dy * f.apply(Sin(), x)),)

    def evaluate(self, x: Array) -> Array:
        """numpy's cos."""
        return compute(np.cos, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("cos", x)


class Erf(Elementwise):
    """The error function"""

    name = "erf"
    kinds = "f"
    cost = 20
    domain = ((-2.0, 2.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """2 exp(-x^2) / sqrt(pi)."""
        return (dy * (f.apply(Exp(), -(x * x)) * (2.0 / math.sqrt(math.pi))),)

    def evaluate(self, x: Array) -> Array:
        """The standard library's erf, in float64."""
        values = [math.erf(v) for v in x.astype(np.float64).ravel()]
        return np.array(values, np.float64).reshape(x.shape).astype(x.dtype)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("erf", x)
