"""Markers of what differs between training and inference, and of gradients that the user wrote.

`graphc.compiler.modes` resolves them before any pass runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import DTypeError, ShapeError
from graphc.ir.ops.base import Op
from graphc.ir.ops.op import ArrayFunctions, V
from graphc.ir.types import Array, TensorType


class ModeSwitch(Op):
    """The first input when training, the second one at inference.

    Switch small values that need no gradient at inference (a mask, a statistic) rather than
    whole activations: the backward half then holds nothing of the branch not taken.
    """

    name = "mode_switch"

    def infer(self, training: TensorType, inference: TensorType) -> TensorType:
        """The type of both."""
        _same_type(self.name, training, inference)
        return training

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, training: V, inference: V) -> tuple[V, V]:
        """The cotangent for the branch taken, zeros for the other one."""
        nothing = f.zeros_like(dy)
        return f.apply(ModeSwitch(), dy, nothing), f.apply(ModeSwitch(), nothing, dy)

    def evaluate(self, training: Array, inference: Array) -> Array:
        """The value of training."""
        return training


@dataclass(frozen=True)
class StateUpdate(Op):
    """value, and in training also: parameter := new, if the value reaches an output.

    `new` is computed from the parameter itself; several marks of one parameter are chained in
    ascending `order` (the second one then reads what the first one computed).
    """

    name = "state_update"
    order: int = 0

    def infer(self, value: TensorType, parameter: TensorType, new: TensorType) -> TensorType:
        """The type of the value."""
        _same_type(self.name, parameter, new)
        return value

    def vjp(
        self, f: ArrayFunctions[V], y: V, dy: V, value: V, parameter: V, new: V
    ) -> tuple[V, None, None]:
        """The identity's."""
        return dy, None, None

    def evaluate(self, value: Array, parameter: Array, new: Array) -> Array:
        """The value."""
        return value


@dataclass(frozen=True, eq=False)
class CustomGradient(Op):
    """The first input; its cotangent goes to the other inputs, through `pull`.

    Nothing passes between places along the first `apart` axes, which all inputs have.
    """

    name = "custom_gradient"
    pull: Callable[[Any], tuple[Any, ...]] = field(repr=False)
    apart: int = field(default=0, repr=False)

    def infer(self, y: TensorType, *xs: TensorType) -> TensorType:
        """The type of the first input."""
        return y

    def vjp(self, f: ArrayFunctions[V], y: V, dy: V, *inputs: V) -> tuple[V | None, ...]:
        """What the user's function makes of the cotangent."""
        return (None, *self.pull(dy))

    def evaluate(self, y: Array, *xs: Array) -> Array:
        """The first input."""
        return y


def _same_type(name: str, x: TensorType, y: TensorType) -> None:
    if x.dtype != y.dtype:
        raise DTypeError(f"{name}: dtypes differ: {x.dtype.name} vs {y.dtype.name}")
    if x.shape != y.shape:
        raise ShapeError(f"{name}: shapes differ: {x} vs {y}")
