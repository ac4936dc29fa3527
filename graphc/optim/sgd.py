"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer, Schedule


class SGD(Optimizer):
    """p -= rate * g; with momentum v = momentum * v + g replaces g (Polyak 1964).

    Nesterov (Sutskever et al. 2013) uses g + momentum * v instead of v.
    """

    kind = "sgd"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        if not 0.0 <= momentum < 1.0:
            raise ArgumentError(f"SGD: momentum must be in [0, 1), got {momentum}")
        if nesterov and not momentum:
            raise ArgumentError("SGD: nesterov needs momentum > 0")
        self.momentum, self.nesterov = momentum, nesterov

    @property
    def leaves_rows(self) -> bool:
        """Without momentum."""
        return not self.momentum

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        rate = self.rate(value.dtype)
        if not self.momentum:
            return value - rate * gradient
        velocity = self.slot(parameter, "velocity")
        moved = new[velocity] = velocity * self.momentum + gradient
        return value - rate * (gradient + self.momentum * moved if self.nesterov else moved)
