"""Rates per element from squared gradients: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer, Schedule


class Adagrad(Optimizer):
    """a += g^2, p -= rate * g / (sqrt(a) + epsilon) (Duchi, Hazan and Singer 2011)."""

    kind = "adagrad"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator: float = 0.0,
        epsilon: float = 1e-10,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        if initial_accumulator < 0:
            raise ArgumentError(
                f"Adagrad: initial_accumulator must not be negative, got {initial_accumulator}"
            )
        self.initial_accumulator, self.epsilon = initial_accumulator, epsilon

    @property
    def leaves_rows(self) -> bool:
        """Unless 0 / 0 is asked for."""
        return self.epsilon > 0 or self.initial_accumulator > 0

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        total = self.slot(parameter, "accumulator", self.initial_accumulator)
        a = new[total] = total + gradient * gradient
        return value - self.rate(value.dtype) * gradient / (fn.sqrt(a) + self.epsilon)


class RMSprop(Optimizer):
    """a = decay a + (1 - decay) g^2, p -= rate * g / (sqrt(a) + epsilon) (Hinton 2012).

    With momentum, v = momentum v + g / (sqrt(a) + epsilon) takes the place of the quotient.
    """

    kind = "rmsprop"

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        decay: float = 0.9,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        if not 0.0 <= decay < 1.0:
            raise ArgumentError(f"RMSprop: decay must be in [0, 1), got {decay}")
        self.decay, self.epsilon, self.momentum = decay, epsilon, momentum

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        average = self.slot(parameter, "mean_square")
        a = new[average] = self.decay * average + (1.0 - self.decay) * (gradient * gradient)
        rate = self.rate(value.dtype)
        if not self.momentum:
            return value - rate * gradient / (fn.sqrt(a) + self.epsilon)
        velocity = self.slot(parameter, "velocity")
        v = new[velocity] = self.momentum * velocity + gradient / (fn.sqrt(a) + self.epsilon)
        return value - rate * v


class Adadelta(Optimizer):
    """Steps in the units of the parameter (Zeiler 2012).

    a = decay a + (1 - decay) g^2, d = g sqrt(u + epsilon) / sqrt(a + epsilon),
    u = decay u + (1 - decay) d^2, p -= rate * d.
    """

    kind = "adadelta"

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        decay: float = 0.9,
        epsilon: float = 1e-6,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        if not 0.0 <= decay < 1.0:
            raise ArgumentError(f"Adadelta: decay must be in [0, 1), got {decay}")
        self.decay, self.epsilon = decay, epsilon

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        squares, moves = self.slot(parameter, "mean_square"), self.slot(parameter, "mean_move")
        a = new[squares] = self.decay * squares + (1.0 - self.decay) * (gradient * gradient)
        change = gradient * fn.sqrt(moves + self.epsilon) / fn.sqrt(a + self.epsilon)
        new[moves] = self.decay * moves + (1.0 - self.decay) * (change * change)
        return value - self.rate(value.dtype) * change
