"""Attention step by step, with keys and values that are kept, beside that over whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close

nn = gx.nn


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def array(*shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"store_weights": False}, {"key_dim": 3, "value_dim": 5}])
@pytest.mark.parametrize("parts", [(1,) * 7, (4, 1, 1, 1), (3, 4), (7,)])
def test_steps_give_the_rows_of_the_whole(
    parts: tuple[int, ...], options: dict[str, Any], dtype: str
) -> None:
    layer = nn.MultiHeadAttention(2, **options)
    x = gx.input("x", ("batch", 7, 8), dtype)
    whole, batch = layer(x, is_causal=True), x.shape[0]
    keys, values = layer.cache(batch, 9, 8, dtype)
    at, rows = gx.zeros((batch,), "int32"), []
    for count in parts:
        done = sum(r.shape[1] for r in rows)
        y, keys, values = layer.step(x[:, done : done + count], keys, values, at + done)
        rows.append(y)
    step_by_step, wanted = gx.compile([x], [gx.concat(rows, axis=1), whole])(
        array(3, 7, 8, dtype=dtype)
    )
    assert_close(step_by_step, wanted)
    assert len(layer.parameters) == 8


def test_rows_may_have_places_of_their_own() -> None:
    """Row 0 has had 2 tokens, row 1 has had 5."""
    layer = nn.MultiHeadAttention(2)
    x, lengths = gx.input("x", (2, 6, 8)), gx.input("lengths", (2,), "int32")
    _, keys, values = layer.step(x[:, :5], *layer.cache(2, 6, 8), gx.zeros((2,), "int32"))
    token = gx.take_along_axis(x, lengths[:, None, None], axis=1)
    y, _, _ = layer.step(token, keys, values, lengths)
    whole = layer(x, is_causal=True)
    found, wanted = gx.compile([x, lengths], [y, whole])(array(2, 6, 8), np.array([2, 5], "int32"))
    assert_close(found[:, 0], wanted[[0, 1], [2, 5]])


def test_a_full_cache_is_told() -> None:
    layer = nn.MultiHeadAttention(1)
    x, at = gx.input("x", (2, 1, 4)), gx.input("at", (2,), "int32")
    step = gx.compile([x, at], layer.step(x, *layer.cache(2, 3, 4), at), target="interpret")
    step(array(2, 1, 4), np.array([0, 2], "int32"))
    with pytest.raises(RuntimeCheckError):
        step(array(2, 1, 4), np.array([0, 3], "int32"))


def test_mistakes() -> None:
    layer, x = nn.MultiHeadAttention(2), gx.input("x", (2, 1, 8))
    keys, values = layer.cache(2, 3, 8)
    at = gx.zeros((2,), "int32")
    with pytest.raises(ShapeError, match=r"keys must be \(2, 2, length, 4\), got f32\[3,2,3,4\]"):
        layer.step(x, layer.cache(3, 3, 8)[0], values, at)
    with pytest.raises(ShapeError, match=r"x must be \(batch, time, features\), got f32\[2,8\]"):
        layer.step(x[:, 0], keys, values, at)
    with pytest.raises(ShapeError, match="position must hold an integer for each of the rows"):
        layer.step(x, keys, values, gx.zeros((), "int32"))
    with pytest.raises(ArgumentError, match="9 features do not divide among 2 heads"):
        layer.cache(2, 3, 9)
    with pytest.raises(ArgumentError, match="length must be an int of 1 or more, got 0"):
        layer.cache(2, 0, 8)
