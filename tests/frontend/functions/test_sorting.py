"""Sorts, searches and what is found by sorting, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, AxisError, DTypeError, ShapeError
from graphc.frontend.autodiff import check_gradients
from graphc.ir.types import ALL_DTYPES
from tests.frontend.functions.array_cases import RNG, Array, Case, check, floats, integers

NAN = np.array(
    [
        [2, np.nan, -np.inf, 0.0, -0.0, 1],
        [np.inf, 3, 3, np.nan, -np.nan, -1],
        [0, -0.0, 0, 5, 5, 5],
    ],
    np.float32,
)
SHAPES = [
    ((0,), 0),
    ((1,), 0),
    ((7, 5), 0),
    ((7, 5), -1),
    ((2, 161), 1),
    ((3, 1000), 1),
    ((0, 4), 1),
]


def order(x: Array, axis: int, descending: bool) -> Array:
    """numpy's stable order; descending: of negated ranks, of which NaN has the highest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    return np.argsort(-ranks, axis, kind="stable")


def sort_cases(x: Array, axis: int) -> list[Case]:
    """Both functions in both directions."""
    return [
        Case(f"{name} {x.dtype}{x.shape} {axis} {down}",
             lambda t, f=f, down=down: f(t, axis=axis, descending=down),
             lambda a, g=g, down=down: g(a, order(a, axis, down)), (x,))
        for down in (False, True)
        for name, f, g in (
            ("sort", gx.sort, lambda a, o: np.take_along_axis(a, o, axis)),
            ("argsort", gx.argsort, lambda a, o: o),
        )
    ]  # fmt: skip


def test_sort() -> None:
    cases = [c for shape, axis in SHAPES for c in sort_cases(floats(*shape), axis)]
    cases += [c for shape, axis in SHAPES for c in sort_cases(integers(0, 4, *shape), axis)]
    check(cases + sort_cases(NAN, 1) + sort_cases(NAN, 0))


@pytest.mark.parametrize("size", [9, 300])
def test_dtypes(size: int) -> None:
    cases = []
    for dtype in ALL_DTYPES:
        if dtype.name == "bfloat16":
            continue
        if dtype.kind == "b":
            x = RNG.random(size) < 0.5
        elif dtype.is_integer:
            bounds = np.iinfo(dtype.numpy)
            x = RNG.integers(bounds.min, bounds.max, size, endpoint=True, dtype=dtype.numpy)
            x[:2] = bounds.min, bounds.max
        else:
            x = (RNG.standard_normal(size) * 100).astype(dtype.numpy)
            x[:4] = np.nan, np.inf, -np.inf, np.finfo(dtype.numpy).max
        cases += sort_cases(x, 0)
    check(cases)


@pytest.mark.parametrize("size", [32768, 50021])
def test_long_rows_shared_by_threads(size: int) -> None:
    x, k = floats(size), integers(-500, 500, 2, size)
    x[RNG.integers(0, size, 99)] = np.nan
    check(sort_cases(x, 0) + sort_cases(k, 1) + sort_cases(floats(size).astype(np.float64), 0))


def test_symbolic_sizes() -> None:
    for shape in (("rows", "columns"), (gx.dim("rows", max=9), gx.dim("columns", max=100))):
        x = gx.input("x", shape)
        step = gx.compile([x], [gx.sort(x), gx.argsort(x, 0)])
        for sizes in ((3, 5), (9, 100), (1, 1), (0, 3)):
            a = floats(*sizes)
            values, where = step(a)
            np.testing.assert_array_equal(values, np.sort(a))
            np.testing.assert_array_equal(where, np.argsort(a, 0, kind="stable"))


@pytest.mark.parametrize("largest", [True, False])
def test_topk(largest: bool) -> None:
    cases = []
    for k, x, axis in (
        (1, floats(1), 0), (0, floats(4, 3), 1), (3, floats(4, 9), -1), (9, floats(4, 9), 1),
        (2, floats(9, 4), 0), (5, floats(2, 400), 1), (40, floats(2, 400), 1),
        (400, floats(400), 0),
        (3, NAN, 1), (6, NAN, 1), (4, integers(0, 3, 3, 500), 1), (7, floats(20000), 0),
        (7, np.zeros(20000, np.float32), 0), (100, np.arange(9999.0), 0), (3, floats(999) > 1, 0),
        (5, np.full(300, np.nan, np.float32), 0),
    ):  # fmt: skip

        def reference(a: Array, k: int = k, axis: int = axis) -> tuple[Array, Array]:
            front = np.take(order(a, axis, largest), np.arange(k), axis)
            return np.take_along_axis(a, front, axis), front

        cases.append(
            Case(f"topk {k} {x.dtype}{x.shape}",
                 lambda t, k=k, axis=axis: gx.topk(t, k, axis, largest), reference, (x,))
        )  # fmt: skip
    check(cases)


