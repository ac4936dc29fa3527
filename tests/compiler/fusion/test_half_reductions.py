"""Reductions of 16-bit floats: combined in float32, finished in their own dtype."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import find_dtype
from tests.tolerances import HALF_REDUCTIONS


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(4, 64), (5, 7), (3, 1), (700, 3), (5000,)])
def test_reductions_have_the_dtype_of_their_operand(dtype: str, shape: tuple[int, ...]) -> None:
    x = gx.input("x", shape, dtype=dtype)
    array = np.random.default_rng(0).uniform(0.0, 1.0, shape).astype(find_dtype(dtype).numpy)
    wide = array.astype(np.float64)
    outputs = {
        "sum": (gx.sum(x, -1), wide.sum(-1)),
        "first": (gx.sum(x, 0), wide.sum(0)),
        "all": (gx.sum(x), wide.sum()),
        "mean": (gx.mean(x, -1), wide.mean(-1)),
        "share": (x / gx.sum(x, -1, keepdims=True), wide / wide.sum(-1, keepdims=True)),
    }
    found = gx.compile([x], {name: tensor for name, (tensor, _) in outputs.items()})(array)
    for name, (_, expected) in outputs.items():
        assert found[name].dtype == array.dtype
        got = found[name].astype(np.float64)
        np.testing.assert_allclose(got, expected, **HALF_REDUCTIONS[dtype])
