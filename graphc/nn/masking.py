"""Dropout, of values and of connections."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.tensor import Tensor, lift, lift_op, literal
from graphc.ir import graph as graphs
from graphc.ir import naming
from graphc.ir.ops.training import ModeSwitch
from graphc.ir.types import bool_
from graphc.random import draw


def dropout(x: Tensor, rate: float, always: bool = False, name: str | None = None) -> Tensor:
    """Zero a share `rate` of the elements and scale the others by 1 / (1 - rate), in training.

    Inference keeps x as it is, unless `always` (Monte-Carlo dropout).
    """
    full = naming.scoped(name) if name else naming.automatic("dropout")
    return masked(lift(x), rate, always, full)


def dropconnect(w: Tensor, rate: float, name: str | None = None) -> Tensor:
    """Zero a share `rate` of the weights and scale the others by 1 / (1 - rate), in training.

    A product with the result sees a random part of the connections (Wan et al. 2013); the mask
    is shared by the batch. Inference keeps the weights, the mean of what training uses.
    """
    full = naming.scoped(name) if name else naming.automatic("dropconnect")
    return masked(lift(w), rate, False, full)


def masked(x: Tensor, rate: float, always: bool, full: str) -> Tensor:
    """Dropout whose mask is the stream with this whole name."""
    check_rate("dropout", rate)
    if not x.dtype.is_float:
        raise DTypeError(
            f"dropout: needs floats, got {x.type}",
            operands=graphs.describe((x.node,)),
            hint="convert with astype('float32')",
        )
    if rate == 0.0:
        return x
    keep = draw.choose(draw.stream(x.shape, full), 1.0 - rate)
    scale = literal(1.0 / (1.0 - rate) if rate < 1.0 else 0.0, x.dtype)
    if not always:
        scale = lift_op(ModeSwitch(), scale, literal(1.0, x.dtype))
        keep = lift_op(ModeSwitch(), keep, fn.full(x.shape, True, dtype=bool_))
    return choose(keep, x * scale, literal(0.0, x.dtype))


def check_rate(name: str, rate: Any) -> None:
    """Raise unless a share is a number from 0 to 1."""
    number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
    if not number or not 0.0 <= rate <= 1.0:
        raise ArgumentError(f"{name}: rate must be between 0 and 1, got {rate!r}")
