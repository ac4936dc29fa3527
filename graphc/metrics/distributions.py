"""Metrics of any one tensor: how its values are distributed, and which units never fire."""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.parameter import Parameter
from graphc.frontend.symbols import constant
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.ir.types import Array, float64
from graphc.metrics.base import Metric
from graphc.optim.updates import Updates

_LEAST, _MOST, _PER_DECADE = -12, 6, 16  # powers of ten, and bins between two of them
_SIZES = np.logspace(_LEAST, _MOST, (_MOST - _LEAST) * _PER_DECADE + 1)


class OfOne(Metric):
    """A metric of one tensor: `update(values)`."""

    def update(  # type: ignore[override]
        self, values: TensorLike
    ) -> Updates:
        """The updates that take values in."""
        return super().update(values, values)


class Histogram(OfOne):
    """How many values of a tensor of floats are how large: `update(values)`.

    The bins are those of `Histogram.edges`: 16 for every power of ten from 1e-12 to 1e6, on both
    sides of one for what is smaller. Larger values count in the outermost, inf and NaN not at all.
    `value` are the counts, as an array (bins,); `pair` is what `gx.plot.histograms` takes, counts
    and edges.
    """

    kind = "histogram"
    edges: Array = np.concatenate([-_SIZES[::-1], _SIZES])

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Count the values of each bin."""
        if not outputs.dtype.is_float:
            fail(DTypeError, f"histogram: needs floats, got {outputs.type}", (outputs,))
        counts = self.state("counts", (len(self.edges) - 1,))
        flat = fn.reshape(outputs, (-1,))
        edges = constant(self.edges[1:-1].astype(flat.dtype.numpy))
        places = fn.searchsorted(edges, flat, side="right")
        one = fn.astype(fn.isfinite(flat), float64)
        return {counts: fn.scatter_add(counts, places, one)}

    @property
    def result(self) -> Tensor:
        """The counts."""
        self._check_used()
        return self.state("counts", (len(self.edges) - 1,)) * 1.0

    @property
    def pair(self) -> tuple[Array, Array]:
        """Counts and edges, without the empty bins at both ends."""
        return _trimmed(self.value)


def histogram(values: Array) -> tuple[Array, Array]:
    """Counts and edges of an array, as `Histogram.pair` has them."""
    wide = values[np.isfinite(values)].astype(np.float64)
    inside = np.clip(wide, -_SIZES[-1], np.nextafter(_SIZES[-1], 0.0))
    return _trimmed(np.histogram(inside, Histogram.edges)[0].astype(np.float64))


def _trimmed(counts: Array) -> tuple[Array, Array]:
    """Counts without the empty bins at both ends, and their edges."""
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1] + 1) if len(filled) else (0, len(counts))
    return counts[first:last], Histogram.edges[first : last + 1]


class DeadUnits(OfOne):
    """How many units were never positive: `update(values)` of activations (..., units).

    A ReLU unit that fires for no sample has no gradient, and stays as it is. `units` says which
    they are.
    """

    kind = "dead_units"

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Count how often each unit is positive."""
        if not outputs.ndim or not isinstance(outputs.shape[-1], int):
            fail(
                ShapeError,
                f"dead_units: the last axis must have a known number of units, got {outputs.type}",
                (outputs,),
            )
        fired = self.state("fired", (outputs.shape[-1],))
        leading = tuple(range(outputs.ndim - 1))
        positive = fn.astype(outputs > 0, float64)
        return {fired: fired + (fn.sum(positive, axis=leading) if leading else positive)}

    @property
    def result(self) -> Tensor:
        """Their number."""
        self._check_used()
        (fired,) = self._state.values()
        return fn.sum(fn.astype(fired == 0.0, float64))

    @property
    def units(self) -> list[int]:
        """The indices of the units that were never positive."""
        self._check_used()
        (fired,) = self._state.values()
        return [int(i) for i in np.flatnonzero(fired.value == 0.0)]

    @property
    def count(self) -> int:
        """The number of all units."""
        self._check_used()
        (fired,) = self._state.values()
        return int(fired.value.size)
