"""Lengths and angles of vectors along an axis."""

from __future__ import annotations

from typing import Any

from graphc import functions as fn
from graphc.functions.operands import floating
from graphc.tensor import Tensor


def l2_normalize(x: Any, axis: int = -1, epsilon: float = 1e-12) -> Tensor:
    """x over its Euclidean length along an axis, lengths below `epsilon` counting as that.

    The gradient is finite everywhere, also at 0.
    """
    x = floating("l2_normalize", x)
    square = fn.sum(x * x, axis=axis, keepdims=True)
    result: Tensor = x / fn.sqrt(fn.maximum(square, epsilon * epsilon))
    return result


def cosine_similarity(x: Any, y: Any, axis: int = -1, epsilon: float = 1e-12) -> Tensor:
    """The cosine of the angle between x and y along an axis; 0 where one of them is 0."""
    product = l2_normalize(x, axis, epsilon) * l2_normalize(y, axis, epsilon)
    return fn.sum(product, axis=axis)


def cosine_distance(x: Any, y: Any, axis: int = -1, epsilon: float = 1e-12) -> Tensor:
    """1 - cosine_similarity."""
    return 1.0 - cosine_similarity(x, y, axis, epsilon)
