"""Reductions of more elements than one thread should add, and what is made of their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

import graphc as gx
from graphc.testing import assert_close

Array = NDArray[Any]
SHAPES = ((130, 130), (1, 16901), (3, 7))


def flat(x: Any) -> Any:
    return gx.reshape(x, (-1,))


CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Any]]] = {
    "softmax": (lambda x: gx.nn.softmax(flat(x)), lambda x: special.softmax(x.ravel())),
    "log_softmax": (lambda x: gx.nn.log_softmax(flat(x)), lambda x: special.log_softmax(x.ravel())),
    "logsumexp": (gx.logsumexp, special.logsumexp),
    "logsumexp of a stored product": (lambda x: (x * 0.5, gx.logsumexp(x * 0.5))[1],
                                      lambda x: special.logsumexp(x * 0.5)),
    "variance": (gx.var, np.var),
    "standardised": (lambda x: (x - gx.mean(x)) / gx.std(x), lambda x: (x - x.mean()) / x.std()),
    "share of the total, kept axes": (
        lambda x: x / gx.sum(gx.abs(x), axis=(0, 1), keepdims=True),
        lambda x: x / np.abs(x).sum(),
    ),
    "mean of a softmax, kept axes": (
        lambda x: gx.mean(gx.nn.softmax(x), axis=(0, 1), keepdims=True) * 3.0 + 1.0,
        lambda x: np.full((1, 1), 3.0 / x.shape[1] + 1.0),
    ),
    "sum of squared distances to the sum": (
        lambda x: gx.sum((x - gx.sum(x)) ** 2), lambda x: ((x - x.sum()) ** 2).sum()
    ),
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_two_passes_over_everything(case: str, shape: tuple[int, int], threads: int) -> None:
    build, expected = CASES[case]
    x = gx.input("x", shape, dtype="float64")
    array = np.random.default_rng(3).normal(size=shape) * 20
    function = gx.compile([x], [build(x), x * 0.5], threads=threads)
    for _ in range(2):
        found, half = function(array)
        assert_close(found, expected(array), each=True, floor=1.0)
        np.testing.assert_array_equal(half, array * 0.5)


@pytest.mark.parametrize("rows", [1, 3, 150])
def test_two_passes_over_a_batch(rows: int) -> None:
    x = gx.input("x", ("batch", 130), dtype="float64")
    array = np.random.default_rng(rows).normal(size=(rows, 130)) * 20
    function = gx.compile([x], gx.nn.softmax(flat(x)))
    function(array[:1])
    expected = special.softmax(array.ravel())
    assert_close(function(array), expected, each=True)
