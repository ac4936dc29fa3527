"""A small problem whose gradient is known, and optimisers followed over many steps of it."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from tests.optim.optimizer_formulas import Array, Rule

STEPS = 20


def quadratic(dtype: str, shape: tuple[int, ...] = (3, 5)) -> tuple[Any, Any, Any]:
    """A parameter, an input and sum(x * p^2 + x * p) / 2, whose gradient is x (p + 1/2)."""
    start = np.random.default_rng(1).normal(size=shape).astype(dtype)
    p = gx.parameter("p", value=start)
    x = gx.input("x", shape, dtype=dtype)
    return p, x, (x * p * p + x * p).sum() * 0.5


def follow(
    optimizer: Any, rule: Rule, dtype: str, target: str, shape: tuple[int, ...] = (3, 5)
) -> tuple[Array, Array]:
    """The parameter after some steps of an optimiser, and of a rule."""
    p, x, loss = quadratic(dtype, shape)
    step = gx.compile([x], loss, updates=optimizer.minimize(loss), target=target)
    rng = np.random.default_rng(2)
    expected, state = p.value.astype(np.float64), {}
    for t in range(1, STEPS + 1):
        batch = rng.normal(size=p.shape).astype(dtype)
        step(batch)
        expected = rule(expected, batch * (expected + 0.5), t, state)
    return p.value, expected
