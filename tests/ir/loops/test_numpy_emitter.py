"""The numpy primitives against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import bfloat16, bool_, float16, float32, float64, int8, int32, int64, uint8
from tests.ir.loops.ulp import every_exponent

EMITTER = NumpyEmitter()


def triples(dtype: Any) -> Any:
    """Random bits, ordinary numbers, and sums that nearly cancel."""
    x, y, z = (every_exponent(dtype, 4000, seed)[:4000] for seed in range(3))
    random = np.random.default_rng(9)
    for values in (x, y, z):
        values[:2500] = random.normal(size=2500)
    nudge = 1 + random.integers(-3, 4, 1500) * np.finfo(dtype).eps
    near = slice(1000, 2500)
    z[near] = -(x[near] * y[near]) * nudge.astype(dtype)
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    return x[finite], y[finite], z[finite]


def nearest(exact: Fraction, dtype: Any) -> Any:
    """Round to nearest even by comparing neighbours."""
    try:
        guess = float(exact)
    except OverflowError:
        return dtype(np.inf if exact > 0 else -np.inf)
    with np.errstate(over="ignore", under="ignore"):
        first = dtype(guess)
        around = {float(first), float(np.nextafter(first, dtype(np.inf)))}
        around.add(float(np.nextafter(first, dtype(-np.inf))))
    if not all(np.isfinite(v) for v in around):
        return first
    integer = np.int32 if dtype == np.float32 else np.int64
    odd = {v: int(dtype(v).view(integer)) & 1 for v in around}
    return dtype(min(around, key=lambda v: (abs(Fraction(v) - exact), odd[v])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_rounds_once(dtype: Any) -> None:
    x, y, z = triples(dtype)
    got = EMITTER.fma(x, y, z)
    single = 0
    for a, b, c, g in zip(x.tolist(), y.tolist(), z.tolist(), got):
        wanted = nearest(Fraction(a) * Fraction(b) + Fraction(c), dtype)
        assert g == wanted, (a, b, c, g, wanted)
        with np.errstate(all="ignore"):
            single += g != dtype(dtype(dtype(a) * dtype(b)) + dtype(c))
    assert single > 500  # the two roundings differ, so the test can fail


def test_fma_of_infinities_and_zeros() -> None:
    inf, nan = np.inf, np.nan
    for dtype in (np.float32, np.float64):
        cases = np.array(
            [(inf, 0, 1, nan), (inf, 2, -inf, nan), (2, 3, inf, inf), (-0.0, 1, -0.0, -0.0),
             (1, 1, -1, 0), (0, 5, 7, 7), (nan, 0, 0, nan)], dtype,
        )  # fmt: skip
        got = EMITTER.fma(*cases.T[:3])
        np.testing.assert_array_equal(got, cases.T[3])
        assert np.signbit(got[3])


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_fma_rounds_once(narrow: Any) -> None:
    random = np.random.default_rng(3)
    x, y, z = (random.normal(size=3000).astype(narrow) for _ in range(3))
    got = EMITTER.fma(x, y, z)
    integer = np.int16
    for a, b, c, g in zip(x, y, z, got):
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        error = abs(Fraction(float(g)) - exact)
        bits = int(g.view(integer))
        for neighbour in (bits - 1, bits + 1):
            other = np.array(neighbour).astype(integer).view(narrow)
            assert error <= abs(Fraction(float(other)) - exact)


def test_float_to_integer_saturates() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.9, -1.9, 127.9, -128.9, 128, -129, 3e9, -3e9, 2e19])
    cast = EMITTER.cast
    np.testing.assert_array_equal(
        cast(x, int8), np.array([0, 127, -128, 1, -1, 127, -128, 127, -128, 127, -128, 127])
    )
    assert cast(x, uint8).tolist() == [0, 255, 0, 1, 0, 127, 0, 128, 0, 255, 0, 255]
    limit = 2**31 - 1
    assert cast(x, int32).tolist()[-3:] == [limit, -limit - 1, limit]
    assert cast(x, int64).tolist()[-1] == 2**63 - 1
    assert cast(np.float64(-(2.0**63)), int64) == -(2**63)
    assert cast(np.float16(300), uint8) == 255


def test_other_casts() -> None:
    cast = EMITTER.cast
    assert cast(np.array([0.0, -0.0, np.nan, 0.1]), bool_).tolist() == [False, False, True, True]
    assert cast(np.array([300, -1], np.int64), uint8).tolist() == [44, 255]
    assert cast(np.array([True, False]), float32).tolist() == [1.0, 0.0]
    # one rounding from float64 to bfloat16, not two
    assert float(cast(np.float64(1 + 2.0**-8 + 2.0**-40), bfloat16)) == 1 + 2.0**-7
    assert EMITTER.dtype(cast(np.float32(1), bfloat16)) == bfloat16
    assert EMITTER.bitcast(np.float32(1), int32) == 0x3F800000


def test_integer_division_truncates() -> None:
    x = np.array([7, -7, 7, -7, 6], np.int32)
    y = np.array([2, 2, -2, -2, -3], np.int32)
    assert EMITTER.div(x, y).tolist() == [3, -3, -3, 3, -2]
    assert EMITTER.rem(x, y).tolist() == [1, -1, 1, -1, 0]


def test_constants_wrap_around() -> None:
    assert EMITTER.const(-1, uint8) == 255
    assert EMITTER.const(0x80000000, int32) == -(2**31)
    assert EMITTER.const(1.5, float16).dtype == np.float16
    assert EMITTER.mulhi(np.uint32(2**31), np.uint32(6)) == 3
    assert EMITTER.const(0.1, float64) == 0.1


def test_functions_apply_by_name() -> None:
    assert EMITTER.apply("add", np.int32(1), np.int32(2)) == 3
    assert EMITTER.apply("maximum", np.float32(1), np.float32(2)) == 2
