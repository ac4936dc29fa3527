"""Sequences of different lengths as rectangular arrays with masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.seed import current_seed, generator
from graphc.ir.types import Array


def pad(
    sequences: Sequence[Any],
    length: int | None = None,
    value: float = 0,
    multiple: int = 1,
    truncate: bool = False,
) -> tuple[Array, Array]:
    """Return (x, mask): x of shape (n, length, ...), mask (n, length), True where x is data.

    The length is that of the longest sequence unless one is given, rounded up to a `multiple`.
    `truncate` cuts longer ones, which are an error otherwise.
    """
    arrays = _arrays(sequences)
    sizes = np.array([len(a) for a in arrays], np.int64)
    longest = int(sizes.max(initial=0))
    room = longest if length is None else length
    if longest > room and not truncate:
        row = int(sizes.argmax())
        raise ArgumentError(
            f"pad: sequence {row} has {longest} elements, more than length={room}",
            origin=origins.find_origin(),
            hint="truncate=True cuts what is longer",
        )
    if multiple < 1:
        raise ArgumentError(
            f"pad: multiple must be 1 or more, got {multiple}", origin=origins.find_origin()
        )
    room = -(-room // multiple) * multiple
    dtype = np.result_type(*arrays) if arrays else np.dtype(np.float32)
    rest = arrays[0].shape[1:] if arrays else ()
    x = np.full((len(arrays), room, *rest), value, dtype)
    for row, array in zip(x, arrays):
        row[: len(array)] = array[:room]
    mask: Array = np.arange(room) < sizes[:, None]
    return x, mask


def _arrays(sequences: Sequence[Any]) -> list[Array]:
    """Sequences as arrays that differ in their lengths alone."""
    arrays = [np.asarray(s) for s in sequences]
    full = [a for a in arrays if a.size] or arrays  # of an empty list numpy makes floats
    for i, array in enumerate(arrays):
        if not array.ndim or array.dtype.kind not in "biuf":
            raise ArgumentError(
                f"pad: sequence {i} is no array of numbers: {array.dtype}{list(array.shape)}",
                origin=origins.find_origin(),
            )
        if array.size and array.shape[1:] != full[0].shape[1:]:
            raise ShapeError(
                f"pad: elements of sequence {i} have shape {array.shape[1:]},"
                f" others {full[0].shape[1:]}",
                origin=origins.find_origin(),
            )
    rest = full[0].shape[1:] if full else ()
    return [a if a.size else np.zeros((len(a), *rest), full[0].dtype) for a in arrays]


class Buckets:
    """Batches of sequences of about the same length, padded, with masks; iterate for an epoch.

    `columns` have one entry an example: a list of sequences gives (x, mask) in each batch, see
    `pad`; an array gives its rows. An example belongs to the first of `boundaries` (by default
    four, with a quarter of the examples each) that its longest sequence fits, and is padded to
    that, so a compiled function sees as many sizes as there are boundaries. Every epoch has
    another order, which depends on `seed` (None: that of `gx.seed`) and its number alone: `fit`
    tells it the number, so a resumed run goes on with the same batches. The last batch of a bucket
    may be smaller, unless `drop_last`.
    """

    def __init__(
        self,
        *columns: Any,
        batch_size: int = 32,
        boundaries: Sequence[int] | None = None,
        value: float = 0,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.columns = [c if isinstance(c, np.ndarray) else _arrays(c) for c in columns]
        counts = {len(c) for c in self.columns}
        if len(counts) != 1:
            raise ArgumentError(
                f"Buckets: columns have {sorted(counts)} examples, all need the same number",
                origin=origins.find_origin(),
            )
        if batch_size < 1:
            raise ArgumentError(
                f"Buckets: batch_size must be 1 or more, got {batch_size}",
                origin=origins.find_origin(),
            )
        self.batch_size, self.value = batch_size, value
        self.seed = current_seed() if seed is None else seed
        self.drop_last, self.epoch = drop_last, 0
        lengths = _lengths(self.columns)
        self.boundaries = _boundaries(lengths, boundaries)
        places = np.searchsorted(self.boundaries, lengths)
        self._rows = [np.flatnonzero(places == i) for i in range(len(self.boundaries))]

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return sum(self._count(rows) for rows in self._rows)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch (0, 1, ...) comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """The batches of the next epoch."""
        rng = generator(self.seed, f"buckets {self.epoch}")
        self.epoch += 1
        batches = []
        for length, rows in zip(self.boundaries, self._rows):
            order = rng.permutation(rows)
            starts = range(0, self._count(rows) * self.batch_size, self.batch_size)
            batches += [(length, order[i : i + self.batch_size]) for i in starts]
        for i in rng.permutation(len(batches)):
            yield self._batch(*batches[i])

    def _count(self, rows: Array) -> int:
        return len(rows) // self.batch_size if self.drop_last else -(-len(rows) // self.batch_size)

    def _batch(self, length: int, rows: Array) -> tuple[Array, ...]:
        found: list[Array] = []
        for column in self.columns:
            if isinstance(column, np.ndarray):
                found.append(column[rows])
            else:
                found += pad([column[i] for i in rows], length, self.value)
        return tuple(found)


def _lengths(columns: list[Any]) -> Array:
    """The length of the longest sequence of every example."""
    lists = [[len(s) for s in c] for c in columns if not isinstance(c, np.ndarray)]
    if not lists:
        raise ArgumentError(
            "Buckets: needs at least one column that is a list of sequences",
            origin=origins.find_origin(),
        )
    longest: Array = np.max(np.array(lists, np.int64), axis=0)
    return longest


def _boundaries(lengths: Array, given: Sequence[int] | None) -> list[int]:
    """The sizes to pad to, in order; raises where a sequence fits none."""
    longest = int(lengths.max(initial=0))
    if given is None:
        shares = np.quantile(lengths, [0.25, 0.5, 0.75, 1.0], method="higher") if longest else [0]
        return sorted({int(n) for n in shares})
    chosen = sorted({int(n) for n in given})
    if not chosen or chosen[-1] < longest:
        raise ArgumentError(
            f"Buckets: a sequence has {longest} elements, the last boundary is"
            f" {chosen[-1] if chosen else 'missing'}",
            origin=origins.find_origin(),
            hint=f"add a boundary of {longest} or more, or leave longer sequences out",
        )
    return chosen
