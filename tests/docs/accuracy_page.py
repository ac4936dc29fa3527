"""The largest errors of elementwise functions, measured; docs/accuracy.md is
printed by `python -m tests.docs.accuracy_page`.

Compiled code is compared with the same function in float64: for float16 and bfloat16 at every
value there is, for float32 at every 8209th (all exponents, both signs) and between -20 and 20.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

import graphc as gx
from graphc.ir.types import DType, bfloat16, float16, float32

Array = NDArray[Any]
STRIDE = 8209  # of the bits of a float32
MIDDLE, DENSE = 20.0, 2**19  # so many between -20 and 20
DTYPES = (float16, bfloat16, float32)
FORMATS = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126)}

HEAD = f"""# Accuracy

Printed by `python -m tests.docs.accuracy_page`; a test measures again and compares. Do not edit.

The largest error of compiled code on a CPU with fused multiply-add, in units of the last place of
the correct result (0.5: always the nearest number), and where it is. The correct result is the
same function in float64. float16 and bfloat16: all 65,536 values. float32: every {STRIDE}th of the
4,294,967,296 values, and {DENSE:,} between -{MIDDLE:g} and {MIDDLE:g}; of functions of two
operands random pairs of these. Infinities, NaN and overflow must be the same as those of the
correct result rounded. `docs/operations.md` has the bounds that tests hold the definitions to in
float32 and float64.

