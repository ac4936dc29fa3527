"""Clipping by the global norm where the squares of the gradients leave the range of their type."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.optim.clip import clip_by_global_norm, global_norm
from tests.tolerances import CLIPPED

SIZES = [
    ("float32", [1.0, 1e23, 3e38, 1e-30]),
    ("float64", [1.0, 1e200, 1.7e308, 1e-200]),
    ("bfloat16", [1.0, 1e25, 1e38]),
    ("float16", [1.0, 6e4, 1e-4]),
]


@pytest.mark.parametrize("target", ["interpret", "cpu"])
@pytest.mark.parametrize(("dtype", "sizes"), SIZES)
def test_clip_norm_of_every_size(dtype: str, sizes: list[float], target: str) -> None:
    a, b = gx.input("a", (2,), dtype), gx.input("b", (1, 1), dtype)
    limits = [gx.compile([a, b], clip_by_global_norm([a, b], k), target=target) for k in (1.0, 1e4)]
    norm = gx.compile([a, b], gx.astype(global_norm([a, b]), "float64"), target=target)
    for size in sizes:
        x = gx.astype(gx.constant(np.array([0.6, 0.0]) * size), dtype).eval({})
        y = gx.astype(gx.constant(np.array([[0.8]]) * size), dtype).eval({})
        np.testing.assert_allclose(norm(x, y), size, rtol=CLIPPED[dtype])
        for limit, clip in zip((1.0, 1e4), limits):
            p, q = (np.asarray(v, np.float64) for v in clip(x, y))
            kept = min(size, limit)
            np.testing.assert_allclose(
                [*p, *q[0]], [0.6 * kept, 0, 0.8 * kept], rtol=CLIPPED[dtype]
            )


@pytest.mark.parametrize("optimizer", [gx.optim.SGD, gx.optim.Adam, gx.optim.RMSprop])
def test_a_huge_gradient_moves_every_optimizer(optimizer: type) -> None:
    p = gx.parameter("p", value=np.ones(3, np.float32))
    x = gx.input("x", (3,))
    loss = (p * x).sum()
    step = gx.compile([x], loss, updates=optimizer(0.1).minimize(loss, clip_norm=1.0))
    step(np.full(3, 1e23, np.float32))
    moved = 1.0 - p.value
    assert np.isfinite(p.value).all()
    assert (moved > 0.05).all()
