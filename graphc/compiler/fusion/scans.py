"""Lower scans along an axis: cumulative ops and linear recurrences.

An axis is walked once, the running value in a register; the other axes are side by side. A long
axis beside few others is cut into fixed chunks, whose results are found first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
from graphc.compiler.fusion.nests import close_loops, load, open_loops
from graphc.ir.dims import Size, ceildiv, nominal, product
from graphc.ir.graph import Node
from graphc.ir.loops.combine import carry
from graphc.ir.loops.ir import SEQUENTIAL, Accumulate, Accumulator, Axis, Expr, Index, Loop, Ref
from graphc.ir.ops.cumulative import Cumulative, Recurrence
from graphc.ir.schedule import TEMPORARY, Storage
from graphc.ir.types import DType, TensorType, int64

SCAN_CHUNK_ELEMENTS = 2048  # of a chunk of a long axis
MIN_ROWS_WITHOUT_CHUNKS = 16  # side by side: they keep vectors and threads busy
SCAN_GROUP_ELEMENTS = 8  # merged with each other before the running value joins in


def lower_cumulative(node: Node, targets: tuple[Storage, ...], values: KernelBuilder) -> None:
    """A running sum, product or extreme."""
    op = node.op
    assert isinstance(op, Cumulative)
    shape, axis = node.type.shape, op.axis
    others = product(s for i, s in enumerate(shape) if i != axis)
    if nominal(shape[axis]) > 2 * SCAN_CHUNK_ELEMENTS and nominal(others) < MIN_ROWS_WITHOUT_CHUNKS:
        _ChunkedScan(node, op, targets, values).lower_chunks()
        return
    row = _RowScan(node, op, targets, values)
    if axis == len(shape) - 1 and nominal(shape[axis]) >= 2 * SCAN_GROUP_ELEMENTS:
        at = open_loops(values, shape[:-1])
        row.lower(at, values.e.const(0, int64), values.e.extent(shape[axis]), lambda x: x)
        close_loops(values, at, shape[:-1], lanes=False)
        return

    def step(running: Expr, at: At) -> Expr:
        return row.merge(running, values.at(node.inputs[0], at))

    _walk(node, axis, row.start, step, targets, values)


class _RowScan:
    """A scan over one row, several neighbouring elements at a time.

    The elements of a group are merged with each other first: what the next group waits for is
    then one operation and not one for every element.
    """

    def __init__(
        self, node: Node, op: Cumulative, targets: tuple[Storage, ...], values: KernelBuilder
    ) -> None:
        self.node, self.op, self.targets, self.values = node, op, targets, values
        self.start = op.combine().identities(node.type.dtype)[0]

    def merge(self, x: Expr, y: Expr) -> Expr:
        """x, then y."""
        return self.op.combine().merge(self.values.e, (x,), (y,))[0]  # type: ignore[no-any-return]

    def lower(self, others: At, first: Expr, count: Expr, finish: Callable[[Expr], Expr]) -> None:
        """Elements first, first + 1, ... of the row at `others`; `finish` sees each result."""
        values, e = self.values, self.values.e
        groups = e.over(count, SCAN_GROUP_ELEMENTS)
        running = CarriedValue(values, self.node.type.dtype, self.start)
        g = e.index(Axis(values.name("g")))
        values.open()
        begin = e.add(first, e.times(g, SCAN_GROUP_ELEMENTS))
        partial = [self._element(others, begin)]
        for k in range(1, SCAN_GROUP_ELEMENTS):
            new = self.merge(partial[-1], self._element(others, e.plus(begin, k)))
            partial.append(values.named(self.node, new))
        for k, value in enumerate(partial):
            self._store(others, e.plus(begin, k), finish(self.merge(running.ref, value)))
        running.set_next(self.merge(running.ref, partial[-1]))
        running.close(g, groups)
        rest = CarriedValue(values, self.node.type.dtype, self.start)
        done = e.times(groups, SCAN_GROUP_ELEMENTS)
        i = e.index(Axis(values.name("i")))
        values.open()
        place = e.add(first, e.add(done, i))
        new = values.named(self.node, self.merge(rest.ref, self._element(others, place)))
        rest.set_next(new)
        self._store(others, place, finish(self.merge(running.ref, new)))
        rest.close(i, e.sub(count, done))

    def _at(self, others: At, i: Expr) -> At:
        return (*others[: self.op.axis], i, *others[self.op.axis :])

    def _element(self, others: At, i: Expr) -> Expr:
        return self.values.at(self.node.inputs[0], self._at(others, i))

    def _store(self, others: At, i: Expr, value: Expr) -> None:
        for storage in self.targets:
            self.values.store(storage, self._at(others, i), value)


def lower_recurrence(node: Node, targets: tuple[Storage, ...], values: KernelBuilder) -> None:
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
    values: KernelBuilder,
) -> None:
    """Loops over the other axes; inside them the axis in ascending order."""
    shape = node.type.shape
    others = open_loops(values, (*shape[:axis], *shape[axis + 1 :]))
    i = values.e.index(Axis(values.name("i")))
    at = (*others[:axis], i, *others[axis:])
    running = CarriedValue(values, node.type.dtype, start)
    values.open()
    new = values.named(node, step(running.ref, at))
    running.set_next(new)
    for storage in targets:
        values.store(storage, at, new)
    running.close(i, values.e.extent(shape[axis]))
    close_loops(values, others, (*shape[:axis], *shape[axis + 1 :]), lanes=axis != len(shape) - 1)


class CarriedValue:
    """A loop-carried value of a sequential loop."""

    def __init__(
        self, values: KernelBuilder, dtype: DType, start: Any, name: str = "running"
    ) -> None:
        self.values = values
        self.ref = Ref(dtype, values.name(name))
        self.accumulator = Accumulator(carry(start), (self.ref,))

    def set_next(self, value: Expr) -> None:
        """Set the value of the next iteration."""
        self.values.emit(Accumulate(self.accumulator, (value,)))

    def close(self, i: Expr, extent: Expr) -> None:
        """End the loop."""
        assert isinstance(i, Index)
        body = self.values.close()
        self.values.emit(Loop(i.axis, extent, SEQUENTIAL, body, (self.accumulator,)))


class _ChunkedScan(_RowScan):
    """A chunked scan: reduce each chunk, scan the results, then scan inside the chunks."""

    def __init__(
        self, node: Node, op: Cumulative, targets: tuple[Storage, ...], values: KernelBuilder
    ) -> None:
        super().__init__(node, op, targets, values)
        shape = node.type.shape
        self.size = shape[op.axis]
        self.others = (*shape[: op.axis], *shape[op.axis + 1 :])
        self.chunks: Size = ceildiv(self.size, SCAN_CHUNK_ELEMENTS)
        type = TensorType(node.type.dtype, (*self.others, self.chunks))
        self.before = Storage(f"{op.name}_before", type, TEMPORARY)

    def lower_chunks(self) -> None:
        """Emit the three nests."""
        self._each_chunk()
        self._prefix()
        self._elements()

    def _open_chunk(self) -> tuple[At, Expr, Expr]:
        """Loops over rows and chunks; the chunk's first element and its size."""
        e = self.values.e
        outside = open_loops(self.values, (*self.others, self.chunks))
        first = e.times(outside[-1], SCAN_CHUNK_ELEMENTS)
        left, most = e.sub(e.extent(self.size), first), e.const(SCAN_CHUNK_ELEMENTS, int64)
        return outside, first, e.apply("select", e.apply("lt", left, most), left, most)

    def _close_chunk(self, outside: At) -> None:
        close_loops(self.values, outside, (*self.others, self.chunks), lanes=False)

    def _each_chunk(self) -> None:
        """The chunk's result, by lanes."""
        values, e = self.values, self.values.e
        outside, first, count = self._open_chunk()
        i = e.index(Axis(values.name("i")))
        values.open()
        x = self._element(outside[:-1], e.add(first, i))
        ref = Ref(x.dtype, values.name("chunk"))
        accumulator = Accumulator(self.op.combine(), (ref,))
        values.emit(Accumulate(accumulator, (x,)))
        body = values.close()
        lanes = self.op.axis == self.node.type.ndim - 1
        assert isinstance(i, Index)
        values.emit(Loop(i.axis, count, SEQUENTIAL, body, (accumulator,), lanes=lanes))
        values.store(self.before, outside, ref)
        self._close_chunk(outside)

    def _prefix(self) -> None:
        """The running result of the chunks before each."""
        values = self.values
        outside = open_loops(values, self.others)
        i = values.e.index(Axis(values.name("i")))
        running = CarriedValue(values, self.node.type.dtype, self.start)
        values.open()
        at = (*outside, i)
        own = load(values, self.before, at)
        running.set_next(self.merge(running.ref, own))
        values.store(self.before, at, running.ref)
        running.close(i, values.e.extent(self.chunks))
        close_loops(values, outside, self.others, lanes=False)

    def _elements(self) -> None:
        """The running result in the chunk, after what is before it."""
        outside, first, count = self._open_chunk()
        before = self.values.named(self.node, load(self.values, self.before, outside))
        self.lower(outside[:-1], first, count, lambda x: self.merge(before, x))
        self._close_chunk(outside)
