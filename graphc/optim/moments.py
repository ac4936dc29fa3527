"""Adam and its relatives: running first and second moments of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import tensors
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.types import DType, float64
from graphc.optim.base import Optimizer, Schedule

Mask = Callable[[Parameter], bool] | Iterable[Parameter]


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015).

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    p -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
    """

    kind = "adam"

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        for label, beta in (("beta1", beta1), ("beta2", beta2)):
            if not 0.0 <= beta < 1.0:
                raise ArgumentError(f"{type(self).__name__}: {label} must be in [0, 1), got {beta}")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        m, v = self.moments(parameter, gradient, new)
        rate, epsilon = self.scalars(value.dtype)
        return value - rate * m / (fn.sqrt(v) + epsilon)

    def moments(
        self, parameter: Parameter, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The next running moments, not corrected."""
        first, second = self.slot(parameter, "m"), self.slot(parameter, "v")
        m = new[first] = self.beta1 * first + (1.0 - self.beta1) * gradient
        v = new[second] = self.beta2 * second + (1.0 - self.beta2) * (gradient * gradient)
        return m, v

    def scalars(self, dtype: DType) -> tuple[Tensor, Tensor]:
        """The rate and epsilon with the bias corrections worked in, once per step.

        m/c1 / (sqrt(v/c2) + e) == m * (sqrt(c2)/c1) / (sqrt(v) + e sqrt(c2)).
        """
        root = fn.sqrt(bias_correction(self.next_count(), self.beta2))
        rate = self.rate() * root / bias_correction(self.next_count(), self.beta1)
        return fn.astype(rate, dtype), fn.astype(self.epsilon * root, dtype)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p -= rate * decay * p too.

    `mask` says which parameters decay: a function of the parameter, or a collection of them.
    """

    kind = "adamw"

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, name)
        self.weight_decay = weight_decay
        self._mask = mask if mask is None or callable(mask) else _member_of(mask)

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        if self._mask is None or self._mask(parameter):
            value = value * fn.astype(1.0 - self.rate() * self.weight_decay, value.dtype)
        return super().update(parameter, value, gradient, new)


class Nadam(Adam):
    """Adam with Nesterov's look-ahead (Dozat 2016), without momentum warm-up.

    m is replaced by beta1 m/(1 - beta1^(t+1)) + (1 - beta1) g/(1 - beta1^t).
    """

    kind = "nadam"

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        m, v = self.moments(parameter, gradient, new)
        count = self.next_count()
        root = fn.sqrt(bias_correction(count, self.beta2))
        ahead = self.rate() * root * self.beta1 / bias_correction(count + 1, self.beta1)
        now = self.rate() * root * (1.0 - self.beta1) / bias_correction(count, self.beta1)
        dtype = value.dtype
        change = fn.astype(ahead, dtype) * m + fn.astype(now, dtype) * gradient
        return value - change / (fn.sqrt(v) + fn.astype(self.epsilon * root, dtype))


class Adamax(Adam):
    """Adam with the infinity norm (Kingma and Ba 2015, section 7): u = max(beta2 u, |g|).

    p -= rate / (1 - beta1^t) * m / (u + epsilon).
    """

    kind = "adamax"

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        first, norm = self.slot(parameter, "m"), self.slot(parameter, "u")
        m = new[first] = self.beta1 * first + (1.0 - self.beta1) * gradient
        u = new[norm] = fn.maximum(self.beta2 * norm, fn.abs(gradient))
        rate = self.rate() / bias_correction(self.next_count(), self.beta1)
        return value - fn.astype(rate, value.dtype) * m / (u + self.epsilon)


def bias_correction(count: Tensor, beta: float) -> Tensor:
    """1 - beta^count in float64, exact to rounding however close beta is to 1."""
    t = fn.astype(count, float64)
    if beta == 0.0:
        return t * 0.0 + 1.0
    return -fn.expm1(t * math.log(beta))


def _member_of(parameters: Iterable[Parameter]) -> Callable[[Parameter], bool]:
    members = tensors("AdamW", "mask", parameters)
    return lambda parameter: any(parameter is member for member in members)
