"""The storage of a parameter, as compiled code sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """

    number: int  # the order in which several are taken; below 0 where only Python can take it

    def hold(self) -> AbstractContextManager[None]:
        """Hold it for the block."""
        ...


class Reader(Protocol):
    """A function that reads a value."""

    def add_lock(self, guard: WriteGuard) -> None:
        """Take one more guard from now on: somebody writes what this reads."""
        ...

    def expect_elsewhere(self) -> None:
        """Ask for `ParameterStorage.memory` in every call from now on: values may be elsewhere."""
        ...


class RemoteCopies(Protocol):
    """The copies of a value in memories that the host does not read."""

    written: bool  # whether a function writes one: else the host's is always the newest

    def fetch(self) -> None:
        """Bring the newest to the host, if it is not there."""
        ...


class ParameterStorage(Protocol):
    """A persistent value: where it lies, how often it has changed, and who may write it.

    `version` is a counter in memory that compiled code raises. `guard` is held by calls that write
    it, and `readers` are told when there is one; `lock` does the same for whole functions.
    `remote` are copies elsewhere, None where there never was one.
    """

    version: Array
    lock: ProcessLock | None
    guard: WriteGuard | None
    readers: WeakSet[Reader]
    remote: RemoteCopies | None

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
        """The host's bytes, up to date: compiled functions for CPUs write into them."""
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


def share_guard(written: Sequence[ParameterStorage], make: Callable[[], WriteGuard]) -> None:
    """Give parameters that are about to be written a guard, one for all that have none yet.

    Functions that read them take it from now on: they never see half a step.
    """
    fresh = [p for p in written if p.guard is None]
    if not fresh:
        return
    guard = make()
    for parameter in fresh:
        parameter.guard = guard
    for reader in {f for p in fresh for f in p.readers}:
        reader.add_lock(guard)
