"""What a function is called on, step after step: arrays that are cut, or batches as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction
from graphc.train.batches import Batches, Steps
from graphc.train.sources import Source, gives_batches
from graphc.train.stream import Stream


class Feed(Protocol):
    """The steps of an epoch: `batches.Batches` or `stream.Stream`."""

    function: CompiledFunction

    @property
    def steps(self) -> int | None:
        """The number of steps of an epoch; None where it is not known yet."""
        ...

    def epoch(
        self, number: int, rng: np.random.Generator | None, done: int = 0
    ) -> AbstractContextManager[None]:
        """An epoch, by its number, after some steps; arrays are shuffled by a generator."""
        ...

    def holding(self, unchanged: bool) -> AbstractContextManager[None]:
        """Several epochs of arrays that may stay as they are."""
        ...

    def finished(self, done: int) -> bool:
        """Whether the epoch has no more than these steps."""
        ...

    def run(self, start: int, stop: int) -> Steps:
        """Do the steps start..stop-1, or fewer but at least one."""
        ...

    def each(self) -> Iterator[tuple[list[Array], int]]:
        """The inputs of every step, and the number of samples in them."""
        ...

    def head(self, function: CompiledFunction, samples: int | None) -> Feed:
        """The first samples (None: all) for another function of the same inputs."""
        ...

    def inputs(self, step: int) -> list[Array]:
        """The inputs of one of the last steps."""
        ...

    def place(self, step: int, row: int) -> str:
        """What to call a sample of one of the last steps."""
        ...


def make_feed(
    function: CompiledFunction,
    data: Any,
    batch_size: int,
    drop_last: bool = False,
    limit: int | None = None,
    epochs: int = 1,
    prefetch: int = 2,
    what: str = "data",
) -> Feed:
    """What data are to a function; raises where they cannot be what they are asked to be."""
    if limit is not None and limit < 1:
        _fail(f"steps_per_epoch must be 1 or more, got {limit}")
    if prefetch < 0:
        _fail(f"prefetch must be 0 or more, got {prefetch}")
    if not gives_batches(data, [n.type.ndim for n in function.graph.inputs]):
        if limit is not None:
            _fail("steps_per_epoch is for data that give batches, not for arrays of all samples")
        return Batches(function, data, batch_size, drop_last)
    source = data if isinstance(data, Source) else Source(data)
    source.limit = limit
    if drop_last:
        _fail("drop_last is for arrays: data that give batches leave out what they want")
    if source.once and source.limit is None and epochs > 1:
        _fail(
            f"the {what} are an iterator, which ends after one of {epochs} epochs",
            "give what can be iterated again, or a function that returns an iterator"
            + ("; steps_per_epoch=n makes an epoch of n batches" if what == "data" else ""),
        )
    return Stream(function, source, prefetch)


def _fail(text: str, hint: str | None = None) -> None:
    raise ArgumentError(text, origin=origins.find_origin(), hint=hint)
