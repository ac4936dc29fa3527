"""Functions along an axis of no elements: empty results, sums of 0, means of NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

nn: Any = gx.nn
EMPTY, ZEROS = np.zeros((3, 0)), np.zeros(3)
NAN, LEAST = np.full(3, np.nan), np.full(3, -np.inf)

CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "softmax": (nn.softmax, EMPTY),
    "softmax of the first axis": (lambda x: nn.softmax(x.T, axis=0), EMPTY.T),
    "log_softmax": (nn.log_softmax, EMPTY),
    "logsumexp": (lambda x: gx.logsumexp(x, axis=1), LEAST),
    "logsumexp of all": (gx.logsumexp, -np.inf),
    "log of a sum": (lambda x: gx.log(gx.sum(gx.exp(x), axis=1)), LEAST),
    "cross entropy": (lambda x: nn.softmax_cross_entropy(x, gx.zeros_like(x)), ZEROS),
    "layer_norm": (nn.layer_norm, EMPTY),
    "rms_norm": (nn.rms_norm, EMPTY),
    "l2_normalize": (nn.l2_normalize, EMPTY),
    "cumulative_prod": (lambda x: gx.cumulative_prod(x, axis=1), EMPTY),
    "cumulative_max": (lambda x: gx.cumulative_max(x, axis=1), EMPTY),
    "kl_divergence": (lambda x: nn.kl_divergence(x, x), ZEROS),
    "mean": (lambda x: gx.mean(x, axis=1), NAN),
    "var": (lambda x: gx.var(x, axis=1), NAN),
    "std with a correction": (lambda x: gx.std(x, axis=1, correction=1), NAN),
    "attention": (
        lambda x: nn.scaled_dot_product_attention(gx.ones((2, 4)), x.T @ gx.ones((3, 4)), x.T),
        np.zeros((2, 3)),
    ),
}


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("size", [0, "n"])
@pytest.mark.parametrize("name", CASES)
def test_nothing(name: str, size: Any, target: str) -> None:
    function, wanted = CASES[name]
    x = gx.input("x", (3, size))
    y = function(x)
    slope = gx.grad(gx.sum(y), x)
    found, empty = gx.compile([x], [y, slope], target=target)(np.zeros((3, 0), np.float32))
    np.testing.assert_array_equal(found, np.asarray(wanted, np.float32))
    assert empty.shape == (3, 0)


@pytest.mark.parametrize("size", [0, "n"])
def test_an_extreme_of_nothing_is_an_error(size: Any) -> None:
    def run(function: Any) -> Any:
        x = gx.input("x", (3, size))
        both = [function(x, axis=1), nn.softmax(x)]
        return gx.compile([x], both)(np.zeros((3, 0), np.float32))

    for function in (gx.max, gx.min, gx.argmax):
        with pytest.raises(gx.errors.ShapeError, match=r"axis 1 of f32\[3,0\].* is empty"):
            run(function)