"""


@dataclass(frozen=True)
class Function:
    """A function of ours and the correct one, of float64."""

    ours: Callable[..., Any]
    correct: Callable[..., Array]
    operands: int = 1
    limit: float = np.inf  # the largest magnitude that counts


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _round(x: Array) -> Array:
    return np.rint(x)


FINITE = 1e300  # SciPy is not asked about infinities here
FUNCTIONS = {
    "exp": Function(gx.exp, np.exp), "exp2": Function(gx.exp2, np.exp2),
    "expm1": Function(gx.expm1, np.expm1), "log": Function(gx.log, np.log),
    "log2": Function(gx.log2, np.log2), "log10": Function(gx.log10, np.log10),
    "log1p": Function(gx.log1p, np.log1p), "sqrt": Function(gx.sqrt, np.sqrt),
    "reciprocal": Function(gx.reciprocal, np.reciprocal),
    "tanh": Function(gx.tanh, np.tanh), "sigmoid": Function(gx.sigmoid, special.expit),
    "softplus": Function(gx.softplus, _softplus),
    "sin": Function(gx.sin, np.sin),
    "cos": Function(gx.cos, np.cos),
    "tan": Function(gx.tan, np.tan),
    "sinh": Function(gx.sinh, np.sinh), "cosh": Function(gx.cosh, np.cosh),
    "asin": Function(gx.asin, np.arcsin), "acos": Function(gx.acos, np.arccos),
    "atan": Function(gx.atan, np.arctan), "asinh": Function(gx.asinh, np.arcsinh),
    "acosh": Function(gx.acosh, np.arccosh), "atanh": Function(gx.atanh, np.arctanh),
    "erf": Function(gx.erf, special.erf), "erfc": Function(gx.erfc, special.erfc),
    "erf_inv": Function(gx.erfinv, special.erfinv),
    "lgamma": Function(gx.lgamma, special.gammaln, limit=FINITE),
    "digamma": Function(gx.digamma, special.digamma),
    "polygamma": Function(
        lambda x: gx.polygamma(1, x), lambda x: special.polygamma(1, x), limit=FINITE),
    "gamma": Function(gx.gamma, special.gamma),
    "bessel_i": Function(gx.i0, special.i0, limit=FINITE), "i0e": Function(gx.i0e, special.i0e),
    "i1": Function(gx.i1, special.i1, limit=FINITE), "i1e": Function(gx.i1e, special.i1e),
    "floor": Function(gx.floor, np.floor), "ceil": Function(gx.ceil, np.ceil),
    "trunc": Function(gx.trunc, np.trunc), "round": Function(gx.round, _round),
    "divide": Function(gx.divide, np.divide, 2), "pow": Function(gx.pow, np.power, 2),
    "atan2": Function(gx.atan2, np.arctan2, 2), "hypot": Function(gx.hypot, np.hypot, 2),
}  # fmt: skip


def points(dtype: DType) -> Array:
    """The values that are looked at."""
    if dtype.bits == 16:
        return np.arange(2**16, dtype=np.uint16).view(dtype.numpy)
    every = np.arange(0, 2**32, STRIDE, dtype=np.uint64).astype(np.uint32).view(np.float32)
    middle = np.linspace(-MIDDLE, MIDDLE, DENSE).astype(np.float32)
    return np.concatenate([every, middle])


def pairs(x: Array) -> tuple[Array, Array]:
    """The values in two orders."""
    rng = np.random.default_rng(0)
    return rng.permutation(x), rng.permutation(x)


def units(correct: Array, dtype: DType) -> Array:
    """The unit in the last place of the correct results, as rounded to a dtype."""
    mantissa, least = FORMATS[dtype.name]
    _, exponent = np.frexp(correct.astype(dtype.numpy).astype(np.float64))
    return np.ldexp(1.0, np.maximum(exponent - 1, least) - mantissa)


def errors(found: Array, correct: Array, dtype: DType) -> Array:
    """In units of the last place; infinite where infinities or NaN differ."""
    rounded = correct.astype(dtype.numpy).astype(np.float64)
    wide = found.astype(np.float64)
    same = (wide == rounded) | (np.isnan(wide) & np.isnan(rounded))
    apart = np.abs(wide - correct) / units(correct, dtype)
    most = float(np.finfo(np.float32).max if dtype != float16 else np.finfo(np.float16).max)
    overflow = np.isinf(rounded) & np.isfinite(correct) & (np.abs(wide) >= most * 0.99)
    return np.where(same & ~np.isfinite(rounded) | overflow, 0.0, np.where(
        np.isfinite(rounded) & np.isfinite(wide), apart, np.inf))  # fmt: skip


def worst(name: str, dtype: DType, thin: int = 1) -> tuple[float, tuple[float, ...]]:
    """The largest error of a function at every `thin`-th point, and the operands there."""
    function = FUNCTIONS[name]
    values = points(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN
        values = values[~(np.abs(values.astype(np.float64)) > function.limit)]
    operands = [v[::thin] for v in (pairs(values) if function.operands == 2 else (values,))]
    inputs = [gx.input(f"x{i}", ("n",), dtype) for i in range(function.operands)]
    compiled = gx.compile(inputs, function.ours(*inputs))
    largest, place = 0.0, (0.0,) * function.operands
    for part in slices(len(operands[0])):
        taken = [o[part] for o in operands]
        with np.errstate(all="ignore"):
            correct = function.correct(*(t.astype(np.float64) for t in taken))
            found = errors(compiled(*taken), correct, dtype)
        at = int(np.argmax(found))
        if found[at] > largest:
            largest, place = float(found[at]), tuple(float(t[at]) for t in taken)
    return largest, place


def slices(count: int, size: int = 2**20) -> Iterator[slice]:
    """Parts of a long vector."""
    return (slice(i, i + size) for i in range(0, count, size))


def row(name: str) -> str:
    """The line of a function."""
    cells = [f"`{name}`"]
    for dtype in DTYPES:
        error, place = worst(name, dtype)
        cells += [number(error), ", ".join(f"{x:.9g}" for x in place) if error > 0.5 else ""]
    return f"| {' | '.join(cells)} |\n"


def number(error: float) -> str:
    """Rounded up to three places."""
    return f"{np.ceil(error * 1000) / 1000:.3f}"


def page() -> str:
    """The whole file."""
    heads = "".join(f" {d.name} | at |" for d in DTYPES)
    return HEAD + f"| function |{heads}\n|---|{'--:|---|' * 3}\n" + "".join(map(row, FUNCTIONS))


if __name__ == "__main__":
    sys.stdout.write(page())
