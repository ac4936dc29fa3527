"""Whole arrays cut into the minibatches of an epoch, and means over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.epoch import batched_inputs, match_arrays, sample_count
from graphc.errors import ShapeError
from graphc.function import CompiledFunction
from graphc.ops.base import Array
from graphc.symbols import generator


class Batches:
    """The arrays that a function is called on, batch by batch; inputs without batch axis whole."""

    def __init__(
        self, function: CompiledFunction, data: Any, batch_size: int, drop_last: bool = False
    ) -> None:
        self.function = function
        self.arrays = match_arrays(function.binding, data)
        self.batched = batched_inputs(function, self.arrays, batch_size)
        self.batch_size = batch_size
        count = sample_count(function, self.arrays, self.batched)
        self.used = count - count % batch_size if drop_last else count
        if not self.used:
            raise ShapeError(
                f"fit: {count} samples make no batch of {batch_size}",
                hint="drop_last=False uses the rest",
            )
        self.count = count

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.used // self.batch_size)

    def order(self, seed: int, name: str, shuffle: bool) -> Array | None:
        """The samples in the order of an epoch; None for their own order."""
        return generator(seed, name).permutation(self.count) if shuffle else None

    def run(self, order: Array | None, start: int, stop: int) -> tuple[dict[str, float], int]:
        """Call the function on batches start..stop-1; the outputs' means and the sample count."""
        first = start * self.batch_size
        last = min(stop * self.batch_size, self.used)
        chosen: Any = slice(first, last) if order is None else order[first:last]
        parts = [a[chosen] if taken else a for a, taken in zip(self.arrays, self.batched)]
        outputs = self.function.run_epoch(parts, self.batch_size, shuffle=False)
        edges = np.minimum(np.arange(start, stop + 1) * self.batch_size, self.used)
        return means(self.function, outputs, np.diff(edges)), last - first


def means(function: CompiledFunction, outputs: Any, sizes: Array) -> dict[str, float]:
    """For every output of rank 0, its mean over the steps, weighted by their numbers of samples."""
    result: dict[str, float] = {}
    for path in function.structure.paths():
        values = outputs
        for key in path:
            values = values[key]
        if isinstance(values, np.ndarray) and values.ndim == 1:
            result[log_name(path)] = float(np.average(values.astype(np.float64), weights=sizes))
    return result


def log_name(path: tuple[Any, ...]) -> str:
    """The name of an output in the logs: its key; "loss" for a function's only output."""
    return "/".join(map(str, path)) if path else "loss"


class RunningMeans:
    """Means of means, weighted by sample counts."""

    def __init__(self) -> None:
        self.count = 0
        self.values: dict[str, float] = {}

    def add(self, values: dict[str, float], count: int) -> None:
        """Take the means over some more samples in."""
        self.count += count
        for name, value in values.items():
            old = self.values.get(name, 0.0)
            self.values[name] = old + (value - old) * (count / self.count)
