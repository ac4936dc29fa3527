"""Checks of what optimisers are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor


def check_sparse(name: str, sparse: str) -> None:
    """Raise unless it is one of the two ways."""
    if sparse not in ("exact", "lazy"):
        raise ArgumentError(
            f'{name}: sparse must be "exact" or "lazy", got {sparse!r}',
            origin=origins.find_origin(),
        )


def check_rate(name: str, rate: Any) -> None:
    """Raise unless a learning rate is a finite number of 0 or more."""
    number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
    if not number or not 0 <= rate < float("inf"):
        raise ArgumentError(
            f"{name}: learning_rate must be a finite number of 0 or more, or a schedule"
            f" (a function of the step's number), got {rate!r}"
        )


def check_clip(norm: Any, value: Any) -> None:
    """Raise unless limits of gradients are positive numbers or None."""
    for name, limit in (("clip_norm", norm), ("clip_value", value)):
        if limit is None:
            continue
        number = isinstance(limit, (int, float, np.integer, np.floating))
        if not number or isinstance(limit, bool) or not limit > 0:
            raise ArgumentError(f"{name} must be positive, got {limit!r}")


def listed(parameters: Any) -> list[Parameter]:
    """One or several parameters as a list."""
    if isinstance(parameters, Tensor):
        parameters = (parameters,)
    found: list[Parameter] = list(parameters)
    for parameter in found:
        if not isinstance(parameter, Parameter):
            raise ArgumentError(
                f"minimize: only parameters can be updated, got {parameter!r}",
                hint="make it with gx.parameter, or take gx.grad with respect to it",
            )
    return found
