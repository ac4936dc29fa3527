"""Re-run a failed check in the interpreter to report the offending value."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from graphc.errors import GraphcError, RuntimeCheckError
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph, Node, describe
from graphc.ir.interpret import Interpreter
from graphc.ir.ops.failure import indexed_axis, indexed_size, out_of_range
from graphc.ir.ops.gather import Guard
from graphc.ir.types import Array

MAX_SECONDS = 10.0  # a value that takes longer to find is not shown


def explain_failure(
    graph: Graph,
    error: RuntimeCheckError,
    arrays: Sequence[Array],
    dims: Mapping[str, int],
    rng: Array,
) -> RuntimeCheckError:
    """The error with the value that was found and its place; as it is if they are not found.

    Nothing was updated, so the interpreter computes what the function did: for the node that
    failed alone where it is known, else for others of its line, at last for the whole graph (a
    check in the body of a loop).
    """
    if not error.asks:
        return error
    interpreter = TimeLimitedInterpreter(dims, (int(rng[0]), int(rng[1])), MAX_SECONDS)
    given = dict(zip(graph.inputs, arrays))
    try:
        for node in _suspects(graph, error):
            _rerun_check(interpreter, node, given)
        interpreter.run(graph.roots, given)
    except RuntimeCheckError as found:
        text = f"{graph.name}: {found.message}; nothing was updated"
        same = error.node is not None and found.origin == error.origin
        operands = error.operands if same else found.operands
        return RuntimeCheckError(text, operands=operands, origin=found.origin)
    except (GraphcError, MemoryError, TooLongError):
        return error  # what compiled code said is enough
    return error


def _suspects(graph: Graph, error: RuntimeCheckError) -> Iterator[Node]:
    """The node that failed, and others that check on its line: passes may have made new ones."""
    if error.node is None:
        return
    yield error.node
    for node in graph.nodes:
        checks = isinstance(node.op, Guard) or node.op.indices is not None
        if checks and node.origin == error.node.origin and node is not error.node:
            yield node


def _rerun_check(interpreter: Interpreter, node: Node, given: Mapping[Node, Array]) -> None:
    """Raise if a node's check fails; of an op with indices only these are computed."""
    if node.op.indices is None:
        interpreter.run([node], given)
        return
    (indices,) = interpreter.run([node.inputs[node.op.indices]], given)
    size = evaluate(indexed_size(node), interpreter.dims)
    text = out_of_range(node.op.name, indices, size, indexed_axis(node))
    if text:
        raise RuntimeCheckError(text, operands=describe(node.inputs), origin=node.origin)


class TooLongError(Exception):
    """The interpreter's time limit was exceeded."""


class TimeLimitedInterpreter(Interpreter):
    """An interpreter with a time limit."""

    def __init__(self, dims: Mapping[str, int], rng: tuple[int, int], seconds: float) -> None:
        super().__init__(dims, rng)
        self.end = time.monotonic() + seconds

    def node(self, node: Node, arrays: list[Array]) -> Array:
        """The value of one node, if there is time."""
        if time.monotonic() > self.end:
            raise TooLongError
        return super().node(node, arrays)
