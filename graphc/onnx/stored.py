"""What a file stores, as parameters and constants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto

import graphc as gx
from graphc import origin as origins
from graphc.errors import ArgumentError, NameError
from graphc.onnx.values import Value
from graphc.onnx.weights import Uses
from graphc.ops.base import Array

Choice = Callable[[str], bool] | Collection[str] | bool | None


class Store:
    """The arrays of a file: floats with axes are parameters, once something computes with them."""

    def __init__(self, model: ModelProto, trainable: Choice, origin: origins.Origin) -> None:
        self.trainable = trainable
        self.origin = origin
        self.uses = Uses(model)
        self.parameters: dict[str, gx.Tensor] = {}
        self.order: dict[str, int] = {}
        self._values: dict[tuple[str, bool], list[Value]] = {}
        self._asked: set[str] = set()
        check_choice(trainable)

    def value(self, name: str, array: Array) -> Value:
        """A stored tensor."""
        if not is_float(array) or not array.ndim or not array.size:
            return Value(array=array)
        self._asked.add(name)
        chosen = self._chosen(name)
        return self._kept(
            name, array, self.uses.is_weight(name, array) if chosen is None else chosen
        )

    def constant(self, name: str, array: Array) -> Value:
        """What a node says: a constant, unless its name is among those that are to be trained."""
        if (
            not is_float(array)
            or not array.ndim
            or not array.size
            or self.trainable in (None, True)
        ):
            return Value(array=array)
        self._asked.add(name)
        return self._kept(name, array, True) if self._chosen(name) else Value(array=array)

    def statistic(self, value: Value) -> Value:
        """A stored array that is no weight here, whatever else reads it, unless the caller says."""
        if value.stored is None or self.trainable is not None:
            return value
        name, array = value.stored
        return self._kept(name, array, False)

    def _chosen(self, name: str) -> bool | None:
        """What the caller says of an array."""
        if self.trainable is None or isinstance(self.trainable, bool):
            return self.trainable
        if callable(self.trainable):
            return bool(self.trainable(name))
        return name in self.trainable

    def _kept(self, name: str, array: Array, trainable: bool) -> Value:
        """The value of a parameter; the same array met again in a loop's body is the same one."""
        values = self._values.setdefault((name, trainable), [])
        for value in values:
            if value.array is not None and np.array_equal(value.array, array):
                return value
        place = self.order.setdefault(name, len(self.order))

        def make() -> gx.Tensor:
            label = printable(name, self.parameters)
            with origins.inherit(self.origin):
                parameter = gx.parameter(label, value=array, trainable=trainable)
            self.parameters[label] = parameter
            self.order[label] = place
            return parameter

        values.append(Value(array=array, make=make, stored=(name, array)))
        return values[-1]

    def finished(self) -> dict[str, gx.Tensor]:
        """All parameters that something computes with, in the order of the file."""
        if not callable(self.trainable) and isinstance(self.trainable, Collection):
            for name in self.trainable:
                if name not in self._asked:
                    raise NameError(
                        f"onnx.load: trainable: the file stores no floats called {name}",
                        hint=f"it stores {', '.join(sorted(self._asked)[:8]) or 'none'}",
                    )
        labels = sorted(self.parameters, key=lambda label: self.order[label])
        return {label: self.parameters[label] for label in labels}


def check_choice(trainable: Any) -> None:
    """Raise unless it says of names whether they are trained."""
    names = isinstance(trainable, Collection) and not isinstance(trainable, (str, bytes))
    if not (trainable is None or isinstance(trainable, bool) or callable(trainable) or names):
        raise ArgumentError(
            f"onnx.load: trainable is a bool, names, or a function of a name, got {trainable!r:.80}"
        )


def is_float(array: Array) -> bool:
    """Whether the elements are floats."""
    return array.dtype.kind in "fV"


def printable(name: str, taken: Mapping[str, Any]) -> str:
    """A name for a parameter: what the file says, as far as it can be shown, and not yet taken."""
    label = "".join(c if c.isprintable() else "_" for c in name) or "parameter"
    found, n = label, 1
    while found in taken:
        found, n = f"{label}_{n}", n + 1
    return found
