"""Scalar functions defined over the primitives of `ScalarEmitter`, once for all backends.

Largest errors seen, in units of the last place (float32 / float64, with fma; half a unit more at
most without): exp 1.0, exp2 0.9, expm1 1.3 / 2.0, log 0.8, log2 1.2 / 1.0, log1p 1.4 / 1.1,
tanh 2.4, sigmoid 2.0 / 2.2, softplus 1.7, sin and cos 1.5 / 0.8, erf 2.0 / 1.4, pow 0.53 / 0.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.loops.elementary_exp import exp, exp2, expm1, sigmoid, softplus, tanh
from graphc.loops.elementary_log import log, log1p, log2
from graphc.loops.elementary_pow import pow
from graphc.loops.elementary_trig import cos, erf, sin
from graphc.loops.formats import Emitter
from graphc.loops.quotients import floor_div, remainder
from graphc.loops.random_bits import normal_float, philox, philox_block, unit_float
from graphc.types import bool_


def maximum(e: Emitter, x: Any, y: Any) -> Any:
    """The larger value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_or(x, y)
    larger = e.select(e.lt(y, x), x, y)
    return e.select(e.ne(x, x), x, larger) if e.dtype(x).is_float else larger


def minimum(e: Emitter, x: Any, y: Any) -> Any:
    """The smaller value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_and(x, y)
    smaller = e.select(e.lt(x, y), x, y)
    return e.select(e.ne(x, x), x, smaller) if e.dtype(x).is_float else smaller


def sign(e: Emitter, x: Any) -> Any:
    """-1, 0 or 1; a float zero and NaN stay as they are."""
    dtype = e.dtype(x)
    zero, one = e.const(0, dtype), e.const(1, dtype)
    positive = e.select(e.lt(zero, x), one, x)
    if dtype.kind == "u":
        return positive
    return e.select(e.lt(x, zero), e.const(-1, dtype), positive)


# every name of scalar.DEFINED
DEFINITIONS: dict[str, Callable[..., Any]] = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "sin": sin,
    "cos": cos,
    "erf": erf,
    "pow": pow,
    "maximum": maximum,
    "minimum": minimum,
    "sign": sign,
    "floor_div": floor_div,
    "remainder": remainder,
    "philox": philox,
    "unit_float": unit_float,
    "normal_float": normal_float,
}

__all__ = [*DEFINITIONS, "DEFINITIONS", "philox_block"]
