"""The names of storages and kernels: usable in generated code, each given once."""

from __future__ import annotations

import re

from graphc.ir.graph import Node
from graphc.ir.naming import numbered
from graphc.ir.ops.base import Contract

NAMED_OPS = 4  # ops that a kernel's name lists; more make it no clearer


class Names:
    """The names that are taken in a graph and in the bodies of its loops."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """A name that no other storage or kernel has."""
        return numbered(self._taken, name)

    def of_value(self, node: Node) -> str:
        """A name for the bytes of a node."""
        return self.unique(identifier(node.name or node.op.name))


def kernel_name(nodes: list[Node]) -> str:
    """A name after the first few ops, contractions first."""
    first = sorted(nodes, key=lambda n: not isinstance(n.op, Contract))
    names = dict.fromkeys("matmul" if isinstance(n.op, Contract) else n.op.name for n in first)
    return "_".join(list(names)[:NAMED_OPS])


def identifier(text: str) -> str:
    """A name usable in generated code."""
    return re.sub(r"\W", "_", text.replace("/", "_"))
