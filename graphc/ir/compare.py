"""Tell whether a computed array is what the oracle says, but for rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.ir.ops.base import Array
from graphc.ir.types import find_dtype

# Of the largest magnitude in the array, per dtype: room for sums in another order.
TOLERANCE = {"float64": 1e-10, "float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1}


@dataclass(frozen=True)
class Disagreement:
    """The element that is furthest off."""

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


def compare(actual: Array, expected: Array) -> Disagreement | None:
    """None where the arrays agree: integers exactly, floats to `TOLERANCE` of their scale."""
    if actual.size == 0:
        return None
    dtype = find_dtype(expected.dtype)
    assert dtype is not None
    if not dtype.is_float:
        wrong = actual != expected
        error = wrong.astype(np.float64)
    else:
        a, b = actual.astype(np.float64), expected.astype(np.float64)
        finite = np.isfinite(b)
        scale = float(np.max(np.abs(b[finite]), initial=0.0))
        with np.errstate(all="ignore"):
            error = np.where(finite, np.abs(a - b), 0.0)
            same = np.where(finite, np.isfinite(a), (a == b) | (np.isnan(a) & np.isnan(b)))
        wrong = ~same | (error > TOLERANCE[dtype.name] * (scale + 1e-30))
        error = np.where(same, error, np.inf)
    if not wrong.any():
        return None
    worst = np.unravel_index(int(np.argmax(error)), error.shape)
    index = tuple(int(i) for i in worst)
    return Disagreement(index, actual[index], expected[index], int(wrong.sum()), wrong.size)
