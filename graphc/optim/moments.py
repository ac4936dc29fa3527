"""Adam and its relatives: running first and second moments of the gradient."""

from __future__ import annotations

import math

from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.types import DType, float64
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_decay, check_not_negative
from graphc.optim.masks import Mask, chosen_by
from graphc.optim.transform import Rate, Scalar, bias_correction, is_zero

__all__ = ["Adam", "AdamW", "Adamax", "Nadam", "bias_correction"]


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015).

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    p -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    `amsgrad` divides by the largest v so far (Reddi, Kale and Kumar 2018);
    `bias_correction=False` leaves out both divisions by 1 - beta^t.
    """

    kind = "adam"

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.999,
        epsilon: float = 1e-8,
        name: str | None = None,
        *,
        amsgrad: bool = False,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay(type(self).__name__, "beta1", beta1)
        check_decay(type(self).__name__, "beta2", beta2)
        check_not_negative(type(self).__name__, "epsilon", epsilon)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.amsgrad, self.bias_correction = amsgrad, bias_correction

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        m, v = self.moments(parameter, gradient, new)
        rate, epsilon = self.scalars(value.dtype)
        if self.amsgrad:
            largest = self.slot(parameter, "largest_v")
            v = new[largest] = fn.maximum(largest, v)
        return rate * m / (fn.sqrt(v) + epsilon)

    def moments(
        self, parameter: Parameter, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The next running moments, not corrected."""
        first, second = self.slot(parameter, "m"), self.slot(parameter, "v")
        kept, taken = self.weights(self.beta1, gradient.dtype)
        m = new[first] = kept * first + taken * gradient
        kept, taken = self.weights(self.beta2, gradient.dtype)
        v = new[second] = kept * second + taken * (gradient * gradient)
        return m, v

    def scalars(self, dtype: DType) -> tuple[Tensor, Tensor | float]:
        """The rate and epsilon with the bias corrections worked in, once per step.

        m/c1 / (sqrt(v/c2) + e) == m * (sqrt(c2)/c1) / (sqrt(v) + e sqrt(c2)).
        """
        if not self.bias_correction:
            return self.rate(dtype), self.epsilon
        root = fn.sqrt(self.correction("beta2", self.beta2))
        rate = self.rate() * root / self.correction("beta1", self.beta1)
        return fn.astype(rate, dtype), fn.astype(self.epsilon * root, dtype)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p -= rate * decay * p too.

    `mask` says which parameters decay: a function of the parameter, a pattern of names
    ("*/kernel"), or a collection of parameters.
    """

    kind = "adamw"

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.999,
        epsilon: float = 1e-8,
        weight_decay: Scalar = 0.01,
        mask: Mask | None = None,
        name: str | None = None,
        *,
        amsgrad: bool = False,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(
            learning_rate, beta1, beta2, epsilon, name,
            amsgrad=amsgrad, bias_correction=bias_correction,
        )  # fmt: skip
        check_not_negative("AdamW", "weight_decay", weight_decay)
        self.weight_decay = weight_decay
        self._decays = chosen_by("AdamW", "mask", mask)

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter, whose decay comes first."""
        if self._decays(parameter):
            left = 1.0 - self.rate() * self.scalar(self.weight_decay)
            value = value * fn.astype(left, value.dtype)
        return value - super().move(parameter, value, gradient, new)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The same as one difference."""
        moved = super().move(parameter, value, gradient, new)
        if not self._decays(parameter):
            return moved
        share = self.rate() * self.scalar(self.weight_decay)
        return moved + fn.astype(share, value.dtype) * value


class Nadam(Adam):
    """Adam with Nesterov's look-ahead (Dozat 2016).

    m is replaced by beta1 m/(1 - beta1^(t+1)) + (1 - beta1) g/(1 - beta1^t). With a
    `momentum_decay` d, as in PyTorch and the paper's warm-up, beta1 is
    mu_t = beta1 (1 - 0.96^(t d) / 2) there, and its powers are products of these.
    """

    kind = "nadam"

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.999,
        epsilon: float = 1e-8,
        name: str | None = None,
        *,
        momentum_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, name)
        check_not_negative("Nadam", "momentum_decay", momentum_decay)
        self.momentum_decay = momentum_decay

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        m, v = self.moments(parameter, gradient, new)
        root = fn.sqrt(self.correction("beta2", self.beta2))
        ahead, now = self._shares()
        dtype = value.dtype
        change = fn.astype(self.rate() * root * ahead, dtype) * m
        change = change + fn.astype(self.rate() * root * now, dtype) * gradient
        return change / (fn.sqrt(v) + fn.astype(self.epsilon * root, dtype))

    def _shares(self) -> tuple[Tensor, Tensor]:
        """What the running mean and the gradient are multiplied with, corrections included."""
        beta, count = self.scalar(self.beta1), self.next_count()
        if is_zero(self.momentum_decay) and not isinstance(beta, Tensor):
            ahead = beta / bias_correction(count + 1, beta)
            return ahead, (1.0 - beta) / bias_correction(count, beta)
        mu, next_mu = self._momentum(beta, count), self._momentum(beta, count + 1)
        product = self.running_product("momentum", mu)
        return next_mu / (1.0 - product * next_mu), (1.0 - mu) / (1.0 - product)

    def _momentum(self, beta: float | Tensor, count: Tensor) -> Tensor:
        if is_zero(self.momentum_decay):
            return fn.astype(beta, float64)
        power = fn.astype(count, float64) * self.momentum_decay
        return beta * (1.0 - 0.5 * fn.exp(power * LOG_096))


LOG_096 = math.log(0.96)  # the paper's warm-up


class Adamax(Adam):
    """Adam with the infinity norm (Kingma and Ba 2015, section 7): u = max(beta2 u, |g|).

    p -= rate / (1 - beta1^t) * m / (u + epsilon).
    """

    kind = "adamax"

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.999,
        epsilon: float = 1e-8,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, name)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        first, norm = self.slot(parameter, "m"), self.slot(parameter, "u")
        kept, taken = self.weights(self.beta1, value.dtype)
        m = new[first] = kept * first + taken * gradient
        decay = self.scalar(self.beta2, value.dtype)
        u = new[norm] = fn.maximum(decay * norm, fn.abs(gradient))
        rate = self.rate() / self.correction("beta1", self.beta1)
        return fn.astype(rate, value.dtype) * m / (u + self.epsilon)
