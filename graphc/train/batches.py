"""Whole arrays cut into the minibatches of an epoch, and means over them."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.arrays import convert
from graphc.ir.graph import Node
from graphc.ir.types import Array
from graphc.runtime.backend import HeldData
from graphc.runtime.epoch import (
    batched_inputs,
    check_whole,
    match_values,
    run_rows,
    sample_count,
)
from graphc.runtime.function import CompiledFunction
from graphc.runtime.kept_data import is_immutable

_FILE_BYTES = 2**26  # what is read from memory-mapped files at once


class Batches:
    """The arrays that a function is called on, batch by batch; inputs without batch axis whole."""

    def __init__(
        self, function: CompiledFunction, data: Any, batch_size: int, drop_last: bool = False
    ) -> None:
        self.function = function
        self.batched = batched_inputs(function, batch_size)
        values = match_values(function.binding, data)
        taken = zip(function.binding.inputs, values, self.batched)
        self.arrays = [_converted(function, *each) for each in taken]
        self.batch_size = batch_size
        count = sample_count(function, self.arrays, self.batched)
        self.used = count - count % batch_size if drop_last else count
        if not self.used:
            raise ShapeError(
                f"fit: {count} samples make no batch of {batch_size}",
                hint="drop_last=False uses the rest",
            )
        check_whole(function, self.used, batch_size)
        self.count = count
        self._most = _steps_of_files(self.arrays, batch_size)  # in a slice
        self.held: HeldData | None = None
        self._order: Array | None = None  # of the samples in this epoch; None for their own

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.used // self.batch_size)

    @contextmanager
    def epoch(self, number: int, rng: np.random.Generator | None, done: int = 0) -> Iterator[None]:
        """An epoch; its order is drawn from a generator, or the samples' own."""
        self._order = None if rng is None else rng.permutation(self.count)
        yield

    def finished(self, done: int) -> bool:
        """Whether the epoch has no more than these steps."""
        return done >= self.steps

    def run(self, start: int, stop: int) -> Steps:
        """Call the function on batches start..stop-1, as far as there are; what each gave."""
        stop = min(stop, self.steps, start + self._most)
        chosen = self._chosen(start, stop)
        if self.held is None:
            parts = self._parts(chosen)
            outputs = self.function.run_epoch(parts, self.batch_size, shuffle=False)
        else:
            rows = np.arange(chosen.start, chosen.stop) if self._order is None else chosen
            outputs = run_rows(
                self.function, self.arrays, self.batched, rows, self.batch_size, self.held
            )
        edges = np.minimum(np.arange(start, stop + 1) * self.batch_size, self.used)
        return Steps(scalars(self.function, outputs), np.diff(edges))

    @contextmanager
    def holding(self, unchanged: bool) -> Iterator[None]:
        """Send the arrays to the device once in the block, if they stay as they are there."""
        given = [a for a, taken in zip(self.arrays, self.batched) if taken]
        stay = (unchanged or all(map(is_immutable, given))) and not any(map(is_mapped, given))
        if self.function.native.holds_data and stay:
            self.held = HeldData()
        try:
            yield
        finally:
            held, self.held = self.held, None
            if held is not None:
                held.release()

    def each(self) -> Iterator[tuple[list[Array], int]]:
        """The inputs of every step, and the number of samples in them."""
        for start in range(0, self.used, self.batch_size):
            stop = min(start + self.batch_size, self.used)
            yield self._parts(slice(start, stop)), stop - start

    def head(self, function: CompiledFunction, samples: int | None) -> Batches:
        """The first samples (None: all) for another function of the same inputs."""
        count = self.used if samples is None else min(samples, self.used)
        if count > self.batch_size:
            count -= count % self.batch_size  # a step of fixed sizes takes no smaller batch
        return Batches(function, self._parts(slice(0, count)), min(self.batch_size, count))

    def inputs(self, step: int) -> list[Array]:
        """The inputs of one step."""
        return self._parts(self._chosen(step, step + 1))

    def place(self, step: int, row: int) -> str:
        """What to call a sample of one step."""
        index = step * self.batch_size + row
        return f"row {index if self._order is None else self._order[index]} of the data"

    def _parts(self, chosen: Any) -> list[Array]:
        return [a[chosen] if taken else a for a, taken in zip(self.arrays, self.batched)]

    def _chosen(self, start: int, stop: int) -> Any:
        first = start * self.batch_size
        last = min(stop * self.batch_size, self.used)
        return slice(first, last) if self._order is None else self._order[first:last]


def _steps_of_files(arrays: list[Array], batch_size: int) -> int:
    """How many steps may be read from memory-mapped files together; any number where none are."""
    size = sum(a.nbytes // len(a) for a in arrays if a.ndim and is_mapped(a)) * batch_size
    return max(1, _FILE_BYTES // size) if size else sys.maxsize


def _converted(function: CompiledFunction, node: Node, value: Any, batched: bool) -> Array:
    """What was given as an array of the input's type; that of a file is converted in slices."""
    name, cast = function.name, function.binding.cast
    if batched and isinstance(value, np.ndarray) and value.ndim and is_mapped(value):
        convert(name, node, value[:0], cast)  # raises where the type does not fit
        return value
    return convert(name, node, value, cast)


def is_mapped(array: Array) -> bool:
    """Whether an array is part of a memory-mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return isinstance(base, (np.memmap, mmap.mmap))


def scalars(function: CompiledFunction, outputs: Any) -> dict[str, Array]:
    """For every output of rank 0, its values step by step."""
    result: dict[str, Array] = {}
    for path in function.structure.paths():
        values = outputs
        for key in path:
            values = values[key]
        if isinstance(values, np.ndarray) and values.ndim == 1:
            result[log_name(path)] = values.astype(np.float64)
    return result


def log_name(path: tuple[Any, ...]) -> str:
    """The name of an output in the logs: its key; "loss" for a function's only output."""
    return "/".join(map(str, path)) if path else "loss"


@dataclass(frozen=True)
class Steps:
    """The outputs of rank 0 of some steps, and the number of samples in each step."""

    values: dict[str, Array]
    sizes: Array

    def means(self) -> dict[str, float]:
        """The mean of every output, weighted by the numbers of samples."""
        return {k: float(np.average(v, weights=self.sizes)) for k, v in self.values.items()}


class RunningMeans:
    """Slices of steps, one after the other; how they were cut does not change the final means."""

    def __init__(self) -> None:
        self._slices: list[Steps] = []
        self.samples = 0
        self.steps = 0
        self.so_far: dict[str, float] = {}

    def add(self, steps: Steps) -> None:
        """Take some more steps in; brings the means so far, to be looked at, up to date."""
        self._slices.append(steps)
        self.steps += len(steps.sizes)
        count = int(steps.sizes.sum())
        self.samples += count
        for name, value in steps.means().items():
            old = self.so_far.get(name, 0.0)
            self.so_far[name] = old + (value - old) * (count / self.samples)

    def all(self) -> Steps:
        """All steps."""
        sizes = np.concatenate([s.sizes for s in self._slices])
        names = self._slices[0].values
        joined = {k: np.concatenate([s.values[k] for s in self._slices]) for k in names}
        return Steps(joined, sizes)

    def means(self) -> dict[str, float]:
        """The means over all steps."""
        return self.all().means()
