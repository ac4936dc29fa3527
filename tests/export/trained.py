"""A network that the tests of exported libraries share."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx

Array = np.ndarray[Any, Any]
FEATURES, CLASSES, MOST = 12, 5, 24


def network(most: int | None = MOST) -> tuple[Any, Any]:
    """A training step with dropout and Adam, and a prediction that shares its parameters."""
    gx.seed(5)
    batch = gx.dim("batch", max=most)
    x, t = gx.input("x", (batch, FEATURES)), gx.input("t", (batch,), dtype="int32")
    with gx.name_scope("net"):
        h = gx.nn.dropout(gx.nn.Dense(17, activation="tanh")(x), 0.3)
        logits = gx.nn.Dense(CLASSES)(h)
    loss = gx.nn.softmax_cross_entropy(logits, t).mean()
    updates = gx.optim.Adam(1e-2).minimize(loss)
    outputs = {"loss": loss, "best": gx.argmax(logits, axis=-1)}
    step = gx.compile([x, t], outputs, updates, name="step")
    predict = gx.compile(
        [x], (gx.nn.softmax(logits), [logits * 2]), mode="inference", name="predict"
    )
    return step, predict


def data(rng: Any, count: int) -> tuple[Array, Array]:
    """A batch."""
    x = rng.standard_normal((count, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, count).astype(np.int32)
