"""Batches of data sets that have no pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.seed import current_seed, generator
from graphc.ir.types import Array


class Unpaired:
    """Batches of arrays whose rows have no pairs, as CycleGAN wants them; iterate for an epoch.

    `columns` are arrays of any lengths, or tuples of arrays whose rows belong together. Each has an
    order of its own in every epoch, which depends on `seed` (None: that of `gx.seed`) and the
    number of the epoch. An epoch is as long as the longest column; the others begin again, in
    another order, until it ends. The last batch may be smaller, unless `drop_last`.
    """

    def __init__(
        self, *columns: Any, batch_size: int = 1, seed: int | None = None, drop_last: bool = False
    ) -> None:
        self.columns = [
            [np.asanyarray(part) for part in (c if isinstance(c, tuple) else (c,))] for c in columns
        ]
        if batch_size < 1:
            _fail(f"batch_size must be 1 or more, got {batch_size}")
        if not columns:
            _fail("needs at least one array")
        for number, parts in enumerate(self.columns):
            lengths = {len(part) if part.ndim else 0 for part in parts}
            if len(lengths) != 1:
                _fail(f"the arrays of column {number} have {sorted(lengths)} rows: they are pairs")
            if not lengths.pop():
                _fail(f"column {number} has no rows")
        self.batch_size, self.drop_last, self.epoch = batch_size, drop_last, 0
        self.seed = current_seed() if seed is None else seed
        self.count = max(len(parts[0]) for parts in self.columns)
        if not len(self):
            _fail(f"{self.count} rows make no batch of {batch_size}")

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch (0, 1, ...) comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        rest = self.count % self.batch_size > 0
        return self.count // self.batch_size + (rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """The batches of the next epoch."""
        orders = [self._order(i, len(parts[0])) for i, parts in enumerate(self.columns)]
        self.epoch += 1
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = [order[start : start + self.batch_size] for order in orders]
            yield tuple(part[r] for parts, r in zip(self.columns, rows) for part in parts)

    def _order(self, column: int, length: int) -> Array:
        """As many rows as the longest column has, all of them equally often or once more."""
        rng = generator(self.seed, f"unpaired {column} {self.epoch}")
        rounds = [rng.permutation(length) for _ in range(-(-self.count // length))]
        order: Array = np.concatenate(rounds)[: self.count]
        return order


def _fail(text: str) -> None:
    raise ArgumentError(f"Unpaired: {text}", origin=origins.find_origin())
