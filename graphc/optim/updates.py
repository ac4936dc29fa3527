"""What an optimiser returns, and what it is given: new values of parameters, gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, NameError
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.scaling import Minimized
from graphc.optim.transform import Transform


class Updates(Mapping[Parameter, Tensor]):
    """New values of parameters; `|` merges two that update different parameters."""

    def __init__(
        self,
        values: Mapping[Parameter, Tensor],
        optimizers: tuple[Transform, ...] = (),
        losses: tuple[Minimized, ...] = (),
        metrics: tuple[Any, ...] = (),
    ) -> None:
        self._values = dict(values)
        self.optimizers = optimizers
        self.metrics = metrics  # whose state is among the parameters
        self.losses = losses  # that were minimised, in case they have to be scaled

    @property
    def optimizer(self) -> Any:
        """The optimiser behind the updates; a tuple of several, None when there is none."""
        return self.optimizers[0] if len(self.optimizers) == 1 else (self.optimizers or None)

    def __getitem__(self, parameter: Parameter) -> Tensor:
        return self._values[parameter]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, parameter: object) -> bool:
        return parameter in self._values

    def __or__(self, other: Mapping[Parameter, Tensor]) -> Updates:
        merged = dict(self._values)
        for parameter, value in other.items():
            if merged.get(parameter, value) is not value:
                raise NameError(
                    f"updates: parameter {parameter.name} is updated twice",
                    hint="sum the gradients, or give the optimisers disjoint parameters",
                )
            merged[parameter] = value
        if not isinstance(other, Updates):
            return Updates(merged, self.optimizers, self.losses, self.metrics)
        return Updates(
            merged,
            tuple(dict.fromkeys(self.optimizers + other.optimizers)),
            tuple(dict.fromkeys(self.losses + other.losses)),
            tuple(dict.fromkeys(self.metrics + other.metrics)),
        )

    def __ror__(self, other: Mapping[Parameter, Tensor]) -> Updates:
        return Updates(other) | self

    def __repr__(self) -> str:
        return f"<Updates of {', '.join(p.name for p in self._values)}>"


def given_pairs(gradients: Any) -> list[tuple[Parameter, Tensor]]:
    """(parameter, gradient) pairs of what `apply` takes; raises ArgumentError."""
    if isinstance(gradients, Mapping):
        pairs = list(gradients.items())
    elif not isinstance(gradients, (list, tuple)) and not hasattr(gradients, "__next__"):
        raise ArgumentError(
            "apply: needs {parameter: gradient} or (gradient, parameter) pairs,"
            f" got {gradients!r:.60}"
        )
    else:
        pairs = [(p[1], p[0]) for p in map(_pair, gradients)]
    for parameter, gradient in pairs:
        if not isinstance(parameter, Parameter) or not isinstance(gradient, Tensor):
            raise ArgumentError(
                "apply: needs {parameter: gradient} or (gradient, parameter) pairs, got"
                f" {type(parameter).__name__} and {type(gradient).__name__}",
                origin=origins.find_origin(),
            )
        if gradient.shape != parameter.shape:
            raise ArgumentError(
                f"apply: parameter {parameter.name} is {parameter.type},"
                f" its gradient {gradient.type}",
                origin=origins.find_origin(),
            )
    return pairs


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) and len(value) == 2 else (value, None)
