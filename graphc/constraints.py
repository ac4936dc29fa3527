"""Constraints on parameters: functions that optimisers apply to new values.

`parameter.constraint = gx.constraints.unit_norm(axis=-1)`, or `Dense(..., kernel_constraint=...)`.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import check_all
from graphc.frontend.tensor import Tensor
from graphc.linalg.norms import vector_norm
from graphc.nn.similarity import l2_normalize

Constraint = Callable[[Tensor], Tensor]


def unit_norm(axis: int = 0) -> Constraint:
    """Vectors along an axis have length 1: 0 for the weights of each unit of a dense layer, -1 for
    the rows of an embedding."""
    return lambda value: l2_normalize(value, axis=axis)


def max_norm(limit: float, axis: int = 0) -> Constraint:
    """Vectors along an axis are no longer than a limit (Srebro and Shraibman 2005)."""
    if not limit > 0:
        raise ArgumentError(
            f"constraints.max_norm: limit must be positive, got {limit}",
            origin=origins.find_origin(),
        )

    def constraint(value: Tensor) -> Tensor:
        length = vector_norm(value, axis=axis, keepdims=True)
        return value * (limit / fn.maximum(length, limit))

    return constraint


def non_negative() -> Constraint:
    """No element is below 0."""
    return lambda value: fn.maximum(value, 0.0)


__all__ = ["max_norm", "non_negative", "unit_norm"]

check_all(globals(), __all__)
