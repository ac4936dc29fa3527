"""Values and gradients of functions of arrays, without compiling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import evaluate


def value(function: Callable[..., Any], *arrays: Any) -> Any:
    """What a function makes of float64 arrays."""
    inputs, feeds = made(arrays)
    return evaluate([function(*inputs)], feeds)[0]


def gradients(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The gradients of the sum of a function of float64 arrays, with respect to each."""
    inputs, feeds = made(arrays)
    return list(evaluate(gx.grad(gx.sum(function(*inputs)), inputs), feeds))


def made(arrays: tuple[Any, ...]) -> tuple[list[Any], dict[Any, Any]]:
    """Inputs for arrays, and what to feed them."""
    floats = [np.asarray(a, np.float64) for a in arrays]
    inputs = [gx.input(f"x{i}", a.shape, "float64") for i, a in enumerate(floats)]
    return inputs, dict(zip(inputs, floats))
