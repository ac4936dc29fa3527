"""Lower what runs along an axis in order: running sums and the like, recurrences.

An axis is walked once, the running value in a register; the other axes are side by side. A long
axis beside few others is cut into fixed chunks, whose results are found first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.dims import Size, ceildiv, product
from graphc.fusion.materialise import nominal
from graphc.fusion.nests import close_loops, load, open_loops
from graphc.fusion.values import At, Values
from graphc.graph import Node
from graphc.loops.combine import carry
from graphc.loops.ir import SEQUENTIAL, Accumulate, Accumulator, Axis, Expr, Index, Loop, Ref
from graphc.ops.cumulative import Cumulative, Recurrence
from graphc.schedule import TEMPORARY, Storage
from graphc.types import DType, TensorType, int64

CHUNK = 2048  # elements of a chunk
ENOUGH = 64  # rows side by side that keep all threads busy without chunks


def lower_cumulative(node: Node, targets: tuple[Storage, ...], values: Values) -> None:
    """A running sum, product or extreme."""
    op = node.op
    assert isinstance(op, Cumulative)
    size = node.type.shape[op.axis]
    others = product(s for i, s in enumerate(node.type.shape) if i != op.axis)
    if nominal(size) > 2 * CHUNK and nominal(others) < ENOUGH:
        _Chunks(node, op, targets, values).lower()
        return

    def step(running: Expr, at: At) -> Expr:
        x = values.at(node.inputs[0], at)
        return op.combine().merge(values.e, (running,), (x,))[0]  # type: ignore[no-any-return]

    start = op.combine().identities(node.type.dtype)[0]
    _walk(node, op.axis, start, step, targets, values)


def lower_recurrence(node: Node, targets: tuple[Storage, ...], values: Values) -> None:
    """y_i = a_i y_(i-1) + b_i."""
    op = node.op
    assert isinstance(op, Recurrence)

    def step(running: Expr, at: At) -> Expr:
        factor, term = (values.at(i, at) for i in node.inputs)
        if node.type.dtype.is_float:
            return values.e.apply("fma", factor, running, term)
        return values.e.add(values.e.mul(factor, running), term)

    _walk(node, op.axis, 0, step, targets, values)


def _walk(
    node: Node,
    axis: int,
    start: Any,
    step: Callable[[Expr, At], Expr],
    targets: tuple[Storage, ...],
    values: Values,
) -> None:
    """Loops over the other axes; inside them the axis in ascending order."""
    shape = node.type.shape
    others = open_loops(values, (*shape[:axis], *shape[axis + 1 :]))
    i = values.e.index(Axis(values.name("i")))
    at = (*others[:axis], i, *others[axis:])
    running = Running(values, node.type.dtype, start)
    values.open()
    new = values.named(node, step(running.ref, at))
    running.hand_on(new)
    for storage in targets:
        values.store(storage, at, new)
    running.close(i, values.e.extent(shape[axis]))
    close_loops(values, others, (*shape[:axis], *shape[axis + 1 :]), lanes=axis != len(shape) - 1)


class Running:
    """A value that a sequential loop hands on."""

    def __init__(self, values: Values, dtype: DType, start: Any, name: str = "running") -> None:
        self.values = values
        self.ref = Ref(dtype, values.name(name))
        self.accumulator = Accumulator(carry(start), (self.ref,))

    def hand_on(self, value: Expr) -> None:
        """Give the next iteration its value."""
        self.values.emit(Accumulate(self.accumulator, (value,)))

    def close(self, i: Expr, extent: Expr) -> None:
        """End the loop."""
        assert isinstance(i, Index)
        body = self.values.close()
        self.values.emit(Loop(i.axis, extent, SEQUENTIAL, body, (self.accumulator,)))


class _Chunks:
    """A long axis: what each chunk comes to; what is before each; then every element."""

    def __init__(
        self, node: Node, op: Cumulative, targets: tuple[Storage, ...], values: Values
    ) -> None:
        self.node, self.op, self.targets, self.values = node, op, targets, values
        shape = node.type.shape
        self.size = shape[op.axis]
        self.others = (*shape[: op.axis], *shape[op.axis + 1 :])
        self.chunks: Size = ceildiv(self.size, CHUNK)
        type = TensorType(node.type.dtype, (*self.others, self.chunks))
        self.before = Storage(f"{op.name}_before", type, TEMPORARY)
        self.start = op.combine().identities(node.type.dtype)[0]

    def lower(self) -> None:
        """Emit the three nests."""
        self._each_chunk()
        self._prefix()
        self._elements()

    def merge(self, x: Expr, y: Expr) -> Expr:
        """x, then y."""
        return self.op.combine().merge(self.values.e, (x,), (y,))[0]  # type: ignore[no-any-return]

    def _open_chunk(self) -> tuple[At, Expr, Expr, At]:
        """Loops over rows and chunks and in a chunk; also its extent and the element's index."""
        values, e = self.values, self.values.e
        outside = open_loops(values, (*self.others, self.chunks))
        first = e.times(outside[-1], CHUNK)
        left, most = e.sub(e.extent(self.size), first), e.const(CHUNK, int64)
        count = e.apply("select", e.apply("lt", left, most), left, most)
        i = e.index(Axis(values.name("i")))
        values.open()
        axis = self.op.axis
        at = (*outside[:axis], e.add(first, i), *outside[axis:-1])
        return outside, count, i, at

    def _each_chunk(self) -> None:
        """The chunk's result, by lanes."""
        values = self.values
        outside, count, i, at = self._open_chunk()
        x = values.at(self.node.inputs[0], at)
        ref = Ref(x.dtype, values.name("chunk"))
        accumulator = Accumulator(self.op.combine(), (ref,))
        values.emit(Accumulate(accumulator, (x,)))
        body = values.close()
        lanes = self.op.axis == self.node.type.ndim - 1
        assert isinstance(i, Index)
        values.emit(Loop(i.axis, count, SEQUENTIAL, body, (accumulator,), lanes=lanes))
        values.store(self.before, outside, ref)
        close_loops(values, outside, (*self.others, self.chunks), lanes=False)

    def _prefix(self) -> None:
        """The running result of the chunks before each."""
        values = self.values
        outside = open_loops(values, self.others)
        i = values.e.index(Axis(values.name("i")))
        running = Running(values, self.node.type.dtype, self.start)
        values.open()
        at = (*outside, i)
        own = load(values, self.before, at)
        running.hand_on(self.merge(running.ref, own))
        values.store(self.before, at, running.ref)
        running.close(i, values.e.extent(self.chunks))
        close_loops(values, outside, self.others, lanes=False)

    def _elements(self) -> None:
        """The running result in the chunk, after what is before it."""
        values = self.values
        outside, count, i, at = self._open_chunk()
        running = Running(values, self.node.type.dtype, self.start)
        x = values.at(self.node.inputs[0], at)
        new = values.named(self.node, self.merge(running.ref, x))
        running.hand_on(new)
        whole = self.merge(load(values, self.before, outside), new)
        for storage in self.targets:
            values.store(storage, at, whole)
        running.close(i, count)
        close_loops(values, outside, (*self.others, self.chunks), lanes=False)
