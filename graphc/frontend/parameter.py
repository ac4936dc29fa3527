"""`Parameter`, a tensor with a persistent value."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, MemoryBudgetError, ShapeError
from graphc.forked import ProcessLock
from graphc.frontend.tensor import Tensor
from graphc.ir import graph as graphs
from graphc.ir.arrays import python_array
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.storage import Reader, RemoteCopies, WriteGuard
from graphc.ir.types import Array, TensorType


class Parameter(Tensor):
    """A tensor with a persistent value, shared by all functions that use it."""

    __slots__ = (
        "_trainable", "constraint", "guard", "initial", "lock", "readers", "remote", "storage",
        "version",
    )  # fmt: skip

    def __init__(self, node: Node, initial: Any) -> None:
        super().__init__(node)
        self.initial = initial  # () -> array, called when the value is first needed
        self._trainable: bool | None = None  # what was set, if anything
        # (new value) -> what optimisers store in its place; see graphc.constraints
        self.constraint: Callable[[Tensor], Tensor] | None = None
        self.storage: Array | None = None
        # One counter in memory that compiled code may raise; tells prepared values apart.
        self.version: Array = np.zeros(1, np.int64)
        self.lock: ProcessLock | None = None  # held by the functions that update it, while they run
        # The same for a backend's own calls, and who has to be told when there is one.
        self.guard: WriteGuard | None = None
        self.readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self.remote: RemoteCopies | None = None  # made by the first function of another device

    @property
    def op(self) -> leaf.Parameter:
        """The leaf op behind it."""
        assert isinstance(self.node.op, leaf.Parameter)
        return self.node.op

    @property
    def trainable(self) -> bool:
        """Whether optimisers update it unless told otherwise; setting it counts for what is built
        from then on."""
        return self.op.trainable if self._trainable is None else self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if not isinstance(trainable, (bool, np.bool_)):
            raise ArgumentError(
                f"parameter {self.name}: trainable must be True or False, got {trainable!r}",
                origin=origins.find_origin(),
            )
        self._trainable = bool(trainable)

    @property
    def memory(self) -> Array:
        """The storage itself (64-byte aligned, C order), up to date; compiled code writes into it.

        Never pass it to a function that updates the parameter: pass `value`.
        """
        if self.storage is None:
            try:
                storage = aligned_empty(self.type)
                storage[...] = self.initial()
            except MemoryError as error:
                raise MemoryBudgetError(
                    f"parameter {self.name}: {self.type} needs {self.type.nbytes} bytes,"
                    " which this machine does not give",
                    operands=graphs.describe((self.node,)),
                ) from error
            self.storage = storage
        elif self.remote is not None:
            self.remote.fetch()
        return self.storage

    @property
    def value(self) -> Array:
        """A copy of the present value: of what the last whole step has left."""
        with parameters_held((self,)):
            return np.array(self.memory)

    @value.setter
    def value(self, array: Any) -> None:
        new = python_array(array, self.dtype)
        if new.shape != self.shape:
            raise ShapeError(
                f"parameter {self.name}: the value must have shape {self.shape}, got {new.shape}",
                operands=graphs.describe((self.node,)),
                origin=origins.find_origin(),
            )
        if not np.can_cast(new.dtype, self.dtype.numpy, casting="same_kind"):
            raise DTypeError(
                f"parameter {self.name}: the value must be {self.dtype.name}, got {new.dtype.name}",
                operands=graphs.describe((self.node,)),
                origin=origins.find_origin(),
                hint=f"convert it: array.astype({self.dtype.name!r})",
            )
        with parameters_held((self,)):
            self.memory[...] = new
            self.version[0] += 1

    def __repr__(self) -> str:
        return f"<Parameter {self.name} {self.type}>"


def is_trainable(node: Node) -> bool:
    """Whether the parameter of a node is, as it was made or as its handle says."""
    assert isinstance(node.op, leaf.Parameter)
    return bool(node.op.trainable if node.handle is None else node.handle.trainable)


@contextmanager
def parameters_held(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Lock parameters against updates by compiled functions."""
    guards = {p.guard.number: p.guard for p in parameters if p.guard is not None}
    with ExitStack() as stack:
        for _, guard in sorted(guards.items()):
            stack.enter_context(guard.hold())
        yield


def aligned_empty(type: TensorType) -> Array:
    """An uninitialised C-ordered array on a 64-byte boundary."""
    shape = tuple(int(s) for s in type.shape)  # type: ignore[arg-type]
    nbytes = int(np.prod(shape, dtype=np.int64)) * type.dtype.itemsize
    raw = np.empty(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes].view(type.dtype.numpy).reshape(shape)
