"""Loss scales: the updates of a scaled loss, and the scale that they lead to.

Small gradients vanish in float16. Those of a loss times a power of two are that many times as
large; they are divided again before anything reads them. Gradients that are not finite say that
the scale is too large (Micikevicius et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.frontend import functions as fn
from graphc.frontend.autodiff import vjp
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, literal
from graphc.ir.precision import MAX_SCALE, MIN_SCALE, Precision
from graphc.ir.types import DType, float32, int64
from graphc.origin import UPDATE, Origin, find_origin, inherit

LOSS_SCALE, GOOD_STEPS, SKIPPED_STEPS = "loss_scale", "good_steps", "skipped_steps"

Values = dict[Parameter, Tensor]
Unscale = Callable[[list[Tensor]], list[Tensor]]  # of gradients


@dataclass(frozen=True)
class Scaled:
    """The updates of one loss that was scaled, and whether all gradients are finite."""

    values: Values
    finite: Tensor


@dataclass(frozen=True, eq=False)
class Minimized:
    """A loss that was minimised: what its updates are, and how to make them with a scale."""

    loss: Tensor
    parameters: tuple[Parameter, ...]
    values: Values
    update: Callable[[list[Tensor], Unscale], Values] = field(repr=False)
    scalar: Callable[[str, Any], Parameter] = field(repr=False)  # the optimiser's, by its role
    origin: Origin = field(default_factory=find_origin)

    def scaled(self, precision: Precision) -> Scaled:
        """The same updates by way of a scaled loss."""
        unscaled: list[Tensor] = []

        def unscale(gradients: list[Tensor]) -> list[Tensor]:
            inverse = literal(1.0, float32) / scale
            wide = [fn.astype(g, float32) if g.dtype.bits == 16 else g for g in gradients]
            unscaled.extend(g * fn.astype(inverse, g.dtype) for g in wide)
            return list(unscaled)

        with inherit(self.origin, UPDATE):
            scale = self._scale(precision)
            seed = fn.astype(scale, self.loss.dtype)
            values = self.update(vjp(self.loss, list(self.parameters), seed), unscale)
            return Scaled(values, all_finite(unscaled))

    def next_scale(self, precision: Precision, finite: Tensor) -> Values:
        """The next scale, and the next counts of good and of skipped steps."""
        skipped = self.scalar(SKIPPED_STEPS, np.int64(0))
        state: Values = {skipped: skipped + fn.where(finite, whole(0), whole(1))}
        if precision.dynamic:
            scale, good = self.scalar(LOSS_SCALE, None), self.scalar(GOOD_STEPS, np.int64(0))
            grows = good + whole(1) >= whole(precision.growth_steps)
            larger = fn.where(grows, fn.minimum(scale * 2.0, MAX_SCALE), scale)
            state[scale] = fn.where(finite, larger, fn.maximum(scale * 0.5, MIN_SCALE))
            state[good] = fn.where(
                fn.logical_or(grows, fn.logical_not(finite)), whole(0), good + whole(1)
            )
        return state

    def _scale(self, precision: Precision) -> Tensor:
        if not precision.dynamic:
            return literal(precision.loss_scale, float32)
        return self.scalar(LOSS_SCALE, np.float32(precision.loss_scale))


def all_finite(tensors: list[Tensor]) -> Tensor:
    """Whether there is neither an infinity nor NaN."""
    found = fn.all(fn.isfinite(tensors[0]))
    for tensor in tensors[1:]:
        found = fn.logical_and(found, fn.all(fn.isfinite(tensor)))
    return found


def whole(value: int, dtype: DType = int64) -> Tensor:
    """A count."""
    return literal(value, dtype)
