"""Modified Bessel functions of the first kind, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.ir.loops.elementary_bessel import bessel_i
from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.op import ArrayFunctions, Samples, V
from graphc.ir.types import Array, TensorType, float32, float64

TRAPEZOIDS = 256  # of the trapezoidal rule, which is exact for them up to TRAPEZOIDS_END
TRAPEZOIDS_END = 600.0


@dataclass(frozen=True)
class BesselI(Elementwise):
    """The modified Bessel function of order 0 or 1; `scaled` times exp(-abs(x))"""

    name = "bessel_i"
    order: int
    scaled: bool
    kinds = "f"
    cost = 60
    domain = ((-12.0, 12.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """I0' = I1 and I1' = I0 - I1 / x, which is 1 / 2 at 0; the scale gives -sign(x) y."""
        other = f.apply(BesselI(1 - self.order, self.scaled), x)
        slope = other
        if self.order:
            zero = x == 0.0
            slope = f.where(zero, 0.5, other - y / f.where(zero, 1.0, x))
        return (dy * (slope - f.sign(x) * y if self.scaled else slope),)

    def evaluate(self, x: Array) -> Array:
        """The integral of exp(x cos t), of x exp(x cos t) sin(t)^2 for order 1, over a turn."""
        wide = x.astype(np.float64)
        magnitude, scaled = np.abs(wide), np.zeros(x.shape)
        with np.errstate(all="ignore"):
            for t in np.arange(TRAPEZOIDS) * (2 * np.pi / TRAPEZOIDS):
                weight = magnitude * np.sin(t) ** 2 if self.order else 1.0
                scaled = scaled + np.exp(magnitude * (np.cos(t) - 1.0)) * weight / TRAPEZOIDS
            scaled = np.where(magnitude < TRAPEZOIDS_END, scaled, self._far(magnitude))
            half = 1.0 if self.scaled else np.exp(magnitude / 2)
            value = np.where(np.isinf(half), half, scaled * half * half)
            return np.asarray(np.copysign(value, wide) if self.order else value).astype(x.dtype)

    def _far(self, x: Array) -> Array:
        """Hankel's expansion."""
        total = term = np.ones_like(x)
        for k in range(1, 8):
            term = term * ((2 * k - 1) ** 2 - 4 * self.order) / (8 * k * x)
            total = total + term
        return np.asarray(total / np.sqrt(2 * np.pi * x))

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """As defined at the loop level."""
        return bessel_i(e, self.order, self.scaled, x)

    @classmethod
    def samples(cls) -> Samples:
        """Both orders, with and without the scale."""
        ops = [cls(order, scaled) for order in (0, 1) for scaled in (False, True)]
        return (*((op, (TensorType(float32, (17,)),)) for op in ops),
                (ops[0], (TensorType(float64, (3, 5)),)))  # fmt: skip
