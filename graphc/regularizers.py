"""Penalties on parameters, to be added to a loss: rank-0 tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import check_all
from graphc.frontend.functions.operands import cast, same_dtype, widened
from graphc.frontend.tensor import Tensor


def l1(parameters: Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """weight times the sum of |p| over all elements."""
    return _total(parameters, fn.abs, weight)


def l2(parameters: Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """weight times half the sum of p^2 over all elements; the gradient is weight * p."""
    return _total(parameters, lambda p: p * p, 0.5 * weight)


def lp(parameters: Iterable[Tensor], p: float, weight: float = 1.0) -> Tensor:
    """weight times the sum of |x|^p over all elements."""
    if not p >= 1:
        raise ArgumentError(f"regularizers.lp: p must be at least 1, got {p}")
    return _total(parameters, lambda x: fn.abs(x) ** p, weight)


def _total(
    parameters: Iterable[Tensor], power: Callable[[Tensor], Tensor], weight: float
) -> Tensor:
    """weight times the sum of all powers, in the dtype of the parameters; 16 bits round once."""
    tensors = list(parameters)
    if not tensors:
        raise ArgumentError("regularizers: no parameters given")
    parts = [fn.sum(power(widened(t))) for t in tensors]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return cast(total * weight, same_dtype("regularizers", tensors)[0].dtype)


__all__ = [
    "l1", "l2", "lp",
]  # fmt: skip

check_all(globals(), __all__)
