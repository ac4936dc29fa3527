"""Functions of statistics against values of 60 digits; functions of two floats, and of bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.loops.elementary_bessel import bessel_i
from graphc.ir.loops.elementary_gamma import polygamma
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from tests.ir.loops.test_elementary import needs_extended
from tests.ir.loops.ulp import UnfusedEmitter, every_exponent, special, ulp_errors

Array = np.ndarray[Any, Any]
EMITTERS = [NumpyEmitter(), UnfusedEmitter()]
# computed with 60 digits: arguments, values, and what rounding the values to float64 lost
VALUES = dict(np.load(Path(__file__).parent / "special_values.npz"))

# units of the last place: float32, float64
BOUNDS = {
    "erfc": (3.2, 4.0), "erf_inv": (3.0, 3.0), "lgamma": (0.6, 4.0), "polygamma1": (0.6, 4.0),
    "polygamma2": (0.6, 4.0), "polygamma5": (0.6, 7.0), "i0": (0.6, 4.0), "i1": (0.6, 4.0),
    "i0e": (0.6, 3.0), "i1e": (0.6, 3.0),
}  # fmt: skip
# units of the precision beside max(1, |value|): these have zeros where they are not flat
WIDE_BOUNDS = {"lgamma_negative": (0.6, 3.0), "digamma": (0.6, 5.0)}


def computed(name: str, emitter: NumpyEmitter, x: Array) -> Array:
    with np.errstate(all="ignore"):
        if name.startswith("polygamma"):
            return np.asarray(polygamma(emitter, int(name[9:]), x))
        if name in ("i0", "i0e", "i1", "i1e"):
            return np.asarray(bessel_i(emitter, int(name[1]), name.endswith("e"), x))
        return np.asarray(DEFINITIONS[name.removesuffix("_negative")](emitter, x))


def points(name: str, dtype: Any) -> tuple[Array, Array]:
    """Arguments that the dtype has exactly, and the values."""
    x, high, low = VALUES[name]
    kept = x == x.astype(dtype)
    assert kept.sum() >= 50
    return x[kept].astype(dtype), high[kept].astype(np.longdouble) + low[kept]


@needs_extended
@pytest.mark.parametrize("emitter", EMITTERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*BOUNDS, *WIDE_BOUNDS])
def test_values(name: str, dtype: Any, emitter: NumpyEmitter) -> None:
    x, wanted = points(name, dtype)
    found = computed(name, emitter, x)
    assert found.dtype == dtype
    if name in BOUNDS:
        errors, bound = ulp_errors(found, wanted), BOUNDS[name]
    else:
        scale = np.maximum(1, np.abs(wanted)) * np.finfo(dtype).eps
        errors, bound = np.abs(found - wanted) / scale, WIDE_BOUNDS[name]
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound[dtype is np.float64], (x[worst], found[worst], wanted[worst])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends(dtype: Any) -> None:
    nan, inf = np.nan, np.inf
    for name, given, wanted in (
        ("erfc", [inf, -inf, nan, 0.0, 30.0], [0, 2, nan, 1, 0]),
        ("erf_inv", [1, -1, 0.0, -0.0, 1.5, nan], [inf, -inf, 0.0, -0.0, nan, nan]),
        ("lgamma", [0.0, -0.0, 1, 2, -3, inf, -inf, nan], [inf, inf, 0, 0, inf, inf, inf, nan]),
        ("digamma", [0.0, -0.0, -2, inf, -inf, nan], [-inf, inf, nan, inf, nan, nan]),
        ("polygamma1", [0.0, -0.0, -2, inf, nan], [inf, inf, inf, 0, nan]),
        ("polygamma2", [0.0, -1, inf, nan], [-inf, nan, -0.0, nan]),
        ("i0", [0.0, -0.0, inf, -inf, 1e4, nan], [1, 1, inf, inf, inf, nan]),
        ("i0e", [0.0, -0.0, inf, -inf, nan], [1, 1, 0, 0, nan]),
        ("i1", [0.0, -0.0, inf, -inf, -1e4, nan], [0.0, -0.0, inf, -inf, -inf, nan]),
        ("i1e", [0.0, -0.0, inf, -inf, nan], [0.0, -0.0, 0, -0.0, nan]),
    ):  # fmt: skip
        for emitter in EMITTERS:
            found = computed(name, emitter, np.array(given, dtype))
            np.testing.assert_array_equal(found, np.array(wanted, dtype), err_msg=name)
            signs = np.signbit(found[found == 0])
            np.testing.assert_array_equal(signs, np.signbit(np.array(wanted)[found == 0]))


def pairs(dtype: Any) -> tuple[Array, Array]:
    """All combinations of special values, and numbers of any and of similar exponents."""
    edges = [grid.ravel() for grid in np.meshgrid(special(dtype), special(dtype))]
    rng = np.random.default_rng(0)
    near = rng.normal(size=(2, 20_000)).astype(dtype) * every_exponent(dtype, 20_000)[:20_000]
    far = every_exponent(dtype, 20_000, 1)[:20_000], every_exponent(dtype, 20_000, 2)[:20_000]
    x, y = (np.concatenate(columns) for columns in zip(edges, near, far))
    return x, y


@needs_extended
@pytest.mark.parametrize("emitter", EMITTERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "function", "bound"), [("atan2", np.arctan2, 2.4), ("hypot", np.hypot, 1.6)]
)
def test_two_arguments(name: str, function: Any, bound: float, dtype: Any, emitter: Any) -> None:
    with np.errstate(all="ignore"):
        x, y = pairs(dtype)
        wanted = function(x.astype(np.longdouble), y.astype(np.longdouble))
        errors = ulp_errors(np.asarray(DEFINITIONS[name](emitter, x, y)), wanted)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound, (x[worst], y[worst], wanted[worst])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "function"), [("copysign", np.copysign), ("nextafter", np.nextafter)]
)
def test_bits(name: str, function: Any, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        x, y = (v.astype(dtype) for v in pairs(np.float32 if dtype is np.float16 else dtype))
        found, wanted = DEFINITIONS[name](NumpyEmitter(), x, y), function(x, y)
    np.testing.assert_array_equal(found, wanted)
    numbers = ~np.isnan(wanted)
    if dtype is np.float16:
        numbers &= x != y  # numpy's nextafter(0, -0) is 0 there, and -0 elsewhere
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(wanted[numbers]))
