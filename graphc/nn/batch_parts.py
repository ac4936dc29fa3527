"""What a batch of data consists of for a model: x, y and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.exchange import to_numpy
from graphc.ir.types import Array
from graphc.train.sources import Source, gives_batches

NAMES = ("x", "y", "sample_weight")

# Weights of the samples from y and those that were given, or None
Weigh = Callable[[Array, Any], "Array | None"]


def model_source(data: Any, weigh: Weigh | None = None) -> Source:
    """Data that give batches (x, y) or (x, y, sample_weight); raises for what gives none."""
    if not isinstance(data, (list, tuple)) and not gives_batches(data, ()):
        raise ArgumentError(
            f"y is missing: x is an array, {type(data).__name__}, and gives no batches (x, y)",
            origin=origins.find_origin(),
        )
    return Source(data, prepare=lambda number, item: _parts(number, item, weigh))


def inputs_source(data: Any) -> Source:
    """Data that give batches x; of (x, ...) the rest is left out."""
    return Source(data, prepare=lambda number, item: [_first(item)])


def _first(item: Any) -> Array:
    if isinstance(item, Mapping):
        item = item.get("x")
    found: Array = to_numpy(item[0] if isinstance(item, (list, tuple)) and item else item)
    return found


def _parts(number: int, item: Any, weigh: Weigh | None) -> list[Array]:
    """The arrays of a batch, with the weights of its samples where there are some."""
    if isinstance(item, Mapping) and {"x", "y"} <= set(item) <= set(NAMES):
        item = [item[name] for name in NAMES if name in item]
    if not isinstance(item, (list, tuple)) or len(item) not in (2, 3):
        raise ArgumentError(
            f"batch {number} must be (x, y) or (x, y, sample_weight), got {_kind(item)}"
        )
    arrays: list[Array] = [to_numpy(part) for part in item]
    if weigh is None:
        return arrays
    weights = weigh(arrays[1], arrays[2] if len(arrays) == 3 else None)
    return arrays[:2] if weights is None else [*arrays[:2], weights]


def _kind(item: Any) -> str:
    if isinstance(item, (list, tuple)):
        return f"{len(item)} parts"
    if isinstance(item, Mapping):
        return "a dict of " + ", ".join(map(str, item))
    return f"{item!r:.40}"
