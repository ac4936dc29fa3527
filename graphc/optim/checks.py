"""Checks of what optimisers are given."""

from __future__ import annotations

import math
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


def is_number(value: Any) -> bool:
    """Whether it is a real number that is not NaN."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return real and not math.isnan(value)


def check_rate(name: str, rate: Any) -> None:
    """Raise unless a learning rate is a finite number of 0 or more, or takes another form."""
    if _is_scalar(name, "learning_rate", rate):
        return
    given = isinstance(rate, (list, tuple)) or (isinstance(rate, np.ndarray) and rate.ndim == 1)
    if given and len(rate) and all(is_number(one) and 0 <= one < math.inf for one in rate):
        return
    if not is_number(rate) or not 0 <= rate < math.inf:
        raise ArgumentError(
            f"{name}: learning_rate must be a finite number of 0 or more, or a schedule"
            f" (a function of the step's number), got {rate!r}",
            origin=origins.find_origin(),
        )


def check_clip(**limits: Any) -> None:
    """Raise unless limits of gradients are positive numbers, of another form, or None."""
    for name, limit in limits.items():
        if limit is None or _is_scalar("minimize", name, limit):
            continue
        if not is_number(limit):
            raise ArgumentError(
                f"minimize: {name} must be a number, a schedule or a tensor, got {limit!r:.60}",
                origin=origins.find_origin(),
            )
        if not limit > 0:
            raise ArgumentError(
                f"{name} must be positive, got {limit!r}", origin=origins.find_origin()
            )


def check_decay(name: str, word: str, given: Any) -> None:
    """Raise unless a decay or momentum is in [0, 1), a schedule or a tensor."""
    if _is_scalar(name, word, given):
        return
    if not is_number(given) or not 0.0 <= given < 1.0:
        raise ArgumentError(
            f"{name}: {word} must be in [0, 1), got {given!r}", origin=origins.find_origin()
        )


def check_not_negative(name: str, word: str, given: Any) -> None:
    """Raise unless it is a finite number of 0 or more, a schedule or a tensor."""
    if _is_scalar(name, word, given):
        return
    if not is_number(given) or not 0 <= given < math.inf:
        text = f"{name}: {word} must not be negative, got {given!r}"
        raise ArgumentError(text, origin=origins.find_origin())


def check_finite(name: str, word: str, given: Any) -> None:
    """Raise unless it is a finite number, a schedule or a tensor."""
    if not _is_scalar(name, word, given) and (not is_number(given) or math.isinf(given)):
        text = f"{name}: {word} must be a number, a schedule or a tensor, got {given!r:.60}"
        raise ArgumentError(text, origin=origins.find_origin())


def check_positive(name: str, word: str, given: Any) -> None:
    """Raise unless it is a finite number above 0."""
    if not is_number(given) or not 0 < given < math.inf:
        text = f"{name}: {word} must be positive, got {given!r}"
        raise ArgumentError(text, origin=origins.find_origin())


def _is_scalar(name: str, word: str, given: Any) -> bool:
    """Whether it is a schedule or a tensor; raises where the tensor is no scalar float."""
    if isinstance(given, Tensor):
        if given.ndim or not given.dtype.is_float:
            raise ArgumentError(
                f"{name}: {word} must be a float of rank 0, got {given.type}",
                origin=origins.find_origin(),
            )
        return True
    return callable(given)


def listed(parameters: Any) -> list[Parameter]:
    """Those of one or several parameters that are trainable.

    The others are what a layer's `parameters` holds besides: running statistics, which the layer
    moves itself, and what is frozen.
    """
    if isinstance(parameters, Tensor):
        parameters = (parameters,)
    found: list[Parameter] = list(parameters)
    for parameter in found:
        if not isinstance(parameter, Parameter):
            raise ArgumentError(
                f"minimize: only parameters can be updated, got {parameter!r}",
                hint="make it with gx.parameter, or take gx.grad with respect to it",
            )
    trainable = [p for p in found if p.trainable]
    if found and not trainable:
        names = ", ".join(p.name for p in found[:3])
        raise ArgumentError(
            f"minimize: none of the given parameters is trainable: {names}",
            origin=origins.find_origin(),
            hint="parameter.trainable = True lets it learn",
        )
    return trainable
