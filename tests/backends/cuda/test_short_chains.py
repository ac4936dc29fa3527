"""Products whose chain is shorter than the pipeline of copies that feeds it."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from tests.tolerances import MIXED_ORDER


@pytest.mark.parametrize("inner", [16, 32, 64])
def test_copies_have_arrived_before_the_first_tile(inner: int) -> None:
    x, u, w = gx.input("x", (64, 64)), gx.input("u", (64, inner)), gx.input("w", (inner, 64))
    product = gx.nn.relu(x @ u) @ w
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=t.shape).astype(np.float32) for t in (x, u, w)]
    function = gx.compile([x, u, w], product, target="cuda-simulate", precision="bf16")
    expected = gx.compile([x, u, w], product, precision="bf16")(*arrays)
    found = function(*arrays)
    assert {"mma_bf16", "copy_async"} <= set(function.source("cuda").replace("(", " ").split())
    gx.testing.assert_close(found, expected, tolerance=MIXED_ORDER["bf16"])
