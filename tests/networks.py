"""Small training steps that several tests compile."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.ir.types import Array

FEATURES, CLASSES = 23, 7


def data(samples: int, seed: int = 0) -> tuple[Array, Array]:
    """Inputs and labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, samples).astype(np.int32)


def mlp_step(
    target: str = "cpu", threads: int | None = None, dropout: float = 0.3, hidden: int = 37
) -> Any:
    """A dropout MLP with Adam; equal calls give functions with equal initial values."""
    gx.seed(5)
    batch = gx.dim("batch")
    x = gx.input("x", (batch, FEATURES))
    t = gx.input("t", (batch,), dtype="int32")
    model = gx.nn.Sequential(
        [
            gx.nn.Dense(hidden, activation="relu"),
            gx.nn.Dropout(dropout),
            gx.nn.Dense(hidden, activation="tanh"),
            gx.nn.Dense(CLASSES),
        ]
    )
    loss = gx.nn.softmax_cross_entropy(model(x), t).mean()
    updates = gx.optim.Adam(1e-2).minimize(loss)
    return gx.compile([x, t], {"loss": loss}, updates, target=target, threads=threads)


def run(step: Any, batches: list[int]) -> list[Array]:
    """Losses of steps with these batch sizes, then all parameters in order of name."""
    losses = [step(*data(n, seed=i))["loss"] for i, n in enumerate(batches)]
    return losses + [step.parameters[name].value for name in sorted(step.parameters)]
