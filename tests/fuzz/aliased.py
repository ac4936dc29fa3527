"""Random graphs whose axes are easily mistaken for each other.

Sizes are 1, 2, 3 and a dim that may have any of these values, so shapes agree whatever the axes
mean: sums come back without the axis that they were taken over, matrices are turned, what is
broadcast stands on either side. Among the ops are softmax, norms and their parts as people write
them by hand, products, linear algebra, indexing, sorts and loops (`aliased_ops`).

Every graph is compiled with its gradient and the product of its Hessian with a vector. These are
compared with the interpreter and with finite differences, and every output of the whole with the
same output alone: asking for more changes no bit.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.errors import GraphcError, VerifyError
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import evaluate
from graphc.ir.interpret import Interpreter
from graphc.testing.graph_maker import RandomGraph
from tests.fuzz import aliased_ops
from tests.random_graphs.run import Expected, compiled, define_sample, run_native, same_bits
from tests.tolerances import FUZZ_SLOPES

Array = NDArray[Any]
STEP = 2e-5  # of a finite difference


class Drawing:
    """A graph being drawn; every choice comes from the seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = int(self.rng.integers(1, 4))
        self.dim = gx.dim("n", min=1)
        self.values: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.directions: list[Tensor] = []
        self.arrays: list[Array] = []
        self.moves: list[Array] = []
        for i in range(int(self.rng.integers(1, 4))):
            shape = self.shape()
            self.inputs.append(gx.input(f"x{i}", shape, dtype="float64"))
            self.directions.append(gx.input(f"v{i}", shape, dtype="float64"))
            self.arrays.append(self.array(shape))
            self.moves.append(self.array(shape))
        self.values = list(self.inputs)
        for _ in range(int(self.rng.integers(4, 14))):
            self.draw()

    def draw(self) -> None:
        """One value more, if it may be defined and is not large."""
        op = aliased_ops.OPS[int(self.rng.integers(len(aliased_ops.OPS)))]
        try:
            made = op(self)
        except GraphcError:
            return
        if made is not None and np.prod([1, *self.sizes(made.shape)]) <= 300:
            self.values.append(made)

    # -- choices ----------------------------------------------------------------------

    def size(self) -> Any:
        """1, 2, 3 or, rather often, the dim, which an input must have."""
        size = (1, 2, 3, self.dim, self.dim)[int(self.rng.integers(5))]
        known = not self.values or any(self.dim in x.shape for x in self.inputs)
        return size if known or size is not self.dim else 3

    def shape(self) -> tuple[Any, ...]:
        """A shape of rank 1 to 3, rather of a matrix, rather a square one."""
        rank = int(self.rng.choice([1, 2, 2, 2, 3]))
        if self.rng.random() < 0.5:
            return (self.size(),) * rank
        return tuple(self.size() for _ in range(rank))

    def sizes(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """A shape in numbers."""
        return tuple(evaluate(s, {"n": self.n}) for s in shape)

    def array(self, shape: Sequence[Any]) -> Array:
        """Numbers that are neither large nor near 0."""
        sizes = self.sizes(shape)
        return self.rng.choice([-1.0, 1.0], sizes) * self.rng.uniform(0.2, 1.5, sizes)

    def any(self, rank: int = 0) -> Tensor:
        """A value of some rank at least, rather a late one."""
        fits = [v for v in self.values if v.ndim >= rank] or [gx.reshape(self.values[0], (1, -1))]
        weights = np.arange(1.0, len(fits) + 1)
        return fits[int(self.rng.choice(len(fits), p=weights / weights.sum()))]

    def axis(self, x: Tensor) -> int:
        """An axis of a value."""
        return int(self.rng.integers(x.ndim))

    # -- the whole --------------------------------------------------------------------

    def loss(self) -> Tensor:
        """A number of the order of 1 that late values have."""
        return functools.reduce(gx.add, [gx.sum(gx.sin(v)) for v in self.values[-3:]])

    def along(self, gradients: list[Tensor]) -> Tensor:
        """The derivative in the direction that is an input."""
        pairs = zip(gradients, self.directions, strict=True)
        return functools.reduce(gx.add, [gx.sum(g * v) for g, v in pairs])

    def sample(self, outputs: list[Tensor]) -> RandomGraph:
        """Outputs, with all inputs."""
        arrays = [*self.arrays, *self.moves]
        return RandomGraph([*self.inputs, *self.directions], outputs, arrays, {"n": self.n})


def native(sample: RandomGraph, seed: int) -> list[Array]:
    """The outputs of the compiled code, for any sizes or for these."""
    try:
        step = compiled(sample, GRAPH_PASSES)
        (found,) = run_native(step, sample, generic=seed % 4 == 0, threads=(1,), level=0)
    except (KeyError, VerifyError) as error:  # short: they may print a whole kernel
        raise AssertionError(f"{type(error).__name__}: {str(error)[:200]}") from None
    return found


def check(seed: int) -> str:
    """Draw a graph and compare all that is made of it."""
    drawing = Drawing(seed)
    loss = drawing.loss()
    gradients = gx.grad(loss, drawing.inputs, unreachable="zero")
    along = drawing.along(gradients)
    products = gx.grad(along, drawing.inputs, unreachable="zero")
    outputs = [*drawing.values[-2:], loss, along, *gradients, *products]
    sample = drawing.sample(outputs)
    together = native(sample, seed)
    check_interpreter(sample, together)
    some = drawing.rng.choice(len(outputs), min(3, len(outputs)), replace=False)
    for i in sorted(int(k) for k in some):
        (alone,) = native(drawing.sample([outputs[i]]), seed)
        assert same_bits([alone], [together[i]]), f"root {i} alone: {alone} not {together[i]}"
    if not all(np.isfinite(v).all() for v in together):
        return "no numbers"
    count = len(gradients)
    slopes = [together[-2 * count : -count], together[-count:]]
    return check_derivatives(drawing, [loss, along], slopes)


def check_interpreter(sample: RandomGraph, found: list[Array]) -> None:
    """Compare with the interpreter; a pass may make something finite."""
    expected = Expected.of(define_sample(sample).graph, sample)
    expected.ignore_infinite()
    problem = expected.differs(found)
    assert problem is None, f"compiled: {problem}"


def check_derivatives(drawing: Drawing, of: list[Tensor], slopes: list[list[Array]]) -> str:
    """Compare derivatives in another direction with differences; "kink" where there are two."""
    way = [drawing.array(x.shape) for x in drawing.inputs]

    def at(step: float) -> Array:
        moved = [x + step * w for x, w in zip(drawing.arrays, way)]
        given = {t.node: a for t, a in zip(drawing.inputs, moved)}
        given |= {t.node: a for t, a in zip(drawing.directions, drawing.moves)}
        return np.array(Interpreter({"n": drawing.n}, (7, 0)).run([t.node for t in of], given))

    wide, narrow = ((at(h) - at(-h)) / (2.0 * h) for h in (STEP, STEP / 2.0))
    result = "agrees"
    for k, name in enumerate(("gradient", "second derivative")):
        terms = [slope * w for slope, w in zip(slopes[k], way)]
        size = 1.0 + sum(float(np.abs(t).sum()) for t in terms)
        if not abs(wide[k] - narrow[k]) < FUZZ_SLOPES * size:
            result = "kink"
            continue
        found = sum(float(t.sum()) for t in terms)
        assert abs(found - narrow[k]) < FUZZ_SLOPES * size, f"{name}: {found} not {narrow[k]}"
    return result
