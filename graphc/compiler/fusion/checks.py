"""Failure codes: which node each one stands for, and its message."""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.ops.failure import VALUE, indexed_size, with_size
from graphc.ir.ops.gather import Guard
from graphc.ir.schedule import FailureCode


class Checks:
    """Allocates failure codes; equal nodes share one."""

    def __init__(self) -> None:
        self.codes: dict[Node, int] = {}

    def code(self, node: Node) -> int:
        """The failure code of a checking node; codes count from 0 in order of first use."""
        return self.codes.setdefault(node, len(self.codes))

    def listed(self) -> tuple[FailureCode, ...]:
        """What every code means."""
        return tuple(FailureCode(code, n, _message(n)) for n, code in self.codes.items())


def _message(node: Node) -> str:
    if isinstance(node.op, Guard):
        return with_size(node.op.message, node.op.size)
    if node.op.indices is None:
        return f"{node.op.name}: a matrix is not positive definite{VALUE}"
    size = indexed_size(node)
    return f"{node.op.name}: an index is out of range for an axis of size {size}{VALUE}"
