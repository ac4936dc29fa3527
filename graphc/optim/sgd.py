"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_decay
from graphc.optim.transform import Rate, Scalar, is_zero


class SGD(Optimizer):
    """p -= rate * g; with momentum v = momentum * v + g replaces g (Polyak 1964).

    Nesterov (Sutskever et al. 2013) uses g + momentum * v instead of v.
    """

    kind = "sgd"

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: Scalar = 0.0,
        nesterov: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay("SGD", "momentum", momentum)
        if nesterov and is_zero(momentum):
            raise ArgumentError("SGD: nesterov needs momentum > 0")
        self.momentum, self.nesterov = momentum, nesterov

    @property
    def leaves_rows(self) -> bool:
        """Without momentum."""
        return is_zero(self.momentum)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        rate = self.rate(value.dtype)
        if is_zero(self.momentum):
            return rate * gradient
        velocity = self.slot(parameter, "velocity")
        momentum = self.scalar(self.momentum, value.dtype)
        moved = new[velocity] = velocity * momentum + gradient
        return rate * (gradient + momentum * moved if self.nesterov else moved)
