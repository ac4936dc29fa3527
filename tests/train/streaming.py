"""A step on little data, and data cut into batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc as gx

SIZE = 4


def regression(target: str = "interpret", **options: Any) -> tuple[Any, Any, list[Any]]:
    """(step, evaluate, arrays) of a linear model on 23 samples."""
    gx.seed(0)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch",))
    w = gx.parameter("w", value=np.zeros((3,), "float32"))
    outputs = (x * w).sum(axis=1)
    loss = gx.nn.mse(outputs, t).mean()
    updates = gx.optim.SGD(0.05, momentum=0.9).minimize(loss)
    step = gx.compile([x, t], {"loss": loss}, updates=updates, target=target, **options)
    evaluate = gx.compile([x, t], {"loss": loss}, target="interpret", name="evaluate")
    rng = np.random.default_rng(0)
    array = rng.normal(size=(23, 3)).astype("float32")
    return step, evaluate, [array, array @ np.array([1, -2, 3], "float32")]


def cut(arrays: list[Any], size: int = SIZE) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(arrays[0]), size):
        yield tuple(a[start : start + size] for a in arrays)


class Loader:
    """Batches as torch's loaders give them: of unknown kind, of known number."""

    def __init__(self, arrays: list[Any], kind: str = "tuple", size: int = SIZE) -> None:
        self.arrays, self.kind, self.size = arrays, kind, size

    def __len__(self) -> int:
        return -(-len(self.arrays[0]) // self.size)

    def __iter__(self) -> Iterator[Any]:
        for x, t in cut(self.arrays, self.size):
            yield {"tuple": (x, t), "list": [x, t], "dict": {"t": t, "x": x}}[self.kind]


def value(step: Any) -> Any:
    return step.parameters["w"].value


def prefetching() -> list[Any]:
    return [t for t in threading.enumerate() if t.name == "graphc prefetch"]
