"""What an evaluation found, and evaluating and predicting over whole data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction
from graphc.train.feed import make_feed
from graphc.train.fit import check_validation, counted

NOISE = 30  # a change that concerns fewer examples tells nothing (the rule of 30)


class Evaluation(tuple[float, ...]):
    """Numbers with names: `loss, accuracy = model.evaluate(x, y)`, or `result["loss"]`.

    It unpacks as a tuple and is asked as a dict: `keys`, `items`, `get`, `name in result`.
    `examples` says of how many, `note` what that means for a comparison.
    """

    names: tuple[str, ...]
    examples: int

    def __new__(cls, values: Mapping[str, float], examples: int) -> Evaluation:
        """The numbers in their order."""
        made = super().__new__(cls, values.values())
        made.names, made.examples = tuple(values), examples
        return made

    @property
    def note(self) -> str:
        """The rule of 30: what concerns fewer than 30 examples is noise."""
        if self.examples < 2 * NOISE:
            return f"{self.examples} examples are too few to compare models by"
        share = NOISE / self.examples
        return f"of {self.examples} examples: a change of fewer than 30 ({share:.2g}) is noise"

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise KeyError(f"{key}: there is {', '.join(self.names) or 'nothing'}")
        return super().__getitem__(self.names.index(key))

    def __contains__(self, key: object) -> bool:
        return key in self.names if isinstance(key, str) else super().__contains__(key)

    def keys(self) -> tuple[str, ...]:
        """The names."""
        return self.names

    def items(self) -> Iterable[tuple[str, float]]:
        """Names and numbers."""
        return list(zip(self.names, self))

    def get(self, name: str, default: float | None = None) -> float | None:
        """A number, or the default where there is none of that name."""
        return self[name] if name in self.names else default

    def __repr__(self) -> str:
        numbers = ", ".join(f"{k}={v:.4g}" for k, v in self.items())
        return f"<Evaluation: {numbers}; {self.note}>"


def evaluate(
    function: CompiledFunction, data: Any, batch_size: int = 32, prefetch: int = 2
) -> Evaluation:
    """The means of a function's outputs of rank 0 over all samples, and its metrics.

    `data` and `prefetch` are as for `fit`; the last batch may be smaller, and counts by its
    samples. Raises ArgumentError for a function that learns.
    """
    check_validation((function, data), "evaluate")
    return Evaluation(*counted(make_feed(function, data, batch_size, prefetch=prefetch)))


def predict(function: CompiledFunction, data: Any, batch_size: int = 32, prefetch: int = 2) -> Any:
    """The outputs of a function for all samples, batch by batch: along the first axis one after
    the other. `data` and `prefetch` are as for `fit`.

    Outputs that have no batch axis are an ArgumentError: `evaluate` takes their means.
    """
    if not isinstance(function, CompiledFunction):
        raise ArgumentError(
            f"predict: needs what gx.compile returns, got {function!r:.60}",
            origin=origins.find_origin(),
        )
    columns: list[list[Array]] = []
    for arrays, count in make_feed(function, data, batch_size, prefetch=prefetch).each():
        leaves = _leaves(function, function(*arrays))
        for path, leaf in zip(function.structure.paths(), leaves):
            if not np.ndim(leaf) or len(leaf) != count:
                name = "/".join(map(str, path)) or "the output"
                raise ArgumentError(
                    f"predict: {name} has no batch axis: {np.shape(leaf)} for {count} samples",
                    origin=origins.find_origin(),
                    hint="gx.evaluate takes the means of numbers",
                )
        columns.append(leaves)
    return function.structure.build([np.concatenate(parts) for parts in zip(*columns)])


def _leaves(function: CompiledFunction, found: Any) -> list[Array]:
    leaves = []
    for path in function.structure.paths():
        value = found
        for key in path:
            value = value[key]
        leaves.append(value)
    return leaves
