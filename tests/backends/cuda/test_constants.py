"""Constants that only the body of a loop uses."""

from __future__ import annotations

import numpy as np

import graphc as gx
from tests.backends.cuda.stepwise import same_bits


def test_labels_of_an_alignment() -> None:
    x = gx.input("x", (2, 5, 4))
    labels = np.array([[1, 2, -1], [3, 99, 0]])
    loss = gx.nn.ctc(x, labels, np.array([3, 5]), np.array([2, 1]))
    data = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")
    on_cpu, simulated = (
        gx.compile([x], [loss, gx.grad(loss.sum(), x)], target=target)(data)
        for target in ("cpu", "cuda-simulate")
    )
    for found, wanted in zip(simulated, on_cpu):
        same_bits(found, wanted, "ctc")
