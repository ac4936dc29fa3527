"""Assert that arrays agree, but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.frontend.functions.operands import to_dtype
from graphc.ir.compare import TOLERANCE, compare
from graphc.ir.types import find_dtype


def assert_close(
    actual: Any,
    expected: Any,
    dtype: Any = None,
    *,
    tolerance: str | float = "rounding",
    floor: float = 0.0,
    each: bool = False,
    message: str = "",
) -> None:
    """Assert equal shapes, equal integers, and floats that are equal but for rounding.

    `tolerance` is a row of `graphc.ir.compare.TOLERANCE` ("ulps" for one op, "rounding" for a few,
    "sums" for long sums), from which `dtype` chooses (that of `actual` if none is given), or a
    number.
    It counts in units of the largest magnitude in `expected`; with `each`, of every element by
    itself; and of `floor` where that is larger: the size of what cancels. NaN and infinities
    must be at the same places.
    """
    found, wanted = np.asarray(actual), np.asarray(expected)
    if found.shape != wanted.shape:
        raise AssertionError(f"{message}: " * bool(message) + f"{found.shape} is no {wanted.shape}")
    kind = find_dtype(found.dtype) if dtype is None else to_dtype("assert_close", dtype)
    assert kind is not None, f"no dtype of graphc: {found.dtype}"
    if not kind.is_float:
        problem = compare(found, wanted, 0.0, floor, each)
    else:
        limit = TOLERANCE[tolerance][kind.name] if isinstance(tolerance, str) else tolerance
        least = floor if each else max(floor, 1e-30)
        problem = compare(found, wanted.astype(np.float64), limit, least, each)
    if problem is not None:
        raise AssertionError(f"{message}: " * bool(message) + str(problem))
