"""A layer that brings data to mean 0 and deviation 1, with what it has seen of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import init
from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor
from graphc.ir.types import Array, float32
from graphc.nn.layers import Layer, check_flag

ROWS = 1 << 16  # that are looked at together: data may be larger than memory


class Standardize(Layer):
    """(x - mean) / deviation for every feature, the last axis; `adapt` takes both from data.

    They are parameters that no optimiser updates, so they are in checkpoints, in `save` and in
    exported code: what leaves Python takes the raw data. Before `adapt`, or without it, they are 0
    and 1. Integers become float32. `invert` gives x * deviation + mean: after the last layer of a
    regression, adapted to the targets, it gives outputs in their units. (Keras calls the layer
    Normalization.)
    """

    kind = "standardize"

    def __init__(self, invert: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        check_flag("Standardize", "invert", invert)
        self.invert = bool(invert)
        self._seen: tuple[Array, Array] | None = None

    def adapt(self, data: Any) -> None:
        """Set mean and deviation to those of data, whose last axis has the features.

        Sums are in float64; the deviation is that of the population, 1 for a constant feature.
        Raises ArgumentError where values are not finite.
        """
        array = _checked(data)
        mean = np.zeros(array.shape[-1])
        for rows in _parts(array):
            mean += rows.sum(axis=0) / (array.size // array.shape[-1])
        square = np.zeros(array.shape[-1])
        for rows in _parts(array):
            square += ((rows - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(square / (array.size // array.shape[-1]))
        # a constant that is no float32 leaves rounding, which is nothing to be divided by
        deviation[deviation <= 1e-7 * np.abs(mean)] = 1.0
        self._seen = mean, np.where(deviation > 0.0, deviation, 1.0)
        for role, value in zip(("mean", "deviation"), self._seen):
            if role in self._parameters:
                self._set(role, value)

    def call(self, x: Tensor) -> Tensor:
        """The shape of x."""
        x = x if x.dtype.is_float else fn.astype(x, float32)
        shape = (self.features(x),)
        first = self._seen or (0.0, 1.0)
        if self._seen is not None and self._seen[0].shape != shape:
            raise self._other(shape[0])
        mean, deviation = (
            self.parameter(role, shape, init.constant(value), x.dtype, trainable=False)
            for role, value in zip(("mean", "deviation"), first)
        )
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _set(self, role: str, value: Array) -> None:
        made = self._parameters[role]
        if made.shape != value.shape:
            raise self._other(int(made.shape[0]))  # type: ignore[arg-type]
        made.value = value.astype(made.dtype.numpy)

    def _other(self, wanted: int) -> ShapeError:
        assert self._seen is not None
        return ShapeError(
            f"{self.name}: adapted to {len(self._seen[0])} features, the input has {wanted}",
            origin=origins.find_origin(),
        )


def _checked(data: Any) -> Array:
    """Data as an array with examples and features, all finite."""
    array = data if isinstance(data, np.ndarray) else np.asarray(data)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"Standardize.adapt: needs numbers of shape (examples, ..., features),"
            f" got {array.dtype}{list(array.shape)}",
            origin=origins.find_origin(),
        )
    for part in range(0, len(array), ROWS):
        bad = ~np.isfinite(array[part : part + ROWS])
        if bad.any():
            row = part + int(np.argwhere(bad)[0][0])
            raise ArgumentError(
                f"Standardize.adapt: row {row} has values that are not finite",
                origin=origins.find_origin(),
                hint="gx.data.check(x) lists all of them",
            )
    return array


def _parts(array: Array) -> Any:
    """The rows of features, some at a time, in float64."""
    return (
        array[i : i + ROWS].reshape(-1, array.shape[-1]).astype(np.float64)
        for i in range(0, len(array), ROWS)
    )
