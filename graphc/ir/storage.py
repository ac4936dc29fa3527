"""The storage of a parameter, as compiled code sees it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol
from weakref import WeakSet

from graphc.forked import ProcessLock
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.types import Array, TensorType


class WriteGuard(Protocol):
    """The lock of values that compiled code writes: held by every call that uses them.

    It is made by the backend of the function that writes.

    A backend that keeps values elsewhere than in `ParameterStorage.memory` brings them there in
    `hold`.
    """

    number: int  # the order in which several are taken

    def hold(self) -> AbstractContextManager[None]:
        """Hold it for the block."""
        ...


class Reader(Protocol):
    """A function that reads a value."""

    def add_lock(self, guard: WriteGuard) -> None:
        """Take one more guard from now on: somebody writes what this reads."""
        ...


class ParameterStorage(Protocol):
    """A persistent value: where it lies, how often it has changed, and who may write it.

    `version` is a counter in memory that compiled code raises. `guard` is held by calls that write
    it, and `readers` are told when there is one; `lock` does the same for whole functions.
    """

    version: Array
    lock: ProcessLock | None
    guard: WriteGuard | None
    readers: WeakSet[Reader]

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


def stored(node: Node) -> ParameterStorage:
    """The persistent value behind a parameter's node."""
    assert isinstance(node.op, leaf.Parameter)
    value: ParameterStorage = node.handle
    return value
