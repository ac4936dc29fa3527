"""Split examples into two parts with the same share of every class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.errors import ArgumentError

Array = NDArray[Any]
Part = tuple[Array, Array]


def split(x: Array, y: Array, share: float = 0.2, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x, y) of the first part, (x, y) of the second), stratified by the labels y.

    The second part holds `share` of every class, rounded; both parts are in a random order that
    depends on `seed` alone.
    """
    if not 0.0 <= share <= 1.0:
        raise ArgumentError(f"split: share must be between 0 and 1, got {share}")
    if len(x) != len(y):
        raise ArgumentError(f"split: {len(x)} examples but {len(y)} labels")
    rng = np.random.Generator(np.random.Philox(seed))
    first: list[Array] = []
    second: list[Array] = []
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        count = round(share * len(rows))
        second.append(rows[:count])
        first.append(rows[count:])
    return _take(x, y, first, rng), _take(x, y, second, rng)


def _take(x: Array, y: Array, rows: list[Array], rng: np.random.Generator) -> Part:
    order = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    order = rng.permutation(order)
    return x[order], y[order]
