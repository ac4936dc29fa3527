"""Run programs without their arithmetic, and keep every function that they compile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

import graphc as gx

from .names import find

CALLS = 3000  # of one function, after which its program ends
SIZE = 5  # of a dim of which no call has said anything


class Enough(BaseException):
    """A program has called its functions often enough."""


@dataclass
class Captured:
    """The functions that were compiled, in order, and how each was called first."""

    steps: list[Any] = field(default_factory=list)
    sizes: dict[int, dict[str, int]] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)

    def called(self, step: Any, dims: dict[str, int]) -> None:
        """Note a call."""
        self.sizes.setdefault(id(step), dict(dims))
        self.calls[id(step)] = self.calls.get(id(step), 0) + 1
        if self.calls[id(step)] > CALLS:
            raise Enough

    def dims(self, step: Any) -> dict[str, int]:
        """The sizes to compile for."""
        found = self.sizes.get(id(step))
        return found if found is not None else {n: _default(d) for n, d in step.dims.items()}


@contextmanager
def capture() -> Iterator[Captured]:
    """Keep what is compiled in the block; calls return zeros there."""
    captured = Captured()
    cls = gx.CompiledFunction
    define: Callable[..., None] = cls.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        define(self, *args, **kwargs)
        captured.steps.append(self)

    def run(self: Any, arrays: Any, dims: Any) -> list[Any]:
        captured.called(self, dims)
        return [_zeros(node.type, dims) for _, node in self.graph.outputs]

    def run_batches(self: Any, dims: Any, *others: Any) -> None:
        captured.called(self, dims)

    replaced = {"__init__": init, "run": run, "run_batches": run_batches}
    with mock.patch.multiple(cls, **replaced):  # type: ignore[arg-type]
        yield captured


def _zeros(type: Any, dims: dict[str, int]) -> Any:
    evaluate = find("evaluate")
    return np.zeros([evaluate(s, dims) for s in type.shape], type.dtype.numpy)


def _default(dim: Any) -> int:
    return max(dim.min, SIZE if dim.max is None else min(SIZE, dim.max))
