"""What draws random graphs: operands, steps, outputs and updates, from one seed.

Values are `exact` when every correct evaluation gives the same bits (inputs, views, choices,
integers): only these are compared, rounded or indexed with, so that a last bit cannot turn into
a different branch. Everything else stays of moderate size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.frontend.functions.operands import to_dtype
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size, evaluate
from graphc.ir.graph import Graph
from graphc.ir.types import Array
from graphc.optim.base import reachable

SIZES = (1, 2, 3, 5, 7)
RARE_SIZES = (0, 1, 16, 17, 33, 70, 300)
MOST = 3000  # elements of a value
ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 100.0, -100.0, 1e4)
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A tensor, and whether its bits are the same however it is computed."""

    tensor: Tensor
    exact: bool


@dataclass(frozen=True)
class RandomGraph:
    """A random graph with arrays for its inputs."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    arrays: list[Array]
    dims: dict[str, int]
    exact: bool = False  # every correct evaluation gives the same bits
    wild: bool = False  # NaN and infinity occur
    updates: dict[Parameter, Tensor] = field(default_factory=dict)
    values: list[Array] = field(default_factory=list)  # of the updated parameters

    def reset(self) -> None:
        """Give every updated parameter its first value."""
        for parameter, value in zip(self.updates, self.values):
            parameter.value = value

    @property
    def graph(self) -> Graph:
        """The tensors as one graph."""
        outputs = tuple((f"y{i}", t.node) for i, t in enumerate(self.outputs))
        return Graph(tuple(t.node for t in self.inputs), outputs)


class Maker:
    """Draws ops; every choice comes from the seed."""

    def __init__(
        self,
        seed: int,
        dtype: str = "float64",
        integral: bool = False,
        wild: bool = False,
        trains: bool = False,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.integral = integral  # floats are small whole numbers: every sum is exact
        self.wild = wild  # some inputs are NaN, infinite, large or -0.0
        self.trains = trains  # parameters are read and updated
        sizes = [1, 2, 3, 4] if trains else [0, 1, 2, 3, 4, 19]
        self.dim = int(self.rng.choice(sizes))
        self.batch = gx.dim("batch")
        self.values: list[Drawn] = []
        self.inputs: list[Tensor] = []
        self.parameters: list[Parameter] = []
        self.arrays: list[Array] = []
        self.refused: list[str] = []  # what definition had against an op

    def draw(self, steps: tuple[Step, ...], count: int | None = None) -> RandomGraph:
        """Inputs, `count` of the steps (5 to 40, rather few), and a few outputs."""
        gx.seed(7)
        for i in range(int(self.rng.integers(1, 4))):
            self.add_input(f"x{i}")
        for i in range(int(self.rng.integers(1, 4)) if self.trains else 0):
            self.add_parameter(f"p{i}")
        chosen = 5 + int(36 * self.rng.random() ** 2.5)
        for _ in range(chosen if count is None else count):
            self.step(steps[self.rng.integers(len(steps))])
        recent = self.values[-1 - int(self.rng.integers(0, 4)) :]
        updates = self.updates()
        return RandomGraph(
            self.inputs, [v.tensor for v in recent], self.arrays, {"batch": self.dim},
            self.integral, self.wild, updates, [p.value for p in updates],
        )  # fmt: skip

    def step(self, draw: Step) -> None:
        """One op more, if it may be defined and is not large."""
        try:
            made = draw(self)
        except GraphcError as error:
            self.refused.append(f"{draw.__name__}: {error}")
            return
        if made is not None and self.elements(made.tensor) <= MOST:
            self.values.append(made)

    def elements(self, x: Tensor) -> int:
        """How many elements a value has."""
        return int(np.prod([evaluate(s, {"batch": self.dim}) for s in x.shape]))

    # -- operands -------------------------------------------------------------------

    def shape(self) -> tuple[int, ...]:
        """A shape of rank 0 to 3; now and then an axis is long or empty."""
        sizes = [int(s) for s in self.rng.choice(SIZES, self.rng.integers(0, 4))]
        if sizes and self.rng.random() < 0.15:
            sizes[self.rng.integers(len(sizes))] = int(self.rng.choice(RARE_SIZES))
        return tuple(sizes)

    def add_input(self, name: str) -> None:
        """An input of rank 0 to 3, sometimes with the dim in front."""
        shape = self.shape()
        with_dim = self.rng.random() < 0.5 and shape
        symbolic: tuple[Size, ...] = (
            (self.batch, *shape[1:]) if with_dim or not self.inputs else shape
        )
        concrete = tuple(s if isinstance(s, int) else self.dim for s in symbolic)
        whole = self.inputs and self.rng.random() < 0.3
        dtype = str(self.rng.choice(DTYPES)) if whole else self.dtype
        self.inputs.append(gx.input(name, symbolic, dtype=dtype))
        self.arrays.append(self.array(concrete, dtype))
        self.values.append(Drawn(self.inputs[-1], True))

    def add_parameter(self, name: str) -> None:
        """A parameter of rank 0 to 2, of no more elements than a number or so where it is new."""
        shape = tuple(int(s) for s in self.rng.choice(SIZES, self.rng.integers(0, 3)))
        self.parameters.append(gx.parameter(name, value=self.array(shape)))
        self.values.append(Drawn(self.parameters[-1], True))

    def array(self, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Numbers of moderate size."""
        name = dtype or self.dtype
        kind = to_dtype("array", name).numpy
        if name == "bool":
            return self.rng.random(shape) < 0.5
        if self.integral or "int" in name:
            low = 0 if name[0] == "u" else -2
            return self.rng.integers(low, 3, shape).astype(kind)
        drawn = np.asarray(self.rng.uniform(-2, 2, shape))
        if self.wild:
            odd = self.rng.choice(ODD, shape)
            drawn = np.where(self.rng.random(shape) < 0.2, odd, drawn)
        return drawn.astype(kind)

    def updates(self) -> dict[Parameter, Tensor]:
        """New values of parameters: by an optimizer, or any values of their types."""
        found: dict[Parameter, Tensor] = {}
        if self.parameters and self.rng.random() < 0.7:
            try:
                found |= self.trained()
            except GraphcError as error:  # a parameter that only comparisons look at, say
                self.refused.append(f"minimize: {error}")
        for p in self.parameters:
            fits = self.pick(lambda v, p=p: v.tensor.type == p.type and v.tensor is not p)  # type: ignore[misc]
            if p not in found and fits is not None:
                found[p] = fits.tensor
        return found

    def trained(self) -> dict[Parameter, Tensor]:
        """What an optimizer makes of a loss that late values have."""
        floats = [v for v in self.values if v.tensor.dtype.is_float]
        terms = [gx.mean(gx.astype(gx.tanh(v.tensor), self.dtype)) for v in floats[-3:]]
        loss = functools.reduce(gx.add, terms)
        within = set(reachable(loss))
        optimizers = [
            gx.optim.SGD(0.1), gx.optim.Adagrad(0.1), gx.optim.Adam(0.01),
            gx.optim.SGD(0.1, momentum=0.5), gx.optim.RMSprop(0.01),
        ]  # fmt: skip
        optimizer = optimizers[self.rng.integers(len(optimizers))]
        clip = 0.5 if self.rng.random() < 0.3 else None
        reached = [p for p in self.parameters if p in within]
        return dict(optimizer.minimize(loss, reached, clip_norm=clip)) if reached else {}

    def pick(self, where: Callable[[Drawn], bool] = lambda v: True) -> Drawn | None:
        """A value, rather a late one, that fulfils a condition."""
        fitting = [v for v in self.values if where(v)]
        if not fitting:
            return None
        weights = np.arange(1, len(fitting) + 1, dtype=np.float64)
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def number(self) -> Drawn | None:
        """A float value."""
        return self.pick(lambda v: v.tensor.dtype.is_float)

    def partner(self, x: Drawn) -> Drawn:
        """Something that combines with x: of its shape, a number, a row, x itself."""
        choice = self.rng.random()
        same = self.pick(lambda v: v.tensor.type == x.tensor.type)
        if choice < 0.5 and same is not None:
            return same
        constants = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0]
        constant = constants[self.rng.integers(len(constants))]
        if choice < 0.8 or not x.tensor.ndim or not isinstance(x.tensor.shape[-1], int):
            made = gx.full(x.tensor.shape if choice < 0.65 else (), constant, x.tensor.dtype)
            return Drawn(made, True)
        row = self.array((x.tensor.shape[-1],), x.tensor.dtype.name)
        return Drawn(gx.constant(row), True)


Step = Callable[[Maker], Drawn | None]
