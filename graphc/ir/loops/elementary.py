"""Scalar functions defined over the primitives of `ScalarEmitter`, once for all backends.

Largest errors seen, in units of the last place (float32 / float64, with fma; half a unit more at
most without): exp 1.0, exp2 0.9, expm1 1.3 / 2.0, log 0.8, log2 1.2 / 1.0, log1p 1.4 / 1.1,
tanh 2.4, sigmoid 2.0 / 2.2, softplus 1.7, sin and cos 1.5 / 0.8, erf 2.0 / 1.4, pow 0.53 / 0.9,
atan and atan2 1.8 / 1.6, asin 1.1, acos 1.2, sinh 1.9 / 2.4, cosh 1.9 / 1.3, asinh 1.8, acosh 1.6,
atanh 1.9, hypot 1.2, erfc 2.9 / 3.8, erf_inv 2.6 / 2.9, lgamma 0.5 / 3.6 (beside max(1, |value|)
where x is negative), digamma 0.5 / 4.0 (beside max(1, |value|)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.loops.elementary_arc import acos, asin, atan, atan2
from graphc.ir.loops.elementary_bits import copysign, hypot, nextafter
from graphc.ir.loops.elementary_error import erf_inv, erfc
from graphc.ir.loops.elementary_exp import (
    exp,
    exp2,
    expm1,
    sigmoid,
    softplus,
    tanh,
    times_power,
)
from graphc.ir.loops.elementary_gamma import digamma, lgamma
from graphc.ir.loops.elementary_hyperbolic import acosh, asinh, atanh, cosh, sinh
from graphc.ir.loops.elementary_log import log, log1p, log2
from graphc.ir.loops.elementary_pow import pow
from graphc.ir.loops.elementary_trig import cos, erf, far_cos, far_sin, sin
from graphc.ir.loops.formats import Emitter
from graphc.ir.loops.quotients import floor_div, remainder
from graphc.ir.loops.random_bits import (
    exponential_float,
    normal_float,
    philox,
    philox_block,
    plain_erf_inv,
    plain_exp,
    plain_log,
    unit_float,
)
from graphc.ir.loops.scalar import S
from graphc.ir.types import bool_


def maximum(e: Emitter[S], x: S, y: S) -> S:
    """The larger value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_or(x, y)
    larger = e.select(e.lt(y, x), x, y)
    return e.select(e.ne(x, x), x, larger) if e.dtype(x).is_float else larger


def minimum(e: Emitter[S], x: S, y: S) -> S:
    """The smaller value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_and(x, y)
    smaller = e.select(e.lt(x, y), x, y)
    return e.select(e.ne(x, x), x, smaller) if e.dtype(x).is_float else smaller


def sign(e: Emitter[S], x: S) -> S:
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
    "far_sin": far_sin,
    "far_cos": far_cos,
    "erf": erf,
    "pow": pow,
    "maximum": maximum,
    "minimum": minimum,
    "sign": sign,
    "floor_div": floor_div,
    "remainder": remainder,
    "atan": atan,
    "atan2": atan2,
    "asin": asin,
    "acos": acos,
    "sinh": sinh,
    "cosh": cosh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "erfc": erfc,
    "erf_inv": erf_inv,
    "lgamma": lgamma,
    "digamma": digamma,
    "hypot": hypot,
    "copysign": copysign,
    "nextafter": nextafter,
    "times_power": times_power,
    "philox": philox,
    "unit_float": unit_float,
    "normal_float": normal_float,
    "exponential_float": exponential_float,
    "plain_log": plain_log,
    "plain_exp": plain_exp,
    "plain_erf_inv": plain_erf_inv,
}

__all__ = [*DEFINITIONS, "DEFINITIONS", "philox_block"]
