"""Accuracy of the elementary functions against extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.loops.elementary_angle import TRIGONOMETRIC_LIMIT
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.loops.scalar import DEFINED
from tests.ir.loops.error_function import reference_erf
from tests.ir.loops.ulp import UnfusedEmitter, every_exponent, special, spread, ulp_errors

COUNT = 60_000
EXTENDED = np.finfo(np.longdouble).eps < 1e-18
needs_extended = pytest.mark.skipif(not EXTENDED, reason="needs an extended precision type")


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


REFERENCES = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": lambda x: np.logaddexp(np.longdouble(0), x),
    "sin": np.sin,
    "cos": np.cos,
    "erf": reference_erf,
    "atan": np.arctan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
# name: float32 fused, float32 unfused, float64 fused, float64 unfused
BOUNDS = {
    "exp": (1.0, 1.0, 1.0, 1.0),
    "exp2": (0.9, 1.1, 0.9, 1.2),
    "expm1": (1.4, 1.5, 2.0, 2.1),
    "log": (0.8, 0.8, 0.8, 0.8),
    "log2": (1.2, 1.4, 1.0, 1.0),
    "log1p": (1.4, 1.4, 1.1, 1.1),
    "tanh": (2.5, 2.6, 2.5, 2.5),
    "sigmoid": (2.5, 2.1, 2.2, 2.2),
    "softplus": (1.7, 1.7, 1.7, 1.7),
    "sin": (1.6, 1.6, 0.8, 0.8),
    "cos": (1.6, 1.6, 0.8, 0.8),
    "erf": (2.0, 2.2, 1.5, 1.7),
    "atan": (1.8, 1.8, 1.6, 1.6),
    "asin": (1.1, 1.1, 1.1, 1.1),
    "acos": (1.2, 1.2, 1.2, 1.2),
    "sinh": (2.2, 2.2, 2.6, 2.6),
    "cosh": (2.0, 2.0, 1.5, 1.5),
    "asinh": (1.9, 1.9, 1.8, 1.8),
    "acosh": (2.1, 1.8, 1.8, 1.8),
    "atanh": (2.0, 2.0, 1.9, 1.9),
}
POW_BOUNDS = (0.54, 0.9)  # float32, float64; fused or not


def points_for(name: str, dtype: Any) -> Any:
    x = spread(dtype, COUNT)
    if name in ("asin", "acos", "atanh"):
        inside = np.random.default_rng(2).uniform(-1, 1, COUNT)
        x = np.concatenate([x, inside.astype(dtype)])
    if name not in ("sin", "cos"):
        return x
    random = np.random.default_rng(1)
    # near multiples of pi / 2, where what is left is small; on both sides of the limit
    multiples = random.integers(0, 2 ** random.integers(1, 53, COUNT // 4)) * (np.pi / 2)
    wide = random.uniform(-2, 2, COUNT // 4) * TRIGONOMETRIC_LIMIT
    edge = np.nextafter(dtype(TRIGONOMETRIC_LIMIT), dtype([0, np.inf]))
    hard = 6381956970095103 * 2.0**797 if dtype == np.float64 else 1e30
    x = np.concatenate([x, multiples.astype(dtype), wide.astype(dtype), edge, dtype([hard, 1e15])])
    return np.concatenate([x, -x[-1000:]])


@needs_extended
@pytest.mark.parametrize("variant", range(4))
@pytest.mark.parametrize("name", REFERENCES)
def test_error_in_units_of_the_last_place(name: str, variant: int) -> None:
    dtype = np.float32 if variant < 2 else np.float64
    emitter = (NumpyEmitter, UnfusedEmitter)[variant % 2]()
    x = points_for(name, dtype)
    got = DEFINITIONS[name](emitter, x)
    assert got.dtype == dtype
    with np.errstate(all="ignore"):
        wanted = REFERENCES[name](x.astype(np.longdouble))
    errors = ulp_errors(got, wanted)
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUNDS[name][variant], (x[worst], got[worst], wanted[worst])


def test_every_defined_function_has_a_definition() -> None:
    assert tuple(DEFINITIONS) == DEFINED


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounded_functions_stay_in_their_bounds(dtype: Any) -> None:
    x = every_exponent(dtype, 20_000)
    x = x[~np.isnan(x) & np.isfinite(x)]
    for name, low, high in (
        ("sin", -1, 1), ("cos", -1, 1), ("tanh", -1, 1), ("erf", -1, 1), ("sigmoid", 0, 1),
    ):  # fmt: skip
        for emitter in (NumpyEmitter(), UnfusedEmitter()):
            y = DEFINITIONS[name](emitter, x)
            assert y.min() >= low, name
            assert y.max() <= high, name


@needs_extended
@pytest.mark.parametrize("emitter", [NumpyEmitter(), UnfusedEmitter()])
@pytest.mark.parametrize(("dtype", "bound"), [*zip((np.float32, np.float64), POW_BOUNDS)])
def test_pow(dtype: Any, bound: float, emitter: NumpyEmitter) -> None:
    random = np.random.default_rng(2)
    x = every_exponent(dtype, COUNT)[:COUNT]
    x[: COUNT // 3] = np.exp(random.normal(size=COUNT // 3) * random.uniform(0, 5, COUNT // 3))
    y = (random.normal(size=COUNT) * 10 ** random.uniform(-3, 3, COUNT)).astype(dtype)
    y[COUNT // 3 : COUNT // 2] = np.round(y[COUNT // 3 : COUNT // 2])
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    errors = ulp_errors(DEFINITIONS["pow"](emitter, x, y), wanted)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound, (x[worst], y[worst])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pow_of_special_values(dtype: Any) -> None:
    values = np.concatenate([special(dtype), np.array([1e30, -1e30, -3, 2**24 + 1], dtype)])
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    errors = ulp_errors(DEFINITIONS["pow"](NumpyEmitter(), x, y), wanted)
    assert errors.max() <= 0.9, (x[errors.argmax()], y[errors.argmax()])


@pytest.mark.parametrize("name", ["exp", "tanh", "log", "pow"])
@pytest.mark.parametrize("short", ["float16", "bfloat16"])
def test_half_precision_goes_through_float32(name: str, short: str) -> None:
    import ml_dtypes

    half = np.dtype(ml_dtypes.bfloat16) if short == "bfloat16" else np.dtype(np.float16)
    x = np.linspace(-4, 4, 513).astype(half)
    arguments = (x, x) if name == "pow" else (x,)
    got = DEFINITIONS[name](NumpyEmitter(), *arguments)
    single = DEFINITIONS[name](NumpyEmitter(), *(v.astype(np.float32) for v in arguments))
    assert got.dtype == half
    with np.errstate(all="ignore"):
        wanted = single.astype(half).astype(np.float32)
        np.testing.assert_array_equal(got.astype(np.float32), wanted)
