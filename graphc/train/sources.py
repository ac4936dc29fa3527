"""Data that give batch after batch: iterables, iterators, functions that return one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import chain, islice
from numbers import Number
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError

WHOLE = ("shape", "__array__", "__dlpack__")  # what has one of these is an array
SAMPLERS = ("sampler", "batch_sampler")  # where the loaders of torch keep the order


class Source:
    """Where batches come from: it is opened for every epoch.

    An iterator (`once`) is not: an epoch goes on where the last one ended. `limit` is the number
    of batches of an epoch where the data do not say when it ends; `prepare` makes of the n-th item
    of an epoch what a function takes.
    """

    def __init__(
        self,
        data: Any,
        limit: int | None = None,
        prepare: Callable[[int, Any], Any] | None = None,
    ) -> None:
        self.data, self.limit, self.prepare = data, limit, prepare
        self.once = hasattr(data, "__next__")

    @property
    def length(self) -> int | None:
        """The number of batches of an epoch, where it is known; for the eye alone."""
        try:
            count = len(self.data)
        except (TypeError, NotImplementedError):
            return self.limit
        return count if self.limit is None else min(count, self.limit)

    def open(self, epoch: int, done: int = 0) -> Generator[Any, None, None]:
        """The items of an epoch (0, 1, ...) after some that are done; closing it closes what was
        opened for it.

        What begins anew passes over those that are done; an iterator goes on where it stands.
        """
        start, stop = (0 if self.once else done), self.limit
        if stop is not None:
            stop = max(stop - done + start, start)
        return self._limited(self._opened(epoch), start, stop)

    def first(self) -> Any:
        """The first item, prepared; an epoch then begins as if nobody had looked."""
        items = self.open(0)
        try:
            item = next(items)
        except StopIteration:
            raise no_batch(0) from None
        finally:
            items.close()
        if self.once:
            self.data = chain([item], self.data)
        return item if self.prepare is None else self.prepare(1, item)

    def _opened(self, epoch: int) -> Iterator[Any]:
        data = self.data
        parts: tuple[Any, ...] = (data, *(getattr(data, n, None) for n in SAMPLERS))
        tell = next((part.set_epoch for part in parts if hasattr(part, "set_epoch")), None)
        if tell is not None:
            tell(epoch)
        if is_iterable(data):
            return iter(data)
        found = data(epoch) if _takes_epoch(data) else data()
        if not is_iterable(found):
            raise ArgumentError(
                f"the function that gives the data must return an iterable, got {found!r:.60}",
                origin=origins.find_origin(),
            )
        return iter(found)

    def _limited(
        self, items: Iterator[Any], start: int, stop: int | None
    ) -> Generator[Any, None, None]:
        try:
            yield from islice(items, start, stop)
        finally:
            if not self.once and hasattr(items, "close"):
                items.close()


def gives_batches(data: Any, ranks: Sequence[int]) -> bool:
    """Whether data are batches one after the other, for inputs of these ranks.

    Else they are arrays of all samples: one array, or a list or dict with one for each input. A
    list is one of batches if its items are dicts, or hold arrays of just these ranks: as an array
    for an input each item would have one axis more.
    """
    if isinstance(data, Source):
        return True
    if isinstance(data, (list, tuple)):
        return bool(data) and _is_batch(data[0], ranks)
    if isinstance(data, (Mapping, Number)) or any(hasattr(data, name) for name in WHOLE):
        return False
    if not isinstance(data, (str, bytes)) and (is_iterable(data) or callable(data)):
        return True
    raise ArgumentError(
        f"the data must be arrays or give batches, got {data!r:.60}", origin=origins.find_origin()
    )


def no_batch(epoch: int) -> ArgumentError:
    """What is said of data without a batch."""
    return ArgumentError(
        "the data gave no batch" + (f" in epoch {epoch + 1}" if epoch else ""),
        origin=origins.find_origin(),
        hint="a generator gives its batches once: give the function that makes it" if epoch else "",
    )


def _is_batch(item: Any, ranks: Sequence[int]) -> bool:
    if isinstance(item, Mapping):
        return True
    if not isinstance(item, (list, tuple)) or len(item) != len(ranks):
        return False
    return all(len(getattr(part, "shape", "none")) == n for part, n in zip(item, ranks))


def is_iterable(data: Any) -> bool:
    """Whether `iter` takes it, also by the protocol of sequences."""
    return hasattr(data, "__iter__") or (
        hasattr(data, "__getitem__") and not isinstance(data, type)
    )


def _takes_epoch(function: Callable[..., Any]) -> bool:
    """Whether a function has just one argument that must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of builtins nothing is known
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [p for p in parameters if p.default is p.empty and p.kind in positional]
    return len(wanted) == 1
