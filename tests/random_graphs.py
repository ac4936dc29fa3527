"""Random graphs: 5 to 40 ops of all families over a few inputs, from one seed.

The ops are in `random_ops`.

Values are `exact` when every correct evaluation gives the same bits (inputs, views, choices,
integers): only these are compared, rounded or indexed with, so that a last bit cannot turn into
a different branch. Everything else stays of moderate size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc.graph import Graph
from graphc.tensor import Tensor

Array = NDArray[Any]
SIZES = (1, 2, 3, 5, 7)


@dataclass(frozen=True)
class Value:
    """A tensor, and whether its bits are the same however it is computed."""

    tensor: Tensor
    exact: bool


@dataclass(frozen=True)
class Sample:
    """A random graph with arrays for its inputs."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    arrays: list[Array]
    dims: dict[str, int]

    @property
    def graph(self) -> Graph:
        """The tensors as one graph."""
        outputs = tuple((f"y{i}", t.node) for i, t in enumerate(self.outputs))
        return Graph(tuple(t.node for t in self.inputs), outputs)


class Maker:
    """Draws ops; every choice comes from the seed."""

    def __init__(self, seed: int, dtype: str = "float64", integral: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.integral = integral  # floats are small whole numbers: every sum is exact
        self.dim = int(self.rng.choice([1, 2, 3, 4]))
        self.batch = gx.dim("batch")
        self.values: list[Value] = []
        self.inputs: list[Tensor] = []
        self.arrays: list[Array] = []

    def sample(self) -> Sample:
        """Inputs, 5 to 40 ops, and a few outputs."""
        for i in range(int(self.rng.integers(1, 4))):
            self.add_input(f"x{i}")
        from random_ops import EXACT, SMOOTH

        steps = EXACT if self.integral else EXACT + SMOOTH
        for _ in range(int(self.rng.integers(5, 41))):
            made = steps[self.rng.integers(len(steps))](self)
            if made is not None:
                self.values.append(made)
        recent = self.values[-1 - int(self.rng.integers(0, 4)) :]
        return Sample(self.inputs, [v.tensor for v in recent], self.arrays, {"batch": self.dim})

    # -- operands -------------------------------------------------------------------

    def add_input(self, name: str) -> None:
        """An input of rank 0 to 3, sometimes with the dim in front."""
        shape = tuple(int(s) for s in self.rng.choice(SIZES, self.rng.integers(0, 4)))
        with_dim = self.rng.random() < 0.5 and shape
        symbolic = (self.batch, *shape[1:]) if with_dim or not self.inputs else shape
        concrete = tuple(self.dim if s is self.batch else s for s in symbolic)
        self.inputs.append(gx.input(name, symbolic, dtype=self.dtype))
        self.arrays.append(self.array(concrete))
        self.values.append(Value(self.inputs[-1], True))

    def array(self, shape: tuple[int, ...]) -> Array:
        """Numbers of moderate size."""
        if self.integral:
            return self.rng.integers(-2, 3, shape).astype(self.dtype)
        return self.rng.uniform(-2, 2, shape).astype(self.dtype)

    def pick(self, where: Callable[[Value], bool] = lambda v: True) -> Value | None:
        """A value, rather a late one, that fulfils a condition."""
        fitting = [v for v in self.values if where(v)]
        if not fitting:
            return None
        weights = np.arange(1, len(fitting) + 1, dtype=np.float64)
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def number(self) -> Value | None:
        """A float value."""
        return self.pick(lambda v: v.tensor.dtype.is_float)

    def partner(self, x: Value) -> Value:
        """Something that combines with x: of its shape, a number, a row, x itself."""
        choice = self.rng.random()
        same = self.pick(lambda v: v.tensor.type == x.tensor.type)
        if choice < 0.5 and same is not None:
            return same
        constants = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0]
        constant = constants[self.rng.integers(len(constants))]
        if choice < 0.8 or not x.tensor.ndim or not isinstance(x.tensor.shape[-1], int):
            made = gx.full(x.tensor.shape if choice < 0.65 else (), constant, x.tensor.dtype)
            return Value(made, True)
        row = self.array((x.tensor.shape[-1],))
        return Value(gx.constant(row), True)
