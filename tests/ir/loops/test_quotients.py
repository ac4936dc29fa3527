"""Division, remainders, integer powers, extremes and signs against Python and numpy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from graphc.ir.loops.elementary import DEFINITIONS
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import ALL_DTYPES, DType
from tests.ir.loops.ulp import every_exponent, special

EMITTER = NumpyEmitter()
INTEGERS = [d for d in ALL_DTYPES if d.is_integer]


def apply(name: str, *arguments: Any) -> Any:
    return DEFINITIONS[name](EMITTER, *arguments)


def wrap(value: int, dtype: DType) -> int:
    value %= 2**dtype.bits
    return value - 2**dtype.bits if dtype.kind == "i" and value >> (dtype.bits - 1) else value


def integers(dtype: DType) -> Any:
    limits = np.iinfo(dtype.numpy)
    edges = [limits.min, limits.min + 1, limits.max, 0, 1, 2, 3, 7]
    edges += [-1, -2, -3, -7] if dtype.kind == "i" else []
    random = np.random.default_rng(0).integers(limits.min, limits.max, 20, dtype.numpy)
    values = np.array([*edges, *random.tolist()], dtype.numpy)
    return [grid.ravel() for grid in np.meshgrid(values, values)]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integer_division(dtype: DType) -> None:
    x, y = integers(dtype)
    quotient, rest = apply("floor_div", x, y), apply("remainder", x, y)
    for a, b, q, r in zip(x.tolist(), y.tolist(), quotient.tolist(), rest.tolist()):
        assert q == (wrap(a // b, dtype) if b else 0), (a, b)
        assert r == (a % b if b else 0), (a, b)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integer_power(dtype: DType) -> None:
    x, y = integers(dtype)
    for a, b, p in zip(x.tolist(), y.tolist(), apply("pow", x, y).tolist()):
        exact = pow(a, b, 2**dtype.bits) if b >= 0 else {1: 1, -1: (-1) ** (b & 1)}.get(a, 0)
        assert p == wrap(exact, dtype), (a, b)


def exact_parts(a: float, b: float) -> tuple[Fraction, Fraction]:
    quotient = Fraction(math.floor(Fraction(a) / Fraction(b)))
    return quotient, Fraction(a) - quotient * Fraction(b)


def near(got: float, wanted: Fraction, dtype: Any, ulps: int) -> bool:
    """Compare with a fraction rounded to dtype; results that overflow count as near."""
    if abs(wanted) >= np.finfo(dtype).max:
        return True
    rounded = dtype(float(wanted))
    return got == rounded or bool(abs(got - rounded) <= ulps * np.spacing(abs(rounded)))


@pytest.mark.parametrize(
    ("dtype", "limit"), [(np.float32, 2**280), (np.float64, 2**99)], ids=["f32", "f64"]
)
def test_float_division_is_exact(dtype: Any, limit: int) -> None:
    values = every_exponent(dtype, 1500, seed=3)
    values = values[np.isfinite(values) & (values != 0)]
    random = np.random.default_rng(4)
    x, y = random.permutation(values), random.permutation(values)
    x[:500] = random.uniform(-100, 100, 500)
    y[:500] = random.uniform(-3, 3, 500)
    x[500:600] = np.round(x[:100]) * y[:100]
    y[500:600] = y[:100]
    quotient, rest = apply("floor_div", x, y), apply("remainder", x, y)
    checked = 0
    for a, b, q, r in zip(x.tolist(), y.tolist(), quotient.tolist(), rest.tolist()):
        if not (math.isfinite(a) and abs(Fraction(a) / Fraction(b)) < limit):
            continue
        wanted_quotient, wanted_rest = exact_parts(a, b)
        assert near(r, wanted_rest, dtype, 0), (a, b, r, float(wanted_rest))
        assert near(q, wanted_quotient, dtype, 1), (a, b, q)
        checked += 1
    assert checked > 500


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_division_of_special_values(dtype: Any) -> None:
    values = special(np.float32)[:13].astype(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        wanted = {"floor_div": np.floor_divide(x, y), "remainder": np.remainder(x, y)}
    for name, reference in wanted.items():
        got = apply(name, x, y)
        assert got.dtype == dtype
        for a, b, g, w in zip(x, y, got, reference):
            same = (g == w and np.signbit(g) == np.signbit(w)) or (np.isnan(g) and np.isnan(w))
            assert same, (name, a, b, g, w)


@pytest.mark.parametrize("dtype", [d for d in ALL_DTYPES if d.name != "bfloat16"], ids=str)
def test_maximum_minimum_sign(dtype: DType) -> None:
    if dtype.is_float:
        values = special(np.float32)[:13].astype(dtype.numpy)
    elif dtype.is_integer:
        values = np.unique(integers(dtype)[0])
    else:
        values = np.array([False, True])
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    np.testing.assert_array_equal(apply("maximum", x, y), np.maximum(x, y))
    np.testing.assert_array_equal(apply("minimum", x, y), np.minimum(x, y))
    if dtype.kind != "b":
        np.testing.assert_array_equal(apply("sign", x), np.sign(x))
