"""Normalised vectors whose squares are out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize(("dtype", "huge"), [("float32", 1e30), ("float64", 1e200)])
def test_huge_vectors(dtype: str, huge: float, target: str) -> None:
    x = gx.input("x", ("n", 3), dtype=dtype)
    y = gx.nn.l2_normalize(x)
    outputs: list[Any] = [y, gx.nn.cosine_similarity(x, x), gx.grad(gx.sum(y * [1.0, 2.0, 3.0]), x)]
    rows = np.array([[3, 0, 4], [3 * huge, 0, 4 * huge], [0, 0, 0], [3e-12, 0, 4e-12]], dtype)
    found, cosine, slope = gx.compile([x], outputs, target=target)(rows)
    unit = np.array([0.6, 0, 0.8])
    assert_close(found, [unit, unit, 0 * unit, unit], tolerance="ulps", each=True)
    assert_close(cosine, [1, 1, 0, 1], tolerance="ulps", each=True)
    across = np.array([1, 2, 3]) - unit * (unit @ [1, 2, 3])
    wanted = [across / 5, across / (5 * huge), 1e12 * np.array([1, 2, 3]), across / 5e-12]
    assert_close(slope, wanted, each=True)
