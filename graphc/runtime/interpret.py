"""What `target="interpret"` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.interpret import Interpreter, Random
from graphc.ir.ops.base import Array
from graphc.ir.storage import stored


class Executor:
    """Runs a graph with its updates; what `target="interpret"` calls."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array) -> list[Array]:
        """Outputs in order, after every update was made; a failure leaves everything alone."""
        outputs, new = self.compute(arrays, dims, (int(rng[0]), int(rng[1])))
        rng[1] += np.uint64(1)
        for (node, _), value in zip(self.graph.updates, new):
            parameter = stored(node)
            parameter.memory[...] = value
            parameter.version[0] += 1
        return outputs

    def compute(
        self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Random
    ) -> tuple[list[Array], list[Array]]:
        """Outputs and new parameter values, as arrays that own their memory; nothing is updated."""
        values = dict(zip(self.graph.inputs, arrays))
        results = Interpreter(dims, rng).run(self.graph.roots, values)
        owned = [np.array(a, order="C") for a in results]
        count = len(self.graph.outputs)
        return owned[:count], owned[count:]
