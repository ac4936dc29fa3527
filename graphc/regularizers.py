"""Penalties on parameters, to be added to a loss: rank-0 tensors."""

from __future__ import annotations

from collections.abc import Iterable

from graphc import functions as fn
from graphc.arguments import check_all
from graphc.errors import ArgumentError
from graphc.tensor import Tensor


def l1(parameters: Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """weight times the sum of |p| over all elements."""
    return _total([fn.sum(fn.abs(p)) for p in parameters], weight)


def l2(parameters: Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """weight times half the sum of p^2 over all elements; the gradient is weight * p."""
    return _total([fn.sum(p * p) for p in parameters], 0.5 * weight)


def lp(parameters: Iterable[Tensor], p: float, weight: float = 1.0) -> Tensor:
    """weight times the sum of |x|^p over all elements."""
    if not p >= 1:
        raise ArgumentError(f"regularizers.lp: p must be at least 1, got {p}")
    return _total([fn.sum(fn.abs(x) ** p) for x in parameters], weight)


def _total(parts: list[Tensor], weight: float) -> Tensor:
    if not parts:
        raise ArgumentError("regularizers: no parameters given")
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total * weight


__all__ = [
    "l1", "l2", "lp",
]  # fmt: skip

check_all(globals(), __all__)
