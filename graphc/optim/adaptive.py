"""Rates per element from past gradients: Adagrad, RMSprop, Adadelta, Rprop."""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, literal
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_decay, check_not_negative, is_number
from graphc.optim.transform import Rate, Scalar, is_zero


class Adagrad(Optimizer):
    """a += g^2, p -= rate * g / (sqrt(a) + epsilon) (Duchi, Hazan and Singer 2011)."""

    kind = "adagrad"

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        initial_accumulator: float = 0.0,
        epsilon: float = 1e-10,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_not_negative("Adagrad", "initial_accumulator", initial_accumulator)
        check_not_negative("Adagrad", "epsilon", epsilon)
        self.initial_accumulator, self.epsilon = initial_accumulator, epsilon

    @property
    def leaves_rows(self) -> bool:
        """Unless 0 / 0 is asked for."""
        return self.epsilon > 0 or self.initial_accumulator > 0

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        total = self.slot(parameter, "accumulator", self.initial_accumulator)
        a = new[total] = total + gradient * gradient
        return self.rate(value.dtype) * gradient / (fn.sqrt(a) + self.epsilon)


class RMSprop(Optimizer):
    """a = decay a + (1 - decay) g^2, p -= rate * g / (sqrt(a) + epsilon) (Hinton 2012).

    With momentum, v = momentum v + g / (sqrt(a) + epsilon) takes the place of the quotient.
    """

    kind = "rmsprop"

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        decay: Scalar = 0.9,
        epsilon: float = 1e-8,
        momentum: Scalar = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay("RMSprop", "decay", decay)
        check_decay("RMSprop", "momentum", momentum)
        check_not_negative("RMSprop", "epsilon", epsilon)
        self.decay, self.epsilon, self.momentum = decay, epsilon, momentum

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        average = self.slot(parameter, "mean_square")
        kept, taken = self.weights(self.decay, value.dtype)
        a = new[average] = kept * average + taken * (gradient * gradient)
        rate = self.rate(value.dtype)
        if is_zero(self.momentum):
            return rate * gradient / (fn.sqrt(a) + self.epsilon)
        velocity = self.slot(parameter, "velocity")
        momentum = self.scalar(self.momentum, value.dtype)
        v = new[velocity] = momentum * velocity + gradient / (fn.sqrt(a) + self.epsilon)
        return rate * v


class Adadelta(Optimizer):
    """Steps in the units of the parameter (Zeiler 2012).

    a = decay a + (1 - decay) g^2, d = g sqrt(u + epsilon) / sqrt(a + epsilon),
    u = decay u + (1 - decay) d^2, p -= rate * d.
    """

    kind = "adadelta"

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        decay: Scalar = 0.9,
        epsilon: float = 1e-6,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay("Adadelta", "decay", decay)
        check_not_negative("Adadelta", "epsilon", epsilon)
        self.decay, self.epsilon = decay, epsilon

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        squares, moves = self.slot(parameter, "mean_square"), self.slot(parameter, "mean_move")
        kept, taken = self.weights(self.decay, value.dtype)
        a = new[squares] = kept * squares + taken * (gradient * gradient)
        change = gradient * fn.sqrt(moves + self.epsilon) / fn.sqrt(a + self.epsilon)
        new[moves] = kept * moves + taken * (change * change)
        return self.rate(value.dtype) * change


class Rprop(Optimizer):
    """Steps of a size per element, whatever the size of the gradient (Riedmiller and Braun 1993).

    A step is `increase` times as large where the gradient keeps its sign, `decrease` times where
    it changes, within `min_step` and `max_step`; where the sign changed, the element stays
    (iRprop-, Igel and Huesken 2000). The first steps have the size of the learning rate. For
    full batches: the noise of minibatches changes signs too.
    """

    kind = "rprop"

    def __init__(
        self,
        learning_rate: float = 0.01,
        decrease: float = 0.5,
        increase: float = 1.2,
        min_step: float = 1e-6,
        max_step: float = 50.0,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        numbers = all(map(is_number, (learning_rate, decrease, increase, min_step, max_step)))
        if not numbers or not 0.0 < decrease < 1.0 < increase or not 0 < min_step <= max_step:
            raise ArgumentError(
                "Rprop: needs numbers with 0 < decrease < 1 < increase and 0 < min_step <="
                f" max_step, got {decrease}, {increase}, {min_step} and {max_step}",
                origin=origins.find_origin(),
            )
        self._size = learning_rate
        self.decrease, self.increase = decrease, increase
        self.min_step, self.max_step = min_step, max_step

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        before, sizes = self.slot(parameter, "gradient"), self.slot(parameter, "size", self._size)
        same = fn.sign(gradient) * fn.sign(before)
        up, down = literal(self.increase, value.dtype), literal(self.decrease, value.dtype)
        factor = fn.where(same > 0, up, fn.where(same < 0, down, 1.0))
        size = fn.clip(sizes * factor, self.min_step, self.max_step)
        kept = fn.where(same < 0, 0.0, gradient)
        new[before], new[sizes] = kept, size
        return fn.sign(kept) * size
