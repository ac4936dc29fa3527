"""Lower large reductions in two kernels: fixed chunks in parallel, then their results.

The chunks are a function of the sizes alone, so the number of threads changes no bit. Where the
results lie next to each other (columns), a vector runs over several rows of them at once, and the
halves of what it has summed are merged with each other at the end of the chunk.
"""

from __future__ import annotations

from graphc.compiler.fusion.group import Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.rows import AXIS_NAMES, Lowering, RowKernel
from graphc.ir.dims import Size, ceildiv, nominal, product
from graphc.ir.graph import Node
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Axis,
    Buffer,
    Expr,
    Load,
    Loop,
    Scratch,
    Store,
)  # fmt: skip
from graphc.ir.ops.base import Reduce
from graphc.ir.schedule import TEMPORARY, Storage
from graphc.ir.types import TensorType, int64

SUM_CHUNK_ELEMENTS = 8192  # of a chunk; part of the order of summation
WIDE_COLUMNS = 128  # that keep the units busy: several rows make a step up to there
MAX_COLUMNS = 5 * WIDE_COLUMNS  # so many are taken at most, to fill the last vectors better
MIN_CHUNK_STEPS = 32  # of a chunk beside many columns

Results = dict[Node, tuple[Expr, ...]]


def nodes_inside(group: Group, grouping: Grouping) -> list[Node]:
    """The nodes that are computed in the chunks; the others follow the finished results."""
    inner = grouping.inner(group)
    return [n for n in group.nodes if not inner.isdisjoint(grouping.axes(n))]


def reduced_variables(group: Group, grouping: Grouping) -> tuple[int, ...]:
    """The variables that a group reduces, in the order of its first reduction."""
    inner = grouping.inner(group)
    first = next(n for n in nodes_inside(group, grouping) if isinstance(n.op, Reduce))
    return tuple(v for v in grouping.axes(first) if v is not None and v in inner)


