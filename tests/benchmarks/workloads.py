"""What is measured: data, initial weights and arithmetic of each workload. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEARNING_RATE = 0.01
ADAM_LEARNING_RATE = 1e-3
L2 = 1e-4


@dataclass(frozen=True)
class Workload:
    """A dense classifier: layer sizes, batch, and how it is trained."""

    layers: tuple[int, ...]
    batch: int = 128
    optimizer: str = "sgd"
    momentum: float = 0.0
    dropout: float = 0.0
    l2: float = 0.0

    @property
    def flops(self) -> int:
        """Two per multiply-add of all products: forward, weight gradient, input gradient (none
        for the first layer). Elementwise work and the optimizer are not counted."""
        pairs = list(zip(self.layers, self.layers[1:]))
        return sum(2 * self.batch * a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(pairs))


WORKLOADS = {
    "logreg": Workload((784, 10)),
    "mlp": Workload((784, 512, 512, 10), momentum=0.9, l2=L2),
    "mlp_dropout": Workload((784, 512, 512, 10), optimizer="adam", dropout=0.5, l2=L2),
}


def minibatches(workload: Workload, count: int = 2) -> list[tuple[Any, Any]]:
    """(images, labels) of each minibatch."""
    rng = np.random.RandomState(7)
    inputs, classes = workload.layers[0], workload.layers[-1]
    return [
        (
            rng.rand(workload.batch, inputs).astype(np.float32),
            rng.randint(0, classes, workload.batch).astype(np.int32),
        )
        for _ in range(count)
    ]


def initial(workload: Workload) -> list[tuple[Any, Any]]:
    """(kernel (in, out), bias) of each layer; the last kernel is small."""
    rng = np.random.RandomState(3)
    pairs = list(zip(workload.layers, workload.layers[1:]))
    result = []
    for i, (a, b) in enumerate(pairs):
        scale = 0.01 if i == len(pairs) - 1 else (2.0 / a) ** 0.5
        kernel = (rng.randn(a, b) * scale).astype(np.float32)
        result.append((kernel, np.zeros(b, np.float32)))
    return result
