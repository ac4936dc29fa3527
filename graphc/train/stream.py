"""Batches as they come: made by a thread, and kept as long as they may be run again."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, GraphcError
from graphc.ir.arrays import label
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction
from graphc.train.batches import Steps, log_name
from graphc.train.prefetch import Prefetch
from graphc.train.sources import Source, no_batch

_SLICE_BYTES = 2**28  # batches are kept for the length of a slice; it ends when they are larger


@dataclass(frozen=True)
class Batch:
    """The inputs of one step, in order."""

    arrays: list[Array]
    dims: Mapping[str, int]
    size: int  # samples


class Stream:
    """What a source gives to a function; has the face of `feed.Feed`."""

    def __init__(self, function: CompiledFunction, source: Source, prefetch: int) -> None:
        self.function, self.source, self.prefetch = function, source, prefetch
        self.steps = source.length
        self._origin = origins.find_origin()  # the thread is not on the user's stack
        outputs = zip(function.structure.paths(), function.graph.outputs)
        self._scalars = [
            (place, log_name(path))
            for place, (path, (_, node)) in enumerate(outputs)
            if not node.type.shape
        ]
        self._ahead: Prefetch[Batch]
        self._kept: list[Batch] = []  # those of the present slice
        self._first = self._next = self._epoch = 0
        self._begun = False

    @contextmanager
    def epoch(self, number: int, rng: np.random.Generator | None, done: int = 0) -> Iterator[None]:
        """An epoch after some steps; the order is what the source gives."""
        self._kept, self._first, self._next, self._epoch = [], done, done, number
        self._ahead = Prefetch(self._batches(self.source.open(number, done), done), self.prefetch)
        try:
            yield
        finally:
            self._ahead.close()
            self._kept = []

    @contextmanager
    def holding(self, unchanged: bool) -> Iterator[None]:
        """Nothing stays where it is."""
        yield

    def finished(self, done: int) -> bool:
        """Whether the epoch has no more than these steps; raises what the source raised."""
        if self._ahead.wait():
            return False
        self._ahead.check()
        if not done and not (self.source.once and self._begun):
            raise no_batch(self._epoch if self._begun else 0)
        self.steps = done or self.steps
        return True

    def run(self, start: int, stop: int) -> Steps:
        """Call the function on batches start..stop-1, or fewer; what every step gave.

        They are the next ones, or some of those that the last call for next ones gave.
        """
        values: dict[str, list[Any]] = {name: [] for _, name in self._scalars}
        sizes = []
        for number, batch in enumerate(self._slice(start, stop), start + 1):
            outputs = self._call(number, batch)
            for place, name in self._scalars:
                values[name].append(outputs[place])
            sizes.append(batch.size)
        return Steps({k: np.array(v, np.float64) for k, v in values.items()}, np.array(sizes))

    def each(self) -> Iterator[tuple[list[Array], int]]:
        """The inputs of every step, and the number of samples in them."""
        with self.epoch(0, None):
            while not self.finished(self._next):
                for batch in self._slice(self._next, self._next + 1):
                    yield batch.arrays, batch.size

    def head(self, function: CompiledFunction, samples: int | None) -> Stream:
        """The first batches, until they have so many samples (None: all), for another function of
        the same inputs; of an iterator the first one."""
        kept = []
        if self.source.once:
            kept.append(self._bound(1, self.source.first(), prepare=False))
        elif samples is None:
            return Stream(function, self.source, self.prefetch)
        else:
            with closing(self._batches(self.source.open(0))) as found:
                while sum(b.size for b in kept) < samples and (batch := next(found, None)):
                    kept.append(batch)
        return Stream(function, Source([batch.arrays for batch in kept]), self.prefetch)

    def inputs(self, step: int) -> list[Array]:
        """The inputs of one of the last steps."""
        return self._kept[step - self._first].arrays

    def place(self, step: int, row: int) -> str:
        """What to call a sample of one of the last steps."""
        return f"row {row} of the batch"

    def _call(self, number: int, batch: Batch) -> list[Array]:
        try:
            return self.function.run(batch.arrays, batch.dims)
        except GraphcError as error:
            error.message += f" (batch {number})"
            raise

    def _slice(self, start: int, stop: int) -> Iterator[Batch]:
        if start < self._next:
            yield from self._kept[start - self._first : stop - self._first]
            return
        self._kept, self._first, size = [], start, 0
        while self._next < stop and size < _SLICE_BYTES and self._ahead.wait():
            batch = self._ahead.take()
            self._next, self._begun = self._next + 1, True
            self._kept.append(batch)
            size += sum(a.nbytes for a in batch.arrays)
            yield batch

    # -- in the thread

    def _batches(
        self, items: Generator[Any, None, None], done: int = 0
    ) -> Generator[Batch, None, None]:
        try:
            for number, item in enumerate(items, done + 1):
                yield self._bound(number, item)
        finally:
            items.close()

    def _bound(self, number: int, item: Any, prepare: bool = True) -> Batch:
        """An item as the function takes it, in memory of its own: loaders use theirs again."""
        binding = replace(self.function.binding, function=f"{self.function.name}: batch {number}")
        try:
            if prepare and self.source.prepare is not None:
                item = self.source.prepare(number, item)
            arrays, dims = binding.bind(*_arguments(item))
            size = self._size(number, arrays)
        except GraphcError as error:
            error.origin = self._origin
            raise
        return Batch([np.array(a) for a in arrays], dims, size)

    def _size(self, number: int, arrays: list[Array]) -> int:
        """The number of samples: the first axis of the first input that has one."""
        for node, array in zip(self.function.graph.inputs, arrays):
            if node.type.ndim:
                if not len(array):
                    text = f"{self.function.name}: batch {number} has no samples in {label(node)}"
                    raise ArgumentError(text)
                return len(array)
        return 1


def _arguments(item: Any) -> tuple[Any, Mapping[str, Any]]:
    """An item as arguments by position and by name."""
    if isinstance(item, Mapping):
        return (), item
    return (item if isinstance(item, (list, tuple)) else (item,)), {}
