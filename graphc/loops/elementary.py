"""Scalar functions defined over the primitives of `ScalarEmitter`, once for all backends."""

from __future__ import annotations

from typing import TypeVar

from graphc.loops.scalar import ScalarEmitter
from graphc.types import bool_

V = TypeVar("V")


def maximum(e: ScalarEmitter[V], x: V, y: V) -> V:
    """The larger value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_or(x, y)
    larger = e.lt(y, x)
    if e.dtype(x).is_float:
        larger = e.logical_or(larger, e.ne(x, x))
    return e.select(larger, x, y)


def minimum(e: ScalarEmitter[V], x: V, y: V) -> V:
    """The smaller value; NaN where either is NaN."""
    if e.dtype(x) == bool_:
        return e.logical_and(x, y)
    smaller = e.lt(x, y)
    if e.dtype(x).is_float:
        smaller = e.logical_or(smaller, e.ne(x, x))
    return e.select(smaller, x, y)
