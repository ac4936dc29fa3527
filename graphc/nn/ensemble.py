"""Several models of one structure, computed and trained as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.batching.batcher import Batcher
from graphc.frontend.batching.rules import find_rule
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, handle, lift
from graphc.ir import graph as graphs
from graphc.ir import naming
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.structure import Structure, flatten
from graphc.ir.types import Array
from graphc.nn.layers import Layer, check_count


class Ensemble(Layer):
    """k models, whose parameters have a first axis of k; what they return has it too.

    `members` are the models with the first values, each under a name of its own: NAME/0, ....
    """

    kind = "ensemble"

    def __init__(self, build: Callable[[], Any], k: int, name: str | None = None) -> None:
        super().__init__(name)
        check_count("ensemble", "k", k)
        self.members: list[Any] = []
        self._build, self._k = build, int(k)
        self._shared: list[Parameter] = []
        self._taken: dict[int, dict[str, int]] = defaultdict(dict)

    @property
    def _parts(self) -> list[Any]:
        """The parameters of all members in one, and those that all share."""
        return [*self._parameters.values(), *self._shared]

    def __call__(self, *arguments: Any) -> Any:
        """What all members make of the same arguments."""
        leaves, structure = flatten(arguments)
        given = [lift(value).node for value in leaves]
        inputs = [graphs.apply(leaf.Input(f"argument_{i}", n.type)) for i, n in enumerate(given)]
        with origins.collecting_random() as drawn:
            results = [self._run(i, structure, inputs) for i in range(self._k)]
        found = [own_parameters(nodes) for nodes, _ in results]
        stacked = self._stacked(found)
        shared = dict(zip(inputs, given))
        batcher = Batcher(stacked, self._k, shared, frozenset(drawn), find_rule)
        nodes, returned = results[0]
        return returned.build([handle(batcher.spread(value)) for value in batcher.run(nodes)])

    def _run(
        self, i: int, structure: Structure, inputs: list[Node]
    ) -> tuple[list[Node], Structure]:
        """What one member returns."""
        with naming.inside(f"{self.name}/{i}", self._taken[i]):
            if i == len(self.members):
                self.members.append(self._build())
            given = structure.build([handle(n) for n in inputs])
            values, returned = flatten(self.members[i](*given))
        return [lift(value).node for value in values], returned

    def _stacked(self, found: list[list[Parameter]]) -> dict[Node, Node]:
        """For every parameter of the first member that is its own, those of all."""
        types = [[p.type for p in parameters] for parameters in found]
        for i, other in enumerate(types):
            if other != types[0]:
                first, text = (", ".join(map(str, some)) for some in (types[0], other))
                _fail(f"{self.name}: member 0 has parameters {first}, member {i} has {text}")
        stacked: dict[Node, Node] = {}
        for same in zip(*found):
            if self._k == 1 or any(p is not same[0] for p in same):
                stacked[same[0].node] = self._stack(same).node
        self._shared = [same[0] for same in zip(*found) if same[0].node not in stacked]
        if found[0] and not stacked:
            _fail(f"{self.name}: the members share all parameters: build must make new ones")
        return stacked

    def _stack(self, same: tuple[Parameter, ...]) -> Tensor:
        role = same[0].name.removeprefix(f"{self.name}/0/")
        shape = (self._k, *(int(s) for s in same[0].shape))  # type: ignore[arg-type]

        def initial(*_: Any) -> Array:
            return np.stack([np.broadcast_to(first_value(p), shape[1:]) for p in same])

        return self.parameter(role, shape, initial, same[0].dtype, same[0].trainable)


def ensemble(build: Callable[[], Any], k: int, name: str | None = None) -> Ensemble:
    """k models that `build()` makes, as one layer: ensemble(x) returns (k, ...) for all of them.

    Each has first values of its own; a parameter that they all use is shared. Minimise the sum of
    the members' losses to train them all, each as if it were alone; average over axis 0 to
    predict. An optimiser that works element by element takes a learning rate for each member:
    gx.optim.Adam([0.1, 0.01, 1e-3]) for k = 3. A norm to clip at is that of all members. Random
    numbers (dropout) differ from member to member.
    """
    if not callable(build):
        _fail(f"ensemble: build must be a function that returns a model, got {build!r}")
    return Ensemble(build, k, name)


def own_parameters(nodes: list[Node]) -> list[Parameter]:
    """The parameters beneath nodes, in order of first use."""
    return [n.handle for n in topological(nodes) if isinstance(n.op, leaf.Parameter)]


def first_value(parameter: Parameter) -> Any:
    """The present value of a parameter, without making it take memory."""
    return parameter.initial() if parameter.storage is None else parameter.storage


def _fail(text: str) -> NoReturn:
    raise ArgumentError(text, origin=origins.find_origin())
