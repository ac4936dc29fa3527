"""Reductions of many elements to few results: fixed chunks, on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.compare import TOLERANCE
from graphc.testing import assert_close
from tests.tolerances import LONG_PRODUCTS, VARIANCES

CASES: tuple[tuple[tuple[int, ...], int | tuple[int, ...]], ...] = (
    ((20011, 1), 0), ((20011, 2), 0), ((16385, 3), 0), ((9973, 7), 0), ((8192, 64), 0),
    ((1031, 100), 0), ((701, 127), 0), ((700, 128), 0), ((401, 200), 0), ((2, 4099, 16), 1),
    ((3, 33000), 1), ((3, 20011, 2), 1), ((5, 37, 41, 16), (0, 1, 2)), ((2, 3, 90, 70, 5), (1, 3)),
    ((2, 90, 101, 9), (1, 2)), ((40, 3, 8, 64), (0, 2)), ((65, 40, 17), (0, 1)),
)  # fmt: skip
OPS = ("sum", "mean", "max", "min", "var", "prod", "any", "all", "count_nonzero")


def reduced(op: str, x: Any, axis: Any) -> Any:
    """The numpy meaning, in float64 where it is a float."""
    if x.dtype.kind == "f":
        x = x.astype(np.float64)
    if op == "count_nonzero":
        return np.sum(x != 0, axis)
    return getattr(np, op)(x, axis=axis)


def both(function: Any, *arrays: Any) -> Any:
    """What one thread and two threads make of it, which is the same."""
    inputs = [gx.input(f"x{i}", a.shape, dtype=str(a.dtype)) for i, a in enumerate(arrays)]
    one, two = (gx.compile(inputs, function(*inputs), threads=n)(*arrays) for n in (1, 2))
    np.testing.assert_array_equal(one, two, strict=True)
    return one


@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_every_reduction_of_every_shape(shape: tuple[int, ...], axis: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    near_one = (1 + x / 1000).astype(np.float32)
    x[rng.random(shape) < 0.5] = 0
    for op in OPS:
        given = near_one if op == "prod" else x
        found = both(lambda s, op=op: getattr(gx, op)(s, axis=axis), given)
        expected = reduced(op, given, axis)
        count = x.size / max(expected.size, 1)
        if op in ("sum", "mean"):  # the error of a sum is far below that of one running sum
            scale = reduced("sum", np.abs(x), axis) / (1 if op == "sum" else count)
            assert (np.abs(found - expected) <= TOLERANCE["rounding"]["float32"] * scale).all(), op
        elif op in ("var", "prod"):
            np.testing.assert_allclose(
                found, expected, **(VARIANCES if op == "var" else LONG_PRODUCTS)
            )
        else:
            np.testing.assert_array_equal(found, expected, err_msg=op)


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float64", "int8", "int32", "uint8", "int64"]
)
@pytest.mark.parametrize(("shape", "axis"), [((8193, 6), 0), ((2, 4099, 16), 1), ((90, 400), 0)])
def test_dtypes(dtype: str, shape: tuple[int, ...], axis: int) -> None:
    from graphc.ir.types import find_dtype

    x = np.random.default_rng(0).integers(0, 3, shape).astype(find_dtype(dtype).numpy)
    wide = x.astype(np.float64)
    for op in ("max", "min"):
        found = both(lambda s, op=op: getattr(gx, op)(s, axis=axis), x)
        np.testing.assert_array_equal(found.astype(np.float64), getattr(np, op)(wide, axis=axis))
    total = both(lambda s: gx.sum(gx.astype(s, "float32"), axis=axis), x)
    np.testing.assert_array_equal(total, wide.sum(axis))


@pytest.mark.parametrize("position", [0, 1, 8191, 8192, 16384])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_special_value(position: int, value: float) -> None:
    x = np.random.default_rng(0).standard_normal((16385, 3)).astype(np.float32)
    x[position, 1] = value
    for op in ("sum", "max", "min", "mean"):
        found = both(lambda s, op=op: getattr(gx, op)(s, axis=0), x)
        assert_close(found, reduced(op, x, 0))


@pytest.mark.parametrize(("shape", "axis"), [((16385, 3), 0), ((2, 4099, 16), 1), ((700, 200), 0)])
def test_the_first_of_equal_extremes(shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(0).integers(0, 50, shape).astype(np.float32)
    for op in ("argmax", "argmin"):
        found = both(lambda s, op=op: getattr(gx, op)(s, axis=axis), x)
        np.testing.assert_array_equal(found, getattr(np, op)(x, axis=axis))


def test_producers_and_what_follows_share_the_kernels() -> None:
    rng = np.random.default_rng(0)
    x, b = (rng.standard_normal(s).astype(np.float32) for s in ((5001, 12), (12,)))
    r, t = (rng.standard_normal(s).astype(np.float32) for s in ((5001, 1), (12, 5001)))

    def function(x: Any, b: Any, r: Any, t: Any) -> Any:
        plain = gx.sum(gx.exp(x - b) * 2.0, axis=0) / b
        return gx.stack([plain, gx.sum(x * r, axis=0), gx.max(x + gx.permute_dims(t, (1, 0)), 0)])

    wide = [a.astype(np.float64) for a in (x, b, r, t)]
    expected = [
        np.sum(np.exp(wide[0] - wide[1]) * 2, 0) / wide[1],
        np.sum(wide[0] * wide[2], 0),
        np.max(wide[0] + wide[3].T, 0),
    ]
    assert_close(both(function, x, b, r, t), expected, each=True)


def test_any_number_of_rows() -> None:
    x = gx.input("x", ("batch", 5))
    outputs = [gx.sum(x * 2.0, axis=0), gx.max(x, axis=0), gx.argmax(x, axis=0)]
    steps = [gx.compile([x], outputs, threads=n) for n in (1, 2)]
    data = np.random.default_rng(0).standard_normal((20000, 5)).astype(np.float32)
    for rows in (1, 2, 31, 32, 33, 1637, 1638, 1639, 20000):
        found = [step(data[:rows]) for step in steps]
        own = data[:rows].astype(np.float64)
        for a, b in zip(*found):
            np.testing.assert_array_equal(a, b)
        assert_close(found[0][0], 2 * own.sum(0))
        np.testing.assert_array_equal(found[0][1], own.max(0))
        np.testing.assert_array_equal(found[0][2], own.argmax(0))


def test_nothing_reduced_is_the_identity() -> None:
    x = gx.input("x", ("batch", 40))
    step = gx.compile([x], [gx.sum(x, axis=0), gx.prod(x, axis=0)], threads=2)
    total, product = step(np.zeros((0, 40), np.float32))
    np.testing.assert_array_equal(total, np.zeros(40))
    np.testing.assert_array_equal(product, np.ones(40))


def test_long_sums_keep_their_digits() -> None:
    """Equal terms are the worst: one running sum is off by 120,000 units of the last place."""
    x = np.full((1_000_000, 2), 0.1, np.float32)
    found = both(lambda s: gx.sum(s, axis=0), x)
    exact = float(np.float32(0.1)) * 1_000_000
    assert (np.abs(found - exact) <= 64 * np.spacing(np.float32(exact))).all()


def test_few_columns_are_cut_into_chunks_and_normalised_in_parallel() -> None:
    x = gx.input("x", (64, 16, 16, 16))
    w = gx.parameter("w", value=np.ones(16, np.float32))
    y = gx.nn.batch_norm(x, w)
    text = gx.compile([x], y, threads=2).text("fused")
    assert text.count("parallel chunk < ") == 2
    a = np.random.default_rng(0).standard_normal((64, 16, 16, 16)).astype(np.float32) * 3 + 5
    wide = a.astype(np.float64)
    axes = (0, 1, 2)
    expected = (wide - wide.mean(axes)) / np.sqrt(wide.var(axes) + 1e-5)
    assert_close(both(gx.nn.batch_norm, a), expected)


def test_a_parameter_is_updated_where_the_results_are_finished() -> None:
    x = gx.input("x", (5000, 8))
    b = gx.parameter("b", value=np.zeros(8, np.float32))
    new = b - 0.5 * gx.sum(x * 1.0, axis=0)
    step = gx.compile([x], [], updates={b: new}, threads=2)
    assert "copy" not in step.text("fused")
    a = np.random.default_rng(0).standard_normal((5000, 8)).astype(np.float32)
    step(a)
    assert_close(b.value, -0.5 * a.astype(np.float64).sum(0))