class ChunkedReduction(RowKernel):
    """A group with few results, lowered as two kernels."""

    def __init__(
        self, group: Group, lowering: Lowering, builder: KernelBuilder, flat: bool
    ) -> None:
        super().__init__(group, lowering, builder, None)
        self.inside = nodes_inside(group, self.grouping)
        self.reduces = [n for n in self.inside if isinstance(n.op, Reduce)]
        self.variables = reduced_variables(group, self.grouping)
        self.partials: dict[Node, tuple[Storage, ...]] = {}
        if flat:
            self._flatten()
        order = self.grouping.orders.of(self.reduces[0])
        self.column = None if order.inside else self.lane
        self.outer = tuple(v for v in self.rows if v != self.column)
        columns: Size = 1 if self.column is None else self.size(self.column)
        self.joined = order.joined and not flat  # all reduced variables are one
        self.rows_per_step = (
            choose_rows_per_step(columns) if self.joined and self.column is not None else 1
        )
        chunked = len(self.variables) if self.joined else 1
        self.length = product(self.size(v) for v in self.variables[:chunked])
        rest = nominal(columns * product(self.size(v) for v in self.variables[chunked:]))
        steps = SUM_CHUNK_ELEMENTS // max(1, rest * self.rows_per_step)
        self.rows_per_chunk = (
            max(steps, 1 if self.column is None else MIN_CHUNK_STEPS) * self.rows_per_step
        )
        self.chunks = ceildiv(self.length, self.rows_per_chunk)

    def _flatten(self) -> None:
        total = product(self.grouping.sizes[v] for v in self.variables)
        v = self.grouping.variable(total)
        assert v is not None
        self.variables, self.flat = (v,), v

    def size(self, v: int) -> Size:
        """How far a variable runs."""
        return self.grouping.sizes[v]

    # -- chunks -----------------------------------------------------------------------

    def build_chunks(self) -> None:
        """Emit the kernel that reduces each chunk and stores what the group stores inside."""
        builder, e = self.builder, self.builder.e
        for v in self.outer:
            self._open(v)
        chunk = Axis("chunk")
        builder.open()
        start = e.times(e.index(chunk), self.rows_per_chunk)
        left = e.sub(e.extent(self.length), start)
        most = e.const(self.rows_per_chunk, int64)
        count = e.apply("select", e.apply("lt", left, most), left, most)
        at = (*(self.position[v] for v in self.outer), e.index(chunk))
        if self.column is None:
            self._store_parts(self._reduced(start, count, lanes=True), at)
        else:
            self._columns_of_chunk(start, count, at)
        builder.emit(Loop(chunk, e.extent(self.chunks), PARALLEL, builder.close()))
        for v in reversed(self.outer):
            self._close(v)

    def _store_parts(self, results: Results, at: tuple[Expr, ...]) -> None:
        lead = (*(self.size(v) for v in self.outer), self.chunks)
        shape = lead if self.column is None else (*lead, self.size(self.column))
        for node, parts in results.items():
            self.partials[node] = tuple(
                Storage(f"{node.op.name}_parts", TensorType(x.dtype, shape), TEMPORARY)
                for x in parts
            )
            for storage, x in zip(self.partials[node], parts):
                self.builder.store(storage, at, x)

    def _columns_of_chunk(self, start: Expr, count: Expr, at: tuple[Expr, ...]) -> None:
        """Reduce several rows at a time, and the rows that are left over by themselves."""
        e, v = self.builder.e, self.column
        assert v is not None
        kept: dict[Node, list[Buffer]] = {}
        if self.rows_per_step > 1:
            groups = e.over(count, self.rows_per_step)
            kept = self._reduce_in_columns(start, groups)
            done = e.times(groups, self.rows_per_step)
            start, count = e.add(start, done), e.sub(count, done)
        self._open(v)
        column = (self.position[v],)
        results: Results = {}
        if not self._leaves_none():
            results = self._reduced(start, count)
        for node, buffers in kept.items():
            whole = tuple(Load(b.dtype, b, column) for b in buffers)
            results[node] = self._merged(node, whole, results[node]) if node in results else whole
        self._store_parts(results, (*at, *column))
        self._close(v)

    def _leaves_none(self) -> bool:
        """Whether the rows of a step divide all chunks."""
        return (
            self.rows_per_step > 1
            and isinstance(self.length, int)
            and self.length % self.rows_per_step == 0
        )

    def _reduce_in_columns(self, start: Expr, steps: Expr) -> dict[Node, list[Buffer]]:
        """Reduce `rows_per_step` rows in each step; merge their results in columns of scratch."""
        builder, e, v = self.builder, self.builder.e, self.column
        assert v is not None
        columns, lane = self.size(v), Axis("lane")
        here = e.index(lane)
        builder.open()
        self.position[v] = e.modulo(here, columns)
        first = e.add(start, e.over(here, columns))
        scratch: dict[Node, list[Buffer]] = {}
        for node, parts in self._reduced(first, steps, apart=self.rows_per_step).items():
            name, shape = builder.name(f"{node.op.name}_sides"), (columns * self.rows_per_step,)
            scratch[node] = [Buffer(name, x.dtype, shape) for x in parts]
            for buffer, x in zip(scratch[node], parts):
                builder.emit(Store(buffer, (here,), x))
        body = builder.close()
        for buffers in scratch.values():
            for buffer in buffers:
                builder.emit(Scratch(buffer))
        builder.emit(Loop(lane, e.extent(columns * self.rows_per_step), PARALLEL, body, lanes=True))
        half = self.rows_per_step // 2
        while half:
            self._fold(scratch, columns * half)
            half //= 2
        return scratch

    def _fold(self, scratch: dict[Node, list[Buffer]], width: Size) -> None:
        """Merge the second half of what is left in scratch into the first one."""
        builder, e = self.builder, self.builder.e
        lane = Axis("lane")
        here = e.index(lane)
        there = e.add(here, e.extent(width))
        builder.open()
        for node, buffers in scratch.items():
            low = tuple(Load(b.dtype, b, (here,)) for b in buffers)
            high = tuple(Load(b.dtype, b, (there,)) for b in buffers)
            for buffer, x in zip(buffers, self._merged(node, low, high)):
                builder.emit(Store(buffer, (here,), x))
        builder.emit(Loop(lane, e.extent(width), PARALLEL, builder.close(), lanes=True))

    def _merged(self, node: Node, x: tuple[Expr, ...], y: tuple[Expr, ...]) -> tuple[Expr, ...]:
        assert isinstance(node.op, Reduce)
        merged = node.op.combine().merge(self.builder.e, x, y)
        return tuple(self.builder.named(node, z) for z in merged)

    def _reduced(self, first: Expr, count: Expr, apart: int = 1, lanes: bool = False) -> Results:
        """Reduce `count` steps from `first` on at a stride, and emit the stores among them."""
        builder, e = self.builder, self.builder.e
        loops = self.variables[:1] if self.joined else self.variables
        axes = [Axis(AXIS_NAMES[(len(self.axis) + k) % len(AXIS_NAMES)]) for k in range(len(loops))]
        for v, axis in zip(loops, axes):
            builder.open()
            self.position[v] = e.index(axis)
        step = e.add(first, e.times(e.index(axes[0]), apart))
        if self.joined:
            for v in reversed(self.variables[1:]):
                self.position[v], step = e.modulo(step, self.size(v)), e.over(step, self.size(v))
        self.position[self.variables[0]] = step
        results: Results = {}
        for node in self.inside:
            if isinstance(node.op, Reduce):
                results[node] = self._element(node)
            elif node in self.lowering.targets:
                self._element(node)
        for k in reversed(range(len(loops))):
            extent = e.extent(self.size(loops[k])) if k else count
            results = self._accumulate(axes[k], extent, results, lanes and k == len(loops) - 1)
        return results

    def _accumulate(self, axis: Axis, extent: Expr, fed: Results, lanes: bool) -> Results:
        accumulators = {n: self._accumulator(n, xs) for n, xs in fed.items()}
        for n, xs in fed.items():
            self.builder.emit(Accumulate(accumulators[n], xs))
        body = self.builder.close()
        every = tuple(accumulators.values())
        self.builder.emit(Loop(axis, extent, SEQUENTIAL, body, every, lanes=lanes))
        return {n: a.refs for n, a in accumulators.items()}

    # -- total ------------------------------------------------------------------------

    def build_total(self, builder: KernelBuilder) -> None:
        """Emit into another kernel the reduction of the chunks' results, and what follows it."""
        self.builder, self.flat, self.axis, self.position = builder, None, {}, {}
        e, axis = builder.e, Axis("chunk")
        rows = self.outer if self.column is None else (*self.outer, self.column)
        for v in rows:
            self._open(v)
        lead = tuple(self.position[v] for v in self.outer)
        builder.open()
        at = (*lead, e.index(axis), *(self.position[v] for v in rows[len(lead) :]))
        fed = {
            node: tuple(load(builder, s, at) for s in storages)
            for node, storages in self.partials.items()
        }
        results = self._accumulate(axis, e.extent(self.chunks), fed, lanes=self.column is None)
        for node, parts in results.items():
            self._finish(node, parts)
        inside = set(self.inside)
        for node in self.group.nodes:
            if node not in inside:
                self._row_value(node)
        for v in reversed(rows):
            self._close(v)


def choose_rows_per_step(columns: Size) -> int:
    """The number of rows per step: a power of two that fills vectors well."""
    rows = 1
    if not isinstance(columns, int) or columns >= WIDE_COLUMNS:
        return rows
    while rows * columns < WIDE_COLUMNS:
        rows *= 2
    while 2 * rows * columns <= MAX_COLUMNS and _wastes(rows * columns):
        rows *= 2
    return rows


def _wastes(columns: int) -> bool:
    """Whether more than an eighth of the last vectors would be empty."""
    return 8 * (-columns % WIDE_COLUMNS) > columns


def load(builder: KernelBuilder, storage: Storage, at: tuple[Expr, ...]) -> Expr:
    """Load an element of a storage that is no node's."""
    buffer = builder.buffer(storage)
    return Load(buffer.dtype, buffer, at)
