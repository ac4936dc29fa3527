"""Activations whose gradient needs only the result, so the operand is not saved."""

from __future__ import annotations

import numpy as np

from graphc.ir.loops.scalar import S, ScalarEmitter
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array


class Relu(Elementwise):
    """max(x, 0), NaN for NaN; the gradient at 0 is 0"""

    name = "relu"
    kinds = "if"
    domain = ((-4.0, 4.0),)

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, x: V) -> tuple[V]:
        """The cotangent where y is positive (or NaN)."""
        return (f.choose(y <= 0, 0, dy),)

    def evaluate(self, x: Array) -> Array:
        """numpy's maximum with 0."""
        with np.errstate(all="ignore"):
            return np.asarray(np.maximum(x, np.zeros_like(x)))

    def emit(self, e: ScalarEmitter[S], x: S) -> S:
        """One selection; false for NaN, which passes."""
        zero = e.const(0, e.dtype(x))
        return e.select(e.le(x, zero), zero, x)
