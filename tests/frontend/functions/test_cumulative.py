"""Running sums, products and extremes against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, AxisError, DTypeError
from graphc.frontend.tensor import evaluate
from graphc.testing import assert_close
from tests.frontend.functions.array_cases import Array, Case, check, floats, integers
from tests.tolerances import BESIDE_NUMPY, LONG_RUNNING_SUMS, PRODUCTS_OF_ROWS, RUNNING_SUMS

SHAPES = [((1,), 0), ((0,), 0), ((7,), -1), ((3, 5), 0), ((3, 5), -1), ((2, 3, 17), 1), ((4, 0), 1)]
LONG = floats(1, 70001)
SPECIAL = np.array([[1, np.nan, 2, -np.inf], [np.inf, -1, -np.inf, 3], [0, -0.0, 5, 5]], np.float32)


def whole(name: str, x: Array, axis: int) -> Array:
    """numpy's function of the same meaning, in float64 for floats."""
    function = {
        "cumulative_sum": np.cumsum, "cumulative_prod": np.cumprod,
        "cumulative_max": np.maximum.accumulate, "cumulative_min": np.minimum.accumulate,
    }[name]  # fmt: skip
    if x.dtype.kind in "iu":
        wide = x.dtype
        if name in ("cumulative_sum", "cumulative_prod"):
            wide = np.dtype(np.uint64 if x.dtype.kind == "u" else np.int64)
        return np.asarray(function(x.astype(wide), axis=axis))
    return np.asarray(function(x.astype(np.float64), axis=axis).astype(x.dtype))


def case(name: str, x: Array, axis: int) -> Case:
    return Case(
        f"{name} {x.dtype}{x.shape} {axis}",
        lambda t: getattr(gx, name)(t, axis=axis),
        lambda a: whole(name, a, axis),
        (x,),
    )


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod", "cumulative_max",
                                  "cumulative_min"])  # fmt: skip
def test_values(name: str) -> None:
    cases = [case(name, floats(*shape), axis) for shape, axis in SHAPES]
    cases += [case(name, integers(0, 4, 3, 5, dtype=d), 1) for d in (np.int8, np.uint8, np.int64)]
    cases += [case(name, floats(3, 5).astype(d), 1) for d in (np.float64, np.float16)]
    cases += [case(name, SPECIAL, axis) for axis in (0, 1)]
    check(cases, rtol=PRODUCTS_OF_ROWS if name == "cumulative_prod" else BESIDE_NUMPY)


def test_long_rows_are_cut_into_chunks() -> None:
    rows = [LONG, LONG.reshape(-1), LONG.T, np.repeat(LONG[:, :9001], 3, 0)]
    cases = [case(n, x, np.argmax(x.shape)) for x in rows for n in ("cumulative_max",)]
    cases += [case("cumulative_sum", x, int(np.argmax(x.shape))) for x in rows]
    cases.append(case("cumulative_sum", integers(-9, 9, 70001), 0))
    check(cases, rtol=RUNNING_SUMS)


def test_initial_values_and_dtypes() -> None:
    x, k = floats(3, 5), integers(1, 4, 3, 5)

    def initial(function: Any, start: int) -> Any:
        return lambda a: np.concatenate([np.full((3, 1), start, a.dtype), function(a, axis=1)], 1)

    check([
        Case("sum", lambda t: gx.cumulative_sum(t, 1, include_initial=True),
             initial(np.cumsum, 0), (x,)),
        Case("prod", lambda t: gx.cumulative_prod(t, axis=-1, include_initial=True),
             initial(np.cumprod, 1), (x,)),
        Case("dtype", lambda t: gx.cumulative_sum(t, 0, dtype="float64"),
             lambda a: np.cumsum(a, 0, dtype=np.float64), (k,)),
        Case("vector", lambda t: gx.cumulative_sum(t), np.cumsum, (x[0],)),
        Case("from the end", lambda t: gx.flip(gx.cumulative_sum(gx.flip(t, 1), 1), 1),
             lambda a: np.cumsum(a[:, ::-1], 1)[:, ::-1], (x,)),
    ])  # fmt: skip


def test_symbolic_sizes() -> None:
    x = gx.input("x", ("rows", "columns"))
    step = gx.compile([x], [gx.cumulative_sum(x, 0), gx.cumulative_max(x, 1)])
    for shape in ((3, 5), (1, 1), (8, 33), (2, 9000), (9000, 2)):
        a = floats(*shape)
        sums, tops = step(a)
        np.testing.assert_allclose(sums, np.cumsum(a.astype(np.float64), 0), **LONG_RUNNING_SUMS)
        np.testing.assert_array_equal(tops, np.maximum.accumulate(a, 1))


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_gradient_of_products_is_exact_at_zeros(zeros: int) -> None:
    a = np.array([2.0, -1.5, 3.0, 0.5, 4.0])
    a[[1, 3][:zeros]] = 0.0
    u = np.array([1.0, -2.0, 0.5, 3.0, 1.0])
    x = gx.input("x", (5,), dtype="float64")
    (found,) = evaluate([gx.grad(gx.sum(gx.cumulative_prod(x) * u), x)], {x: a})
    expected = [
        sum(u[i] * np.prod(np.delete(a[: i + 1], j)) for i in range(j, 5)) for j in range(5)
    ]
    assert_close(found, expected, tolerance="ulps", each=True)


def test_gradient_of_extremes_goes_to_the_first_that_attains_it() -> None:
    x = gx.input("x", (6,))
    a = np.array([1, 3, 3, 2, 5, 5], np.float32)
    for function, values in ((gx.cumulative_max, a), (gx.cumulative_min, -a)):
        (found,) = evaluate([gx.grad(gx.sum(function(x)), x)], {x: values})
        np.testing.assert_array_equal(found, [1, 3, 0, 0, 2, 0])


def test_messages() -> None:
    x = gx.input("x", (3, 5))
    with pytest.raises(ArgumentError, match=r"cumulative_sum: f32\[3,5\] has 2 axes"):
        gx.cumulative_sum(x)
    with pytest.raises(AxisError, match="cumulative_max: axis 2 is out of range"):
        gx.cumulative_max(x, 2)
    with pytest.raises(DTypeError, match="cumulative_min: needs numbers, got bool"):
        gx.cumulative_min(x > 0, 0)