def test_topk_of_symbolic_sizes() -> None:
    x = gx.input("x", (gx.dim("rows", min=3),))
    step = gx.compile([x], list(gx.topk(x, 3)))
    for n in (3, 100, 5000):
        a = floats(n)
        values, where = step(a)
        np.testing.assert_array_equal(values, np.sort(a)[::-1][:3])
        np.testing.assert_array_equal(a[where], values)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    cases = []
    for n in (0, 1, 2, 15, 16, 17, 1000):
        x = np.sort(integers(0, max(n // 2, 2), n)).astype(np.float32)
        v = np.concatenate([x, x + 0.5, [-1, np.nan, np.inf, -np.inf]]).astype(np.float32)
        x[n - n // 9 :] = np.nan
        cases.append(
            Case(f"searchsorted {n}", lambda a, b: gx.searchsorted(a, b, side),
                 lambda a, b: np.searchsorted(a, b, side=side), (x, v))
        )  # fmt: skip
    unsorted = integers(-9, 9, 33)
    cases.append(
        Case("sorter", lambda a, b: gx.searchsorted(a, b, side, sorter=gx.argsort(a)),
             lambda a, b: np.searchsorted(np.sort(a), b, side=side),
             (unsorted, integers(-12, 12, 4, 5)))
    )  # fmt: skip
    check(cases)


def test_isin() -> None:
    x = integers(0, 50, 6, 7)
    cases = [
        Case(f"isin {n} {invert}", lambda a, b, invert=invert: gx.isin(a, b, invert=invert),
             lambda a, b, invert=invert: np.isin(a, b, invert=invert), (x, integers(0, 90, n)))
        for n in (0, 1, 20, 100) for invert in (False, True)
    ]  # fmt: skip
    many = np.tile(NAN.ravel(), 3)
    cases.append(Case("nan", gx.isin, np.isin, (NAN, many)))
    check(cases)


def padded(values: Array, size: int, fill: Any) -> Array:
    """The first `size`, or filled up to it."""
    return np.concatenate([values[:size], np.full(max(0, size - len(values)), fill, values.dtype)])


@pytest.mark.parametrize("size", [0, 1, 4, 12, 40])
def test_unique(size: int) -> None:
    cases = []
    for x in (integers(0, 9, 5, 6), integers(0, 3, 1), integers(0, 3, 0), np.round(floats(40))):

        def reference(a: Array) -> list[Array]:
            values, inverse, counts = np.unique(a, return_inverse=True, return_counts=True)
            count = np.int64(len(values))
            return [
                padded(values, size, 7), count,
                padded(counts, size, 0), padded(values, size, 7), inverse.reshape(a.shape), count,
            ]  # fmt: skip

        def function(t: Any) -> list[Any]:
            values, count = gx.unique_values(t, size, 7)
            _, counts, _ = gx.unique_counts(t, size, 7)
            return [values, count, counts, *gx.unique_inverse(t, size, 7)]

        cases.append(Case(f"unique {x.shape}", function, reference, (x,)))
    check(cases)


def test_places_without_an_element_hold_nothing() -> None:
    x = np.array([True, True, False])

    def reference(a: Array) -> list[Any]:
        return [np.array([False, True, False, False]), np.int64(2)]

    check([Case("bool", lambda t: gx.unique_values(t, 4), reference, (x,))])


@pytest.mark.parametrize("size", [0, 3, 50])
def test_nonzero(size: int) -> None:
    cases = []
    for x in (integers(0, 3, 4, 5), floats(9) > 0, integers(0, 2, 2, 3, 4), np.zeros((3, 0))):

        def reference(a: Array) -> list[Any]:
            found = np.nonzero(a)
            return [*(padded(i, size, -1) for i in found), np.int64(len(found[0]))]

        cases.append(Case(f"nonzero {x.shape}", lambda t: gx.nonzero(t, size, -1), reference, (x,)))
    check(cases)


def test_gradients() -> None:
    x = gx.input("x", (3, 8), dtype="float64")
    feeds = {x: RNG.permutation(24).reshape(3, 8) / 7.0}
    w = floats(3, 8).astype(np.float64)
    for y in (gx.sort(x), gx.sort(x, 0, descending=True), gx.topk(x, 8)[0]):
        assert check_gradients(gx.sum(y**2 * w), x, feeds).passed
    assert check_gradients(gx.sum(gx.topk(x, 3, axis=0)[0] ** 3), x, feeds).passed


def test_messages() -> None:
    x = gx.input("x", (4, 3))
    with pytest.raises(AxisError, match="sort: axis 2 is out of range"):
        gx.sort(x, 2)
    with pytest.raises(ShapeError, match=r"topk: k = 4 of 3 elements \(axis 1 of f32\[4,3\]\)"):
        gx.topk(x, 4)
    with pytest.raises(ShapeError, match="may have fewer than 2 elements") as caught:
        gx.topk(gx.input("y", ("n",)), 2)
    assert "min=" in str(caught.value)
    with pytest.raises(ArgumentError, match="topk: k is 0 or more, got -1"):
        gx.topk(x, -1)
    with pytest.raises(ArgumentError, match=r"topk: k must be an int, got 2\.0"):
        gx.topk(x, 2.0)
    with pytest.raises(ArgumentError, match='searchsorted: side is "left" or "right"'):
        gx.searchsorted(x[0], x, "middle")
    with pytest.raises(ShapeError, match="searchsorted: needs a sorted vector, got"):
        gx.searchsorted(x, x)
    with pytest.raises(ArgumentError, match="unique_values: size is 0 or more, got -2"):
        gx.unique_values(x, -2)
    with pytest.raises(DTypeError, match="nonzero: fill_value must be one int64, got f32"):
        gx.nonzero(x, 3, np.zeros(2, np.float32))
    with pytest.raises(ShapeError, match="nonzero: needs an axis"):
        gx.nonzero(gx.input("s", ()), 3)


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_counts_of_a_vector_whose_length_is_a_dim(target: str) -> None:
    x = gx.input("x", ("n",), "int32")
    counts = gx.compile([x], gx.unique_counts(x, 4), target=target)
    for array in ([3, 1, 3, 3, 2], [5], [1, 2, 3, 4, 4]):
        values, many, count = counts(np.array(array, np.int32))
        expected = np.unique(array, return_counts=True)
        assert count == len(expected[0])
        np.testing.assert_array_equal(values[:count], expected[0])
        np.testing.assert_array_equal(many[:count], expected[1])
        assert not many[count:].any()
