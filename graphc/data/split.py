"""Split examples into parts with the same share of every class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.types import Array

Part = tuple[Array, Array]


def split(x: Any, y: Any, share: float = 0.2, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x, y) of the first part, (x, y) of the second), stratified by the labels y.

    The second part holds `share` of the examples, rounded, and of every class as nearly that
    as whole examples allow. Labels are integers, bools or strings, one an example; other
    targets, such as floats, are no classes, and any example is as good as another. Both parts
    are in a random order that depends on `seed` alone.
    """
    x, y = np.asarray(x), np.asarray(y)
    if not 0.0 <= share <= 1.0:
        raise ArgumentError(f"split: share must be between 0 and 1, got {share}")
    if len(x) != len(y):
        raise ArgumentError(f"split: {len(x)} examples but {len(y)} labels")
    taken = round(share * len(y))
    if len(y) and 0.0 < share < 1.0 and taken in (0, len(y)):
        raise ArgumentError(
            f"split: a share of {share} of {len(y)} examples leaves a part without any",
            hint=f"more examples, or a share of at least {1 / len(y):.3g} for each part",
        )
    rng = np.random.Generator(np.random.Philox(seed))
    classes = [rng.permutation(rows) for rows in _classes(y)]
    counts = _counts([len(rows) for rows in classes], share, taken, seed)
    first = [rows[count:] for rows, count in zip(classes, counts)]
    second = [rows[:count] for rows, count in zip(classes, counts)]
    return _take(x, y, first, rng), _take(x, y, second, rng)


def three_way(
    x: Any, y: Any, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> tuple[Part, Part, Part]:
    """Return (x, y) of three parts: to train with, to validate and to test; see `split`.

    The test part is that of `split(x, y, test, seed)`.
    """
    if not (validation >= 0.0 and test >= 0.0 and validation + test < 1.0):
        raise ArgumentError(
            f"three_way: shares must be 0 or more and leave something to train with,"
            f" got validation={validation}, test={test}"
        )
    rest, last = split(x, y, test, seed)
    train, middle = split(*rest, validation / (1.0 - test), seed)
    return train, middle, last


def k_fold(x: Any, y: Any, k: int = 5, seed: int = 0) -> Iterator[tuple[Part, Part]]:
    """Return an iterator over k pairs of parts; every example is in the second part once.

    Second parts differ by one example at most in size, and in the number of each class; what
    counts as a class says `split`. The order depends on `seed` alone.
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y):
        raise ArgumentError(f"k_fold: {len(x)} examples but {len(y)} labels")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 2 <= k <= len(y):
        raise ArgumentError(f"k_fold: k must be from 2 to {len(y)}, the examples, got {k!r}")
    rng = np.random.Generator(np.random.Philox(seed))
    dealt = np.concatenate([rng.permutation(rows) for rows in _classes(y)])
    fold = np.empty(len(y), np.int64)
    fold[dealt] = np.arange(len(y)) % k  # as cards are, class after class
    orders = [rng.permutation(len(y)) for _ in range(k)]
    parts = ((order[fold[order] != i], order[fold[order] == i]) for i, order in enumerate(orders))
    return (((x[a], y[a]), (x[b], y[b])) for a, b in parts)


def _classes(y: Array) -> list[Array]:
    """The rows of every class; one class where the targets are no labels."""
    if y.ndim != 1 or y.dtype.kind not in "iubUSO":
        return [np.arange(len(y))]
    _, labels, sizes = np.unique(y, return_inverse=True, return_counts=True)
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(sizes)[:-1])


def _counts(sizes: list[int], share: float, taken: int, seed: int) -> Array:
    """How many of each class to take, `taken` in all: each rounded, then corrected.

    Each class rounded for itself may miss the total by far (of 100 pairs no example is taken);
    the classes that rounding changed the most are corrected, equal ones in random order.
    """
    exact = share * np.array(sizes, np.float64)
    counts = np.round(exact).astype(np.int64)
    missing = taken - int(counts.sum())
    ties = np.random.Generator(np.random.Philox([seed, 1])).permutation(len(sizes))
    order = ties[np.argsort((np.sign(missing) * (counts - exact))[ties], kind="stable")]
    counts[order[: abs(missing)]] += np.sign(missing)
    return counts


def _take(x: Array, y: Array, rows: list[Array], rng: np.random.Generator) -> Part:
    order = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    order = rng.permutation(order)
    return x[order], y[order]
