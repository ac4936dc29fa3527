"""Find where a value that is not finite comes from: run the step again in the interpreter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops.leaf import Parameter
from graphc.ir.ops.loop import Scan
from graphc.ir.storage import stored
from graphc.ir.types import Array, find_dtype
from graphc.runtime.failed_check import TimeLimitedInterpreter, TooLongError

MAX_SECONDS = 30.0  # a value that takes longer to find is not named


def first_bad_node(
    graph: Graph,
    roots: Iterable[Node],
    arrays: Sequence[Array],
    dims: Mapping[str, int],
    rng: Array,
) -> tuple[Node, str] | None:
    """The node that made the first inf or NaN of those that reached a root, and which; or None.

    Infinities that are written down, as in masks, are no bad values, but NaN that they give is.
    """
    interpreter = _Watching(dims, (int(rng[0]), int(rng[1])), MAX_SECONDS)
    parameters = {n: stored(n).memory for n in graph.leaves(Parameter)}
    for node, value in parameters.items():
        interpreter.note(node, value, ())
    wanted = list(roots)
    try:
        interpreter.run(wanted, {**parameters, **dict(zip(graph.inputs, arrays))})
    except (GraphcError, MemoryError, TooLongError):
        return None
    for root in wanted:
        if root in interpreter.made:
            found = interpreter.source(root)
            return found, interpreter.kinds[found]
    return None


class _Watching(TimeLimitedInterpreter):
    """An interpreter that notes which nodes are not finite, and where that begins.

    `kinds` has them in the order in which they first were so; `made` those of them that were not
    only given an infinity that was written down. A node in the body of a loop is noted once.
    """

    def __init__(self, dims: Mapping[str, int], rng: tuple[int, int], seconds: float) -> None:
        super().__init__(dims, rng, seconds)
        self.kinds: dict[Node, str] = {}
        self.made: set[Node] = set()

    def node(self, node: Node, arrays: list[Array]) -> Array:
        """The value of one node, noted if it is bad."""
        value = super().node(node, arrays)
        if node not in self.kinds:
            self.note(node, value, node.inputs)
        return value

    def note(self, node: Node, value: Array, inputs: Sequence[Node]) -> None:
        """Look at the value of a node."""
        dtype = find_dtype(value.dtype)
        if dtype is None or not dtype.is_float or np.isfinite(value).all():
            return
        kind = self.kinds[node] = "nan" if np.isnan(value).any() else "inf"
        bad = [i for i in inputs if i in self.kinds]
        begins = kind == "nan" and all(self.kinds[i] == "inf" for i in bad)
        if inputs and (begins or not bad or not self.made.isdisjoint(bad)):
            self.made.add(node)

    def source(self, node: Node) -> Node:
        """Where the badness of a node begins."""
        while True:
            bad = [i for i in dict.fromkeys(node.inputs) if i in self.made]
            nans = [i for i in bad if self.kinds[i] == "nan"]
            if bad:
                node = (nans or bad)[0]
            elif isinstance(node.op, Scan):
                return self._first_within(node, node.op)
            else:
                return node

    def _first_within(self, loop: Node, op: Scan) -> Node:
        """The first bad node of a loop's body, of all iterations."""
        body = set(topological(op.body.outputs))
        found = next((n for n in self.kinds if n in body and n in self.made), loop)
        return self._first_within(found, found.op) if isinstance(found.op, Scan) else found
