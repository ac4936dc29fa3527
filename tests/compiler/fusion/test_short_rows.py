"""Rows of two to four elements are taken side by side: the lanes run over the rows."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

SHAPES = ((1, 2), (17, 3), (35, 4), (0, 2), (4, 33, 2), (16, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions_of_short_rows(shape: tuple[int, ...], dtype: str) -> None:
    drawn = np.random.default_rng(0).integers(0, 9, shape).astype(dtype)
    x = gx.input("x", ("batch", *shape[1:]), dtype=dtype)
    step = gx.compile([x], [gx.max(x, axis=-1), gx.sum(x, axis=-1), gx.argmax(x, axis=-1)])
    best, total, at = step(drawn)
    np.testing.assert_array_equal(best, drawn.max(-1))
    np.testing.assert_array_equal(total, drawn.sum(-1))
    np.testing.assert_array_equal(at, drawn.argmax(-1))


@pytest.mark.parametrize("threads", [1, 2])
def test_softmax_and_moments_of_short_rows(threads: int) -> None:
    drawn = np.random.default_rng(1).normal(size=(70_001, 3))
    drawn[5, 1], drawn[6, 2], drawn[7] = np.nan, -np.inf, 700.0
    x = gx.input("x", ("batch", 3), dtype="float64")
    step = gx.compile([x], [gx.nn.softmax(x), gx.var(x, axis=1)], threads=threads)
    soft, spread = step(drawn)
    with np.errstate(invalid="ignore"):
        powers = np.exp(drawn - drawn.max(1, keepdims=True))
        assert_close(soft, powers / powers.sum(1, keepdims=True), tolerance="ulps", each=True)
        assert_close(spread, drawn.var(1), each=True)


def test_the_lanes_run_over_the_rows() -> None:
    x = gx.input("x", (1000, 4))
    y = gx.input("y", (1000, 5))
    text = gx.compile([x, y], [gx.sum(x, axis=1), gx.sum(y, axis=1)]).text("fused")
    assert text.count("parallel lanes i < 1000\n    sequential j < 4") == 1
    assert text.count("sequential lanes j < 5") == 1
