"""Optimisers without a schedule of the rate: gradients are taken near an average (Defazio 2024)."""

from __future__ import annotations

from collections.abc import Mapping

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer, check_one_rate
from graphc.optim.checks import check_decay
from graphc.optim.transform import Scalar


class ScheduleFree(Optimizer):
    """Run an optimiser on z, evaluate x, the average of z, and take gradients between the two.

    z moves as the optimiser says with the gradient at y = (1 - beta) z + beta x, and
    x += rate^2 / (sum of all rate^2) * (z - x) (Defazio et al. 2024). A parameter holds y;
    `averages` maps it to x, to be used after training:
    `gx.substitute(outputs, optimizer.averages)`. The optimiser should have no momentum of its
    own: `gx.optim.SGD(1.0)`, `gx.optim.Adam(2e-3, beta1=0.0)`, warmed up.
    """

    kind = "schedule_free"

    def __init__(self, optimizer: Optimizer, beta: Scalar = 0.9, name: str | None = None) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"ScheduleFree: needs an optimiser, got {optimizer!r}",
                origin=origins.find_origin(),
            )
        check_one_rate(optimizer)
        super().__init__(1.0, name)
        check_decay("ScheduleFree", "beta", beta)
        self.parts, self.beta = (optimizer,), beta
        self.needs_whole = True  # the average moves where there is no gradient
        self._averages: dict[Parameter, Tensor] = {}

    @property
    def inner(self) -> Optimizer:
        """The optimiser that moves z."""
        return self.parts[0]  # type: ignore[return-value]

    @property
    def learning_rate(self) -> Parameter:
        """That of the optimiser inside."""
        return self.inner.learning_rate

    @property
    def averages(self) -> Mapping[Parameter, Tensor]:
        """For each parameter the x that takes its place after training."""
        return dict(self._averages)

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        z = self.slot(parameter, "z", lambda p: p.value)
        x = self.slot(parameter, "x", lambda p: p.value)
        self._averages[parameter] = fn.astype(x, parameter.dtype)
        moved = new[z] = z - self.inner.move(parameter, value, gradient, new)
        share = fn.astype(self._share(), value.dtype)
        average = new[x] = x + share * (moved - x)
        kept, taken = self.weights(self.beta, value.dtype)
        return taken * moved + kept * average

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The difference to the next value."""
        return value - self.update(parameter, value, gradient, new)

    def _share(self) -> Tensor:
        """How much the newest z counts in the average."""
        rate = self.inner.rate()
        total = self._scalar("rate_squares", 0.0)
        if total not in self._next:
            self._next[total] = total + rate * rate
        some = self._next[total] > 0
        return fn.where(some, rate * rate / fn.where(some, self._next[total], 1.0), 1.0)
