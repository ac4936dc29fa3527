"""Compare computed arrays with a reference, up to rounding.

`TOLERANCE` is the one table of tolerances: of graphc.testing, of the tests, and of GRAPHC_CHECK.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.ir.types import Array, find_dtype

# The largest error, in units of the largest magnitude of the array, per dtype of the result.
TOLERANCE: dict[str, dict[str, float]] = {
    # one op or two, whose results are rounded correctly or nearly: some units in the last place
    "ulps": {"float64": 1e-14, "float32": 1e-6, "float16": 1e-3, "bfloat16": 8e-3},
    # a formula of a few ops: what their roundings come to, and once more in 16 bits
    "rounding": {"float64": 1e-13, "float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2},
    # sums of thousands of terms in another order, and what follows from them: their roundings add
    # up, and terms may be far larger than their sum
    "sums": {"float64": 1e-10, "float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1},
}


@dataclass(frozen=True)
class Disagreement:
    """The wrong element with the largest error."""

    index: tuple[int, ...]
    actual: object
    expected: object
    wrong: int
    total: int

    def __str__(self) -> str:
        place = list(self.index)
        return (
            f"at {place} {self.actual} instead of {self.expected}"
            f" ({self.wrong} of {self.total} elements)"
        )


def compare(
    actual: Array,
    expected: Array,
    tolerance: float | None = None,
    floor: float = 1e-30,
    each: bool = False,
) -> Disagreement | None:
    """None where arrays agree: integers exactly, floats but for `tolerance` of their scale.

    The scale is the largest magnitude in `expected`, or with `each` that of every element by
    itself, and at least `floor`. NaN and infinities must be at the same places. The tolerance is
    that of "sums" if none is given.
    """
    if actual.size == 0:
        return None
    dtype = find_dtype(expected.dtype)
    assert dtype is not None
    if not dtype.is_float:
        wrong = actual != expected
        error = wrong.astype(np.float64)
    else:
        limit = TOLERANCE["sums"][dtype.name] if tolerance is None else tolerance
        wrong, error = errors(actual, expected, limit, floor, each)
    if not wrong.any():
        return None
    worst = np.unravel_index(int(np.argmax(np.where(wrong, error, -1.0))), error.shape)
    index = tuple(int(i) for i in worst)
    return Disagreement(index, actual[index], expected[index], int(wrong.sum()), wrong.size)


def errors(
    actual: Array, expected: Array, limit: float, floor: float, each: bool
) -> tuple[Array, Array]:
    """Which floats are wrong, and how far off they are."""
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    sizes = np.where(finite, np.abs(b), 0.0)
    scale = np.maximum(sizes if each else np.max(sizes, initial=0.0), floor)
    with np.errstate(all="ignore"):
        error = np.where(finite, np.abs(a - b), 0.0)
        same = np.where(finite, np.isfinite(a), (a == b) | (np.isnan(a) & np.isnan(b)))
    return ~same | (error > limit * scale), np.where(same, error, np.inf)
