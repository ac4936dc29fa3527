"""Steps that end in exact zeros."""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_not_negative
from graphc.optim.masks import Mask, chosen_by
from graphc.optim.transform import Scalar


class ProximalL1(Optimizer):
    """An optimiser whose steps end in the proximal operator of an L1 penalty (Parikh and Boyd
    2014): p = sign(p) max(|p| - rate * weight, 0).

    Weights that the loss does not need become exactly 0, which the gradient of
    `gx.regularizers.l1` does not achieve. `mask` says which parameters have the penalty.
    """

    kind = "proximal_l1"

    def __init__(
        self,
        optimizer: Optimizer,
        weight: Scalar,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"ProximalL1: needs an optimiser, got {optimizer!r:.60}",
                origin=origins.find_origin(),
            )
        super().__init__(1.0, name)
        check_not_negative("ProximalL1", "weight", weight)
        self.parts, self.weight = (optimizer,), weight
        self._shrinks = chosen_by("ProximalL1", "mask", mask)
        self.needs_whole = True  # the penalty moves rows without a gradient

    @property
    def inner(self) -> Optimizer:
        """The optimiser that takes the steps."""
        return self.parts[0]  # type: ignore[return-value]

    @property
    def learning_rate(self) -> Parameter:
        """That of the optimiser inside."""
        return self.inner.learning_rate

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        moved = self.inner.update(parameter, value, gradient, new)
        if not self._shrinks(parameter):
            return moved
        threshold = fn.astype(self.inner.rate() * self.scalar(self.weight), value.dtype)
        return fn.sign(moved) * fn.maximum(fn.abs(moved) - threshold, 0.0)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The difference to the next value."""
        return value - self.update(parameter, value, gradient, new)
