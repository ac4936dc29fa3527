"""Functions of statistics, element by element: around the error and the gamma function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from graphc.ir.loops.elementary_gamma import polygamma
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, float32, float64

ROOT_PI = math.sqrt(math.pi)
ASYMPTOTIC_FROM = 40.0  # asymptotic series of few terms are exact from here on


def each(function: Callable[[float], float], x: Array) -> Array:
    """A Python function of every element, in float64."""
    values = [function(v) for v in x.astype(np.float64).ravel()]
    with np.errstate(all="ignore"):
        return np.array(values, np.float64).reshape(x.shape).astype(x.dtype)


@dataclass(frozen=True)
class Erfc(Elementwise):
    """1 - erf(x), exact where that is small"""

    name = "erfc"
    kinds = "f"
    cost = 40
    domain = ((-2.0, 3.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """-2 exp(-x^2) / sqrt(pi)."""
        return (dy * (f.exp(-(x * x)) * (-2.0 / ROOT_PI)),)

    def evaluate(self, x: Array) -> Array:
        """The standard library's erfc."""
        return each(math.erfc, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("erfc", x)


@dataclass(frozen=True)
class ErfInv(Elementwise):
    """The number whose error function is x; infinite at 1 and -1, NaN beyond"""

    name = "erf_inv"
    kinds = "f"
    cost = 40
    domain = ((-0.95, 0.95),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """sqrt(pi) exp(y^2) / 2."""
        return (dy * (f.exp(y * y) * (0.5 * ROOT_PI)),)

    def evaluate(self, x: Array) -> Array:
        """Newton's steps from a quantile of the normal distribution."""
        return each(_erf_inv, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("erf_inv", x)


def _erf_inv(x: float) -> float:
    if x < 0:
        return -_erf_inv(-x)
    if not 0 < x < 1:
        return x if x == 0 else math.inf if x == 1 else math.nan
    y = -NormalDist().inv_cdf((1 - x) / 2) / math.sqrt(2) if x > 1e-3 else x * ROOT_PI / 2
    for _ in range(3):
        error = math.erf(y) - x if x < 0.5 else (1 - x) - math.erfc(y)
        y -= error * ROOT_PI / 2 * math.exp(y * y)
    return y


@dataclass(frozen=True)
class LogGamma(Elementwise):
    """log |gamma(x)|; infinite at 0 and at negative whole numbers"""

    name = "lgamma"
    kinds = "f"
    cost = 90
    domain = ((0.2, 6.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """digamma."""
        return (dy * f.apply(Digamma(), x),)

    def evaluate(self, x: Array) -> Array:
        """The standard library's lgamma."""
        return each(_lgamma, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("lgamma", x)


def _lgamma(x: float) -> float:
    if x <= 0 and (math.isinf(x) or x == math.floor(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class Digamma(Elementwise):
    """The derivative of log gamma; infinite at 0, NaN at negative whole numbers"""

    name = "digamma"
    kinds = "f"
    cost = 90
    domain = ((0.3, 6.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """polygamma of order 1."""
        return (dy * f.apply(Polygamma(1), x),)

    def evaluate(self, x: Array) -> Array:
        """One step of the recurrence after the other, then the series."""
        return each(_digamma, x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return e.apply("digamma", x)


def _digamma(x: float) -> float:
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0:
        if math.isinf(x) or x == math.floor(x):
            return math.nan
        rest = math.pi * (x - round(x))
        return _digamma(1 - x) - math.pi * math.cos(rest) / math.sin(rest)
    total = 0.0
    while x < ASYMPTOTIC_FROM:
        total -= 1 / x
        x += 1
    z = 1 / (x * x)
    return total + (math.log(x) - 0.5 / x - z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z / 240))))


@dataclass(frozen=True)
class Polygamma(Elementwise):
    """The order-th derivative of digamma; for orders above 1 NaN where x is negative"""

    name = "polygamma"
    order: int
    kinds = "f"
    cost = 150
    domain = ((0.5, 6.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The next order."""
        return (dy * f.apply(Polygamma(self.order + 1), x),)

    def evaluate(self, x: Array) -> Array:
        """One step of the recurrence after the other, then the series."""
        return each(lambda v: _polygamma(self.order, v), x)

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """Hurwitz's zeta function."""
        return polygamma(e, self.order, x)

    @classmethod
    def samples(cls) -> Samples:
        """Several orders."""
        found = [(cls(n), (TensorType(float32, (17,)),)) for n in (1, 2, 3, 6)]
        return (*found, (cls(1), (TensorType(float64, (3, 5)),)))


def _polygamma(n: int, x: float) -> float:
    if x <= 0:
        if n == 1 and x < 0 and not math.isinf(x) and x != math.floor(x):
            return (math.pi / math.sin(math.pi * (x - round(x)))) ** 2 - _polygamma(1, 1 - x)
        if x == 0:
            return math.inf if n % 2 else -math.inf
        return math.inf if n == 1 and not math.isinf(x) else math.nan
    total, factorial = 0.0, float(math.factorial(n))
    while x < ASYMPTOTIC_FROM:
        total += factorial / x ** (n + 1)
        x += 1
    z, f = 1 / x, math.factorial
    tail = f(n - 1) * z**n + f(n) * z ** (n + 1) / 2 + f(n + 1) * z ** (n + 2) / 12
    tail += -f(n + 3) * z ** (n + 4) / 720 + f(n + 5) * z ** (n + 6) / 30240
    tail -= f(n + 7) * z ** (n + 8) / 1209600
    return (total + tail) * (1 if n % 2 else -1)
