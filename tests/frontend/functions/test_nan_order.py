"""NaN: larger than every number in an order, and the answer of every extreme."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.tolerances import HALF_SHARES

TARGETS = ["cpu", "interpret"]
FLOATS = ["float32", "float64", "float16", "bfloat16"]
Array = np.ndarray[Any, Any]


def rows(n: int, dtype: str) -> Array:
    """One NaN, several, only NaN, none; infinities beside them."""
    x = np.random.default_rng(n).normal(size=(6, n))
    x[1, n // 2] = x[3, 0] = x[3, -1] = np.nan
    x[2] = np.nan
    x[4, :3] = np.inf, -np.nan, np.inf
    x[5, 0] = -np.inf
    return x.astype(gx.input("x", (), dtype).dtype.numpy)


def wide(values: Any) -> Any:
    return {k: np.asarray(v).astype(np.float64) for k, v in values.items()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [3, 40, 300])
def test_one_rule(n: int, dtype: str, target: str) -> None:
    """The first of a descending order, the first of topk and the maximum are one element."""
    x = gx.input("x", (6, n), dtype)
    values, places = gx.topk(x, 1)
    ordered, order = gx.sort(x, descending=True), gx.argsort(x, descending=True)
    small, _ = gx.topk(x, 1, largest=False)
    pooled = gx.nn.global_max_pool(x[..., None])
    largest = {
        "max": gx.max(x, axis=1), "topk": values[:, 0], "sort": ordered[:, 0],
        "cumulative": gx.cumulative_max(x, 1)[:, -1], "pool": pooled[:, 0],
        "ascending": gx.sort(x)[:, -1],
    }  # fmt: skip
    where = {"argmax": gx.argmax(x, axis=1), "topk": places[:, 0], "argsort": order[:, 0]}
    gradients = {k: gx.grad(v.sum(), x) for k, v in largest.items()}
    others = {"min": gx.min(x, axis=1), "argmin": gx.argmin(x, axis=1), "small": small[:, 0]}
    step = gx.compile([x], [largest, where, gradients, others], target=target)
    array = rows(n, dtype)
    found, positions, shares, least = (wide(part) for part in step(array))
    exact = array.astype(np.float64)
    for value in found.values():
        np.testing.assert_array_equal(value, np.max(exact, axis=1))
    for place in positions.values():
        np.testing.assert_array_equal(place, np.argmax(exact, axis=1))
    first = np.arange(n) == np.argmax(exact, axis=1)[:, None]
    for name in ("topk", "sort", "cumulative", "pool"):
        np.testing.assert_array_equal(shares[name], first)
    np.testing.assert_allclose(shares["max"].sum(1), 1, **HALF_SHARES)
    np.testing.assert_array_equal(least["min"], np.min(exact, axis=1))
    np.testing.assert_array_equal(least["argmin"], np.argmin(exact, axis=1))
    np.testing.assert_array_equal(least["small"], np.sort(exact, axis=1)[:, 0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_two_operands_and_places(dtype: str, target: str) -> None:
    x, y = gx.input("x", (6,), dtype), gx.input("y", (6,), dtype)
    i = gx.constant(np.array([0, 0, 1, 2, 2, 5]))
    cases = [gx.maximum(x, y), gx.minimum(x, y), x.at[i].max(y), x.at[i].min(y)]
    cases += [gx.clip(x, y), gx.clip(x, max=y), gx.clip(x, -1.0, 1.0)]
    gradients = [g for case in cases for g in gx.grad(case.sum(), [x, y], unreachable="zero")]
    a = np.array([1, np.nan, 2, np.nan, 3, -1]).astype(x.dtype.numpy)
    b = np.array([0, 1, 2, np.nan, np.nan, np.inf]).astype(x.dtype.numpy)
    step = gx.compile([x, y], [cases, gradients], target=target)
    found, shares = ([v.astype(np.float64) for v in part] for part in step(a, b))
    u, v, places = a.astype(np.float64), b.astype(np.float64), [0, 0, 1, 2, 2, 5]
    for mine, function in zip(found[2:4], (np.maximum, np.minimum)):
        expected = u.copy()
        with np.errstate(all="ignore"):
            function.at(expected, places, v)
        np.testing.assert_array_equal(mine, expected)
    expected_others = [np.maximum(u, v), np.minimum(u, v)]
    np.testing.assert_array_equal(found[:2], expected_others)
    np.testing.assert_array_equal(found[4:], [*expected_others, np.clip(u, -1, 1)])
    np.testing.assert_array_equal(shares[0], [1, 1, 0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(shares[1], [0, 0, 0.5, 0.5, 1, 1])
    total = np.sum(shares, axis=1)
    assert total[4] + total[5] == 6  # 5 updates and one place without: every value has one owner
    assert np.isfinite(total).all()


def test_labels_among_the_largest_logits() -> None:
    x = gx.input("x", (4, 3))
    logits = np.array([[np.nan, 1, 0], [1, np.nan, 0], [np.nan] * 3, [0, 1, 2]], "float32")
    for k in (1, 2, 3):
        front = gx.topk(gx.constant(logits), k)[1].eval({})
        for label in range(3):
            share = gx.nn.top_k_accuracy(x, np.full(4, label), k).eval({x: logits})
            assert share == (front == label).any(1).mean()
