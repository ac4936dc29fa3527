"""Combines against numpy: any way of splitting a sequence gives the right result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.loops import combine
from graphc.ir.loops.ir import Combine
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import ALL_DTYPES, bool_, float32, float64, int8, int32, uint8
from graphc.testing import assert_close

EMITTER = NumpyEmitter()


def fold(c: Combine, dtype: Any, elements: list[tuple[Any, ...]], chunk: int) -> tuple[Any, ...]:
    """Merge chunks of elements, then the chunks."""

    def start() -> tuple[Any, ...]:
        values = c.identities(dtype)
        assert len(values) == c.arity
        return tuple(
            EMITTER.const(v, dtype) if i == 0 or not c.name.startswith("arg") else np.int64(v)
            for i, v in enumerate(values)
        )

    parts = [elements[i : i + chunk] for i in range(0, len(elements), chunk)]
    total = start()
    for part in parts:
        running = start()
        for element in part:
            running = c.merge(EMITTER, running, element)
        total = c.merge(EMITTER, total, running)
    return total


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("dtype", [float64, int32, uint8, int8], ids=str)
def test_sums_products_extremes(dtype: Any, chunk: int) -> None:
    x = np.random.default_rng(0).integers(0, 4, 11).astype(dtype.numpy)
    elements = [(v,) for v in x]
    with np.errstate(over="ignore"):
        assert fold(combine.SUM, dtype, elements, chunk)[0] == x.sum(dtype=x.dtype)
        assert fold(combine.PROD, dtype, elements, chunk)[0] == x.prod(dtype=x.dtype)
    assert fold(combine.MAX, dtype, elements, chunk)[0] == x.max()
    assert fold(combine.MIN, dtype, elements, chunk)[0] == x.min()


def test_extremes_start_below_and_above_everything() -> None:
    for dtype in ALL_DTYPES:
        low, high = combine.lowest(dtype), combine.highest(dtype)
        if dtype.is_integer:
            assert (low, high) == (np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max)
        else:
            expected = (False, True) if dtype == bool_ else (-np.inf, np.inf)
            assert (low, high) == expected


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_extremes_propagate_nan(chunk: int) -> None:
    for at in range(5):
        x = np.arange(5, dtype=np.float32)
        x[at] = np.nan
        elements = [(v,) for v in x]
        assert np.isnan(fold(combine.MAX, float32, elements, chunk)[0])
        assert np.isnan(fold(combine.MIN, float32, elements, chunk)[0])


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize(
    "values",
    [[1, 3, 3, 2], [-np.inf] * 3, [np.inf, 1, np.inf], [1, np.nan, 5, np.nan], [0.0, -0.0], [4]],
)
def test_places_of_extremes(values: list[float], chunk: int) -> None:
    x = np.array(values, np.float32)
    elements = [(v, np.int64(i)) for i, v in enumerate(x)]
    for order in (elements, elements[::-1]):  # lanes do not merge in ascending order
        value, place = fold(combine.ARGMAX, float32, order, chunk)
        assert place == np.argmax(x)
        np.testing.assert_array_equal(value, x.max())
        assert fold(combine.ARGMIN, float32, order, chunk)[1] == np.argmin(x)


def test_any_and_all() -> None:
    for values in ([True, False], [False, False], [True, True], []):
        elements = [(np.bool_(v),) for v in values]
        assert fold(combine.ANY, bool_, elements, 1)[0] == any(values)
        assert fold(combine.ALL, bool_, elements, 1)[0] == all(values)


@pytest.mark.parametrize("chunk", [1, 4, 50])
def test_moments(chunk: int) -> None:
    x = np.random.default_rng(1).normal(1000, 1, 50)
    elements = [(np.float64(1), v, np.float64(0)) for v in x]
    count, mean, m2 = fold(combine.MEAN_M2, float64, elements, chunk)
    assert count == 50
    assert_close(mean, x.mean(), tolerance="ulps")
    assert_close(m2 / 50, x.var())
    assert fold(combine.MEAN_M2, float64, [], chunk) == (0, 0, 0)


@pytest.mark.parametrize("chunk", [1, 4, 50])
@pytest.mark.parametrize(
    "values",
    [[1.0, 2, 3], [1e4, 1e4 - 1, -1e4], [-np.inf, 1], [-np.inf, -np.inf], [np.inf, 1], []],
)
def test_log_of_sum_of_exponentials(values: list[float], chunk: int) -> None:
    elements = [(np.float64(v), np.float64(1)) for v in values]
    m, weight = fold(combine.LOGSUMEXP, float64, elements, chunk)
    with np.errstate(divide="ignore"):
        got = m + np.log(weight)
        wanted = np.logaddexp.reduce(np.array(values)) if values else -np.inf
    assert_close(got, wanted, tolerance="ulps")


def test_dot_is_a_chain_of_fma() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 20)).astype(np.float32)
    total = (np.float32(0),)
    chain = np.float32(0)
    for a, b in zip(x, y):
        total = combine.DOT.merge(EMITTER, total, (a, b))
        chain = np.float32(np.float64(a) * np.float64(b) + np.float64(chain))
    assert total[0] == chain
    assert combine.DOT.merge(EMITTER, (np.int32(1),), (np.int32(2), np.int32(3)))[0] == 7
    assert set(combine.COMBINES) == {c.name for c in combine.COMBINES.values()}
