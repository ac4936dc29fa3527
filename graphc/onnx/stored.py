"""What a file stores, as parameters and constants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

import graphc as gx
from graphc import origin as origins
from graphc.errors import ArgumentError, NameError
from graphc.ir.types import Array
from graphc.onnx.values import OnnxValue
from graphc.onnx.weights import Uses

Choice = Callable[[str], bool] | Collection[str] | bool | None


class StoredArrays:
    """The arrays of a file: floats with axes are parameters, once something computes with them."""

    def __init__(self, uses: Uses, trainable: Choice, origin: origins.Origin) -> None:
        self.uses = uses
        self.origin = origin
        self.trainable = chosen_names(uses.stored, trainable)
        self.parameters: dict[str, gx.Tensor] = {}
        self.order: dict[str, int] = {}
        self._values: dict[tuple[str, bool], list[OnnxValue]] = {}

    def value(self, name: str, array: Array) -> OnnxValue:
        """A stored tensor."""
        if not may_be_learnt(array):
            return OnnxValue(array=array)
        match self.trainable:
            case None:
                return self._kept(name, array, self.uses.is_weight(name, array))
            case bool():
                return self._kept(name, array, self.trainable)
        return self._kept(name, array, name in self.trainable)

    def constant(self, name: str, array: Array) -> OnnxValue:
        """What a node says: a constant, unless its name is among those that are to be trained."""
        names = self.trainable
        if isinstance(names, frozenset) and name in names and may_be_learnt(array):
            return self._kept(name, array, True)
        return OnnxValue(array=array)

    def statistic(self, value: OnnxValue) -> OnnxValue:
        """A stored array that is no weight here, whatever else reads it, unless the caller says."""
        if value.stored is None or self.trainable is not None:
            return value
        name, array = value.stored
        return self._kept(name, array, False)

    def _kept(self, name: str, array: Array, trainable: bool) -> OnnxValue:
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

        values.append(OnnxValue(array=array, make=make, stored=(name, array)))
        return values[-1]

    def finished(self) -> dict[str, gx.Tensor]:
        """All parameters that something computes with, in the order of the file."""
        labels = sorted(self.parameters, key=lambda label: self.order[label])
        return {label: self.parameters[label] for label in labels}


def chosen_names(stored: Collection[str], trainable: Any) -> frozenset[str] | bool | None:
    """What the caller says is to be trained, as names; raises where there is no such name."""
    if trainable is None or isinstance(trainable, bool):
        return trainable
    if callable(trainable):
        return frozenset(name for name in stored if trainable(name))
    if isinstance(trainable, (str, bytes)) or not isinstance(trainable, Collection):
        raise ArgumentError(
            f"onnx.load: trainable is a bool, names, or a function of a name, got {trainable!r:.80}"
        )
    for name in trainable:
        if name not in stored:
            listed = ", ".join(sorted(stored)[:8]) or "none"
            raise NameError(
                f"onnx.load: trainable: the file stores no floats called {name}",
                hint=f"it stores {listed}",
            )
    return frozenset(trainable)


def may_be_learnt(array: Array) -> bool:
    """Whether an array holds floats and has axes."""
    return array.dtype.kind in "fV" and array.ndim > 0 and array.size > 0


def printable(name: str, taken: Mapping[str, Any]) -> str:
    """A name for a parameter: what the file says, as far as it can be shown, and not yet taken."""
    label = "".join(c if c.isprintable() else "_" for c in name) or "parameter"
    found, n = label, 1
    while found in taken:
        found, n = f"{label}_{n}", n + 1
    return found
