"""A sum that one element alone feeds is that element, looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend.tensor import lift_op
from graphc.ir.ops.leaf import Iota
from graphc.ir.types import int64
from graphc.testing import assert_close


def picked(rows: int, columns: int, dtype: str = "float32", axis: int = 1) -> tuple[Any, Any, Any]:
    """x, places, sum over an axis of where(index == place, 3 x, 0)."""
    x = gx.input("x", (rows, columns), dtype=dtype)
    t = gx.input("t", (rows if axis == 1 else columns,), dtype="int64")
    place = gx.expand_dims(t, axis=axis)
    hot = lift_op(Iota(x.shape, axis, int64)) == place
    return x, t, gx.sum(gx.where(hot, x * 3, 0), axis=axis)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 7), (16, 64), (37, 100), (4, 3000)])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_element_at_the_place_or_zero(shape: tuple[int, int], dtype: str, axis: int) -> None:
    x, t, y = picked(*shape, dtype, axis)
    rng = np.random.default_rng(0)
    a = rng.integers(-50, 50, shape).astype(dtype)
    places = rng.integers(-2, shape[axis] + 2, shape[1 - axis])
    wanted = [
        3 * np.take(a, p, axis=axis)[k] if 0 <= p < shape[axis] else 0
        for k, p in enumerate(places)
    ]  # fmt: skip
    for threads in (1, 2):
        got = gx.compile([x, t], y, threads=threads)(a, places)
        assert (got == np.array(wanted)).all()


def test_the_sum_is_a_load() -> None:
    x, t, y = picked(5, 7)
    text = gx.compile([x, t], y).text("fused")
    assert "x[i, t0]" in text
    assert "sum=" not in text


def test_other_sums_stay_sums() -> None:
    """Where the place differs along the axis, or something else than 0 is added, all count."""
    x = gx.input("x", (5, 7))
    places = gx.input("p", (5, 7), dtype="int64")
    t = gx.input("t", (5,), dtype="int64")
    index = lift_op(Iota(x.shape, 1, int64))
    moving = gx.sum(gx.where(index == places, x, 0.0), axis=1)
    ones = gx.sum(gx.where(index == gx.expand_dims(t, axis=1), x, 1.0), axis=1)
    a = np.random.default_rng(0).integers(-9, 9, (5, 7)).astype("float32")
    p, k = np.tile(np.arange(7), (5, 1)), np.array([0, 6, 3, 9, -1])
    p[:, 2] = 0
    got = gx.compile([x, places, t], [moving, ones])(a, p, k)
    columns = np.arange(7)
    assert (got[0] == np.where(columns == p, a, 0).sum(1)).all()
    assert (got[1] == np.where(columns == k[:, None], a, 1).sum(1)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_a_place_that_is_no_whole_number_is_no_element(dtype: str) -> None:
    """Nor does an index of few bits name one element: it wraps around."""
    x, t = gx.input("x", (4, 300)), gx.input("t", (4,), dtype=dtype)
    index = lift_op(Iota(x.shape, 1, t.dtype))
    y = gx.sum(gx.where(index == gx.expand_dims(t, axis=1), x, 0.0), axis=1)
    a = np.arange(1200.0).reshape(4, 300).astype("float32")
    places = [2, 44, -3, 0] if dtype == "int8" else [2.5, np.nan, 7.0, -1.0]
    given = np.array(places, dtype)
    np.testing.assert_array_equal(gx.compile([x, t], y)(a, given), y.eval({x: a, t: given}))


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize("function", [lambda s: s, gx.exp, lambda s: gx.log(gx.maximum(s, 0.5))])
def test_an_element_of_a_product(function: Any, target: str) -> None:
    """The choice joins the product, whose elements nobody else can compute by themselves."""
    x, w = gx.input("x", ("rows", 6)), gx.parameter("w", (6, 9))
    t = gx.input("t", ("rows",), dtype="int64")
    values = function(x @ w)
    hot = lift_op(Iota(values.shape, 1, int64)) == gx.expand_dims(t, axis=1)
    one = gx.sum(gx.where(hot, values, 0.0), axis=1)
    rng = np.random.default_rng(0)
    a, places = rng.normal(size=(40, 6)).astype("float32"), rng.integers(-2, 11, 40)
    got, every = gx.compile([x, t], [one, values], target=target)(a, places)
    alone = gx.compile([x, t], one, target=target)(a, places)
    inside = (places >= 0) & (places < 9)
    wanted = np.where(inside, every[np.arange(40), places.clip(0, 8)], 0.0)
    assert_close(got, wanted, each=True)
    assert_close(alone, wanted, each=True)
    probabilities = gx.nn.sigmoid(x @ w)
    loss = gx.nn.sparse_categorical_crossentropy(probabilities, t).mean()
    step = gx.compile([x, t], loss, gx.optim.SGD(0.1).minimize(loss), target=target)
    assert np.isfinite(step(a, places.clip(0, 8)))
