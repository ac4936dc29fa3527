"""A failed check once more in the interpreter, which sees the values that compiled code had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import GraphcError, RuntimeCheckError
from graphc.graph import Graph
from graphc.interpret import Interpreter
from graphc.ops.base import Array


def explained(
    graph: Graph,
    error: RuntimeCheckError,
    arrays: Sequence[Array],
    dims: Mapping[str, int],
    rng: Array,
) -> RuntimeCheckError:
    """The error with the values that its message asks for; as it is if none are found.

    Nothing was updated, so the interpreter computes what the function did: for the node that
    failed alone where it is known (a check in the body of a loop is not).
    """
    if not error.asks:
        return error
    roots = graph.roots if error.node is None else [error.node]
    interpreter = Interpreter(dims, (int(rng[0]), int(rng[1])))
    try:
        interpreter.run(roots, dict(zip(graph.inputs, arrays)))
    except RuntimeCheckError as found:
        text = f"{graph.name}: {found.message}; nothing was updated"
        operands = found.operands if error.node is None else error.operands
        return RuntimeCheckError(text, operands=operands, origin=found.origin)
    except (GraphcError, MemoryError):
        return error  # what compiled code said is enough
    return error
