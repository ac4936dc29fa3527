"""Values that are known before they are computed."""

from __future__ import annotations

from typing import TypeVar

from graphc_cuda.device.program import Literal, Value

T = TypeVar("T")


def fold_select(condition: Value, x: T, y: T) -> T | None:
    """One of two values, where the condition is a literal or they are one; None otherwise."""
    if x is y:
        return x
    if isinstance(condition, Literal):
        return x if condition.value else y
    return None
