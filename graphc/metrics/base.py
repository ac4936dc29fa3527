"""What metrics share: state as parameters, updates, a result, a fresh start."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, TypeVar

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend import symbols
from graphc.frontend.functions.operands import fail
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir import naming
from graphc.ir.types import float64
from graphc.optim.updates import Updates

Self = TypeVar("Self", bound="Metric")


class Metric:
    """Base of the metrics; a subclass provides `add` and `result`.

    Sums are float64. `name` is what logs call it; by default the class's name.
    """

    kind = "metric"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.kind
        self._scope = _scope(self.name)
        self._state: dict[str, Parameter] = {}

    @abstractmethod
    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """The next values of the state, with a batch taken in."""

    @property
    @abstractmethod
    def result(self) -> Tensor:
        """What the state says so far, a float64 tensor."""

    def update(
        self, outputs: TensorLike, targets: TensorLike, weights: TensorLike | None = None
    ) -> Updates:
        """The updates that take a batch in, to be given to `gx.compile`.

        `weights` has the shape of the targets, or of their first axes: how much each counts.
        """
        x, t = lift(outputs), lift(targets)
        w = None if weights is None else lift(weights)
        with origins.inherit(origins.find_origin(), origins.UPDATE):
            return Updates(self.add(x, t, w), metrics=(self,))

    @property
    def value(self) -> Any:
        """The result as a number, or as an array; needs an update to have been built."""
        self._check_used()
        found = self.result.eval({})
        return float(found) if np.ndim(found) == 0 else np.asarray(found)

    def reset(self) -> None:
        """Forget everything counted."""
        for parameter in self._state.values():
            parameter.value = np.zeros(parameter.shape, parameter.dtype.numpy)

    def clone(self: Self) -> Self:
        """The same metric with a state of its own."""
        other = copy.copy(self)
        other._scope = _scope(self.name)
        other._state = {}
        return other

    @property
    def parameters(self) -> list[Parameter]:
        """The state."""
        return list(self._state.values())

    def state(self, role: str, shape: tuple[int, ...] = ()) -> Parameter:
        """A float64 parameter of the state, zeros at first."""
        if role not in self._state:
            with origins.root_scope():
                self._state[role] = symbols.parameter(
                    f"{self._scope}/{role}", value=np.zeros(shape), trainable=False
                )
        return self._state[role]

    def _check_used(self) -> None:
        if not self._state:
            raise ArgumentError(
                f"{self.name}: there is nothing to tell before its update is built",
                origin=origins.find_origin(),
                hint="give metric.update(outputs, targets) to gx.compile as updates",
            )


def _scope(name: str) -> str:
    """What leads the names of the state: one part, numbered, so that files find it again."""
    return naming.automatic(f"{name.replace('/', '_')}_metric")


def spread(weights: Tensor | None, like: Tensor, owner: str) -> Tensor:
    """Weights for every element, float64; ones where there are none."""
    if weights is None:
        return fn.ones_like(fn.astype(like, float64))
    rank = weights.ndim
    if weights.shape != like.shape[:rank]:
        text = f"{owner}: weights must have the shape of the targets' first axes"
        fail(ShapeError, f"{text}: {weights.type} vs {like.type}", (weights, like))
    wide = fn.astype(weights, float64)
    for _ in range(like.ndim - rank):
        wide = fn.expand_dims(wide, -1)
    return fn.broadcast_to(wide, like.shape)


def ratio(a: Tensor, b: Tensor, of_nothing: float = 0.0) -> Tensor:
    """a / b; a number where b is 0."""
    some = b != 0
    return fn.where(some, a / fn.where(some, b, 1.0), of_nothing)
