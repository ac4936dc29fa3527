"""Lower scans along an axis: cumulative ops and linear recurrences.

An axis is walked once, the running value in a register; the other axes are parallel. A long
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
MIN_ROWS_WITHOUT_CHUNKS = 16  # in parallel: they keep vectors and threads busy
SCAN_GROUP_ELEMENTS = 8  # merged with each other before the running value joins in


def lower_cumulative(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """A running sum, product or extreme."""
    op = node.op
    assert isinstance(op, Cumulative)
    shape, axis = node.type.shape, op.axis
    others = product(s for i, s in enumerate(shape) if i != axis)
    if nominal(shape[axis]) > 2 * SCAN_CHUNK_ELEMENTS and nominal(others) < MIN_ROWS_WITHOUT_CHUNKS:
        _ChunkedScan(node, op, targets, builder).lower_chunks()
        return
    row = _RowScan(node, op, targets, builder)
    if axis == len(shape) - 1 and nominal(shape[axis]) >= 2 * SCAN_GROUP_ELEMENTS:
        at = open_loops(builder, shape[:-1])
        row.lower(at, builder.e.const(0, int64), builder.e.extent(shape[axis]), lambda x: x)
        close_loops(builder, at, shape[:-1], lanes=False)
        return

    def step(running: Expr, at: At) -> Expr:
        return row.merge(running, builder.at(node.inputs[0], at))

    _walk(node, axis, row.start, step, targets, builder)


class _RowScan:
    """A scan over one row, several neighbouring elements at a time.

    The elements of a group are merged with each other first: what the next group waits for is
    then one operation and not one for every element.
    """

    def __init__(
        self, node: Node, op: Cumulative, targets: tuple[Storage, ...], builder: KernelBuilder
    ) -> None:
        self.node, self.op, self.targets, self.builder = node, op, targets, builder
        self.start = op.combine().identities(node.type.dtype)[0]

    def merge(self, x: Expr, y: Expr) -> Expr:
        """x, then y."""
        return self.op.combine().merge(self.builder.e, (x,), (y,))[0]  # type: ignore[no-any-return]

    def lower(self, others: At, first: Expr, count: Expr, finish: Callable[[Expr], Expr]) -> None:
        """Elements first, first + 1, ... of the row at `others`; `finish` sees each result."""
        builder, e = self.builder, self.builder.e
        groups = e.over(count, SCAN_GROUP_ELEMENTS)
        running = CarriedValue(builder, self.node.type.dtype, self.start)
        g = e.index(Axis(builder.name("g")))
        builder.open()
        begin = e.add(first, e.times(g, SCAN_GROUP_ELEMENTS))
        partial = [self._element(others, begin)]
        for k in range(1, SCAN_GROUP_ELEMENTS):
            new = self.merge(partial[-1], self._element(others, e.plus(begin, k)))
            partial.append(builder.named(self.node, new))
        for k, value in enumerate(partial):
            self._store(others, e.plus(begin, k), finish(self.merge(running.ref, value)))
        running.set_next(self.merge(running.ref, partial[-1]))
        running.close(g, groups)
        rest = CarriedValue(builder, self.node.type.dtype, self.start)
        done = e.times(groups, SCAN_GROUP_ELEMENTS)
        i = e.index(Axis(builder.name("i")))
        builder.open()
        place = e.add(first, e.add(done, i))
        new = builder.named(self.node, self.merge(rest.ref, self._element(others, place)))
        rest.set_next(new)
        self._store(others, place, finish(self.merge(running.ref, new)))
        rest.close(i, e.sub(count, done))

    def _at(self, others: At, i: Expr) -> At:
        return (*others[: self.op.axis], i, *others[self.op.axis :])

    def _element(self, others: At, i: Expr) -> Expr:
        return self.builder.at(self.node.inputs[0], self._at(others, i))

    def _store(self, others: At, i: Expr, value: Expr) -> None:
        for storage in self.targets:
            self.builder.store(storage, self._at(others, i), value)


def lower_recurrence(node: Node, targets: tuple[Storage, ...], builder: KernelBuilder) -> None:
    """y_i = a_i y_(i-1) + b_i."""
    op = node.op
    assert isinstance(op, Recurrence)

    def step(running: Expr, at: At) -> Expr:
        factor, term = (builder.at(i, at) for i in node.inputs)
        if node.type.dtype.is_float:
            return builder.e.apply("fma", factor, running, term)
        return builder.e.add(builder.e.mul(factor, running), term)

    _walk(node, op.axis, 0, step, targets, builder)


def _walk(
    node: Node,
    axis: int,
    start: Any,
    step: Callable[[Expr, At], Expr],
    targets: tuple[Storage, ...],
    builder: KernelBuilder,
) -> None:
    """Loops over the other axes; inside them the axis in ascending order."""
    shape = node.type.shape
    others = open_loops(builder, (*shape[:axis], *shape[axis + 1 :]))
    i = builder.e.index(Axis(builder.name("i")))
    at = (*others[:axis], i, *others[axis:])
    running = CarriedValue(builder, node.type.dtype, start)
    builder.open()
    new = builder.named(node, step(running.ref, at))
    running.set_next(new)
    for storage in targets:
        builder.store(storage, at, new)
    running.close(i, builder.e.extent(shape[axis]))
    close_loops(builder, others, (*shape[:axis], *shape[axis + 1 :]), lanes=axis != len(shape) - 1)


class CarriedValue:
    """A loop-carried value of a sequential loop."""

    def __init__(
        self, builder: KernelBuilder, dtype: DType, start: Any, name: str = "running"
    ) -> None:
        self.builder = builder
        self.ref = Ref(dtype, builder.name(name))
        self.accumulator = Accumulator(carry(start), (self.ref,))

    def set_next(self, value: Expr) -> None:
        """Set the value of the next iteration."""
        self.builder.emit(Accumulate(self.accumulator, (value,)))

    def close(self, i: Expr, extent: Expr) -> None:
        """End the loop."""
        assert isinstance(i, Index)
        body = self.builder.close()
        self.builder.emit(Loop(i.axis, extent, SEQUENTIAL, body, (self.accumulator,)))


class _ChunkedScan(_RowScan):
    """A chunked scan: reduce each chunk, scan the results, then scan inside the chunks."""

    def __init__(
        self, node: Node, op: Cumulative, targets: tuple[Storage, ...], builder: KernelBuilder
    ) -> None:
        super().__init__(node, op, targets, builder)
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
        e = self.builder.e
        outside = open_loops(self.builder, (*self.others, self.chunks))
        first = e.times(outside[-1], SCAN_CHUNK_ELEMENTS)
        left, most = e.sub(e.extent(self.size), first), e.const(SCAN_CHUNK_ELEMENTS, int64)
        return outside, first, e.apply("select", e.apply("lt", left, most), left, most)

    def _close_chunk(self, outside: At) -> None:
        close_loops(self.builder, outside, (*self.others, self.chunks), lanes=False)

    def _each_chunk(self) -> None:
        """The chunk's result, by lanes."""
        builder, e = self.builder, self.builder.e
        outside, first, count = self._open_chunk()
        i = e.index(Axis(builder.name("i")))
        builder.open()
        x = self._element(outside[:-1], e.add(first, i))
        ref = Ref(x.dtype, builder.name("chunk"))
        accumulator = Accumulator(self.op.combine(), (ref,))
        builder.emit(Accumulate(accumulator, (x,)))
        body = builder.close()
        lanes = self.op.axis == self.node.type.ndim - 1
        assert isinstance(i, Index)
        builder.emit(Loop(i.axis, count, SEQUENTIAL, body, (accumulator,), lanes=lanes))
        builder.store(self.before, outside, ref)
        self._close_chunk(outside)

    def _prefix(self) -> None:
        """The running result of the chunks before each."""
        builder = self.builder
        outside = open_loops(builder, self.others)
        i = builder.e.index(Axis(builder.name("i")))
        running = CarriedValue(builder, self.node.type.dtype, self.start)
        builder.open()
        at = (*outside, i)
        own = load(builder, self.before, at)
        running.set_next(self.merge(running.ref, own))
        builder.store(self.before, at, running.ref)
        running.close(i, builder.e.extent(self.chunks))
        close_loops(builder, outside, self.others, lanes=False)

    def _elements(self) -> None:
        """The running result in the chunk, after what is before it."""
        outside, first, count = self._open_chunk()
        before = self.builder.named(self.node, load(self.builder, self.before, outside))
        self.lower(outside[:-1], first, count, lambda x: self.merge(before, x))
        self._close_chunk(outside)
