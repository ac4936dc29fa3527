"""A loss as a function of one vector, for optimisers that evaluate it where they like."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.autodiff import grad
from graphc.frontend.parameter import Parameter
from graphc.frontend.substitute import substitute
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import topological
from graphc.ir.ops import leaf
from graphc.ir.types import DType, float32, float64
from graphc.optim.base import reachable
from graphc.optim.checks import listed
from graphc.optim.scaling import Values


@dataclass(frozen=True, eq=False)
class Objective:
    """A scalar loss of parameters, seen as a function of all their elements in a row.

    The vector is float64 if a parameter is, else float32.
    """

    loss: Tensor
    parameters: tuple[Parameter, ...]
    gradients: tuple[Tensor, ...]

    @property
    def dtype(self) -> DType:
        """Of the vector."""
        return float64 if any(p.dtype == float64 for p in self.parameters) else float32

    @property
    def size(self) -> int:
        """How many elements there are."""
        return sum(_size(p) for p in self.parameters)

    @property
    def start(self) -> Tensor:
        """The parameters as they are."""
        return self.joined(self.parameters)

    @property
    def gradient(self) -> Tensor:
        """The gradient there."""
        return self.joined(self.gradients)

    def joined(self, tensors: Iterable[Tensor]) -> Tensor:
        """One tensor for each parameter as a vector."""
        return fn.concat([fn.astype(fn.reshape(t, (-1,)), self.dtype) for t in tensors])

    def pieces(self, vector: Tensor) -> Values:
        """The parameters' parts of a vector."""
        found: Values = {}
        first = 0
        for p in self.parameters:
            part = vector[first : first + _size(p)]
            found[p] = fn.astype(fn.reshape(part, p.shape), p.dtype)
            first += _size(p)
        return found

    def moved(self, tensors: list[Tensor], vector: Tensor) -> list[Tensor]:
        """Tensors as they would be with the parameters elsewhere."""
        places: dict[Tensor, Tensor] = dict(self.pieces(vector).items())
        found: list[Tensor] = substitute(tensors, places)
        return found

    def at(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the gradient elsewhere."""
        roots = [self.loss, *self.gradients]
        loss, *gradients = self.moved(roots, vector)
        return fn.astype(loss, self.dtype), self.joined(gradients)


def objective(
    owner: str, loss: Tensor, parameters: Parameter | Iterable[Parameter] | None
) -> Objective:
    """The loss as a function of parameters; raises where it draws random numbers."""
    chosen = reachable(loss) if parameters is None else listed(parameters)
    if not chosen:
        raise ArgumentError(
            f"{owner}: the loss reaches no trainable parameter",
            origin=origins.find_origin(),
            hint="make weights with gx.parameter or layers, not with gx.constant",
        )
    for node in topological([loss.node]):
        if isinstance(node.op, leaf.RandomBits):
            raise ArgumentError(
                f"{owner}: the loss draws random numbers ({node.name}), so it is another function"
                " at every evaluation",
                origin=origins.find_origin(),
                hint='use gx.substitute or mode="inference" to leave out dropout, and all samples'
                " as one batch",
            )
    for p in chosen:
        if not p.dtype.is_float or not all(isinstance(n, int) for n in p.shape):
            text = f"{owner}: parameters must be floats of known shape, {p.name} is {p.type}"
            raise ArgumentError(text, origin=origins.find_origin())
        if p.constraint is not None:
            text = f"{owner}: parameter {p.name} has a constraint, which a line search would leave"
            raise ArgumentError(text, origin=origins.find_origin())
    return Objective(loss, tuple(chosen), tuple(grad(loss, chosen)))


def _size(parameter: Parameter) -> int:
    return math.prod(n for n in parameter.shape if isinstance(n, int))
