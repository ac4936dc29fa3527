"""What compiled code needs of a parameter; the user's handle on it provides it."""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakSet

from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Array
from graphc.ir.types import TensorType


class Stored(Protocol):
    """A persistent value: where it lies, how often it has changed, and who may write it.

    `version` is a counter in memory that compiled code raises. `guard` is held by calls that write
    it, and `readers` are told when there is one; `lock` does the same for whole functions.
    """

    version: Array
    lock: Any
    guard: Any
    readers: WeakSet[Any]

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def type(self) -> TensorType:
        """Element type and shape."""
        ...

    @property
    def node(self) -> Node:
        """The leaf of the graph."""
        ...

    @property
    def memory(self) -> Array:
        """The bytes themselves, which compiled functions write into."""
        ...

    @property
    def value(self) -> Array:
        """A copy of the present value."""
        ...

    @value.setter
    def value(self, array: Any) -> None: ...


def stored(node: Node) -> Stored:
    """The persistent value behind a parameter's node."""
    assert isinstance(node.op, leaf.Parameter)
    value: Stored = node.face
    return value
