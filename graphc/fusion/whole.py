"""Lower a reduction of everything to a number: fixed chunks side by side, then their results.

The chunks are a function of the sizes alone, so the number of threads changes no bit.
"""

from __future__ import annotations

from graphc.dims import ceildiv, nominal, product
from graphc.fusion.group import Group
from graphc.fusion.grouping import Grouping
from graphc.fusion.rows import Lowering, RowKernel, stage_levels
from graphc.fusion.values import Values
from graphc.graph import Node
from graphc.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Expr,
    Loop,
    Ref,
)  # fmt: skip
from graphc.ops.base import Reduce
from graphc.schedule import TEMPORARY, Storage
from graphc.types import TensorType, int64

CHUNK = 8192  # elements of a chunk
SERIAL = 16384  # so few elements are not worth a second kernel


def is_whole(group: Group, grouping: Grouping) -> bool:
    """True for groups that reduce more than a few elements to numbers, in one pass."""
    inner = grouping.inner(group)
    if not inner or grouping.rows(group):
        return False
    levels = stage_levels(group, grouping)
    if any(levels[n] and runs(n, grouping) for n in group.nodes):
        return False  # runs over the elements again when the numbers are there
    return nominal(product(grouping.sizes[v] for v in inner)) > SERIAL


def runs(node: Node, grouping: Grouping) -> tuple[int, ...]:
    """The variables that a node runs over."""
    return tuple(v for v in grouping.axes(node) if v is not None)


def reduced_variables(group: Group, grouping: Grouping) -> tuple[int, ...]:
    """The variables that a group without rows reduces, in the order of its first reduction."""
    reduces = (n for n in group.nodes if isinstance(n.op, Reduce))
    return next(variables for n in reduces if (variables := runs(n, grouping)))


class WholeReduction(RowKernel):
    """A group without rows, lowered as two kernels."""

    def __init__(self, group: Group, lowering: Lowering, values: Values, flat: bool) -> None:
        super().__init__(group, lowering, values, None)
        self.reduces = [n for n in self.inside() if isinstance(n.op, Reduce)]
        self.variables = reduced_variables(group, self.grouping)
        self.partials: dict[Node, tuple[Storage, ...]] = {}
        if flat:
            self._flatten()
        first = self.variables[0]
        rest = nominal(product(self.size(v) for v in self.variables[1:]))
        self.rows_per_chunk = max(1, CHUNK // rest)
        self.chunks = ceildiv(self.size(first), self.rows_per_chunk)

    def _flatten(self) -> None:
        total = product(self.grouping.sizes[v] for v in self.variables)
        v = self.grouping.variable(total)
        assert v is not None
        self.variables, self.flat = (v,), v

    def inside(self) -> list[Node]:
        """The nodes that are computed in the chunks; the others follow the finished numbers."""
        return [n for n in self.group.nodes if runs(n, self.grouping)]

    def size(self, v: int) -> int:
        """How far a variable runs."""
        return self.grouping.sizes[v]  # type: ignore[return-value]

    def build_chunks(self) -> None:
        """Emit the kernel that reduces each chunk and stores what the group stores inside."""
        values, e = self.values, self.values.e
        chunk = Axis("chunk")
        values.open()
        start = e.times(e.index(chunk), self.rows_per_chunk)
        left = e.sub(e.extent(self.size(self.variables[0])), start)
        most = e.const(self.rows_per_chunk, int64)
        count = e.apply("select", e.apply("lt", left, most), left, most)
        results = self._loops_of_chunk(start, count)
        for node, refs in results.items():
            self.partials[node] = tuple(
                Storage(f"{node.op.name}_parts", TensorType(r.dtype, (self.chunks,)), TEMPORARY)
                for r in refs
            )
            for storage, ref in zip(self.partials[node], refs):
                values.store(storage, (e.index(chunk),), ref)
        values.emit(Loop(chunk, e.extent(self.chunks), PARALLEL, values.close()))

    def _loops_of_chunk(self, start: Expr, count: Expr) -> dict[Node, tuple[Expr, ...]]:
        values = self.values
        for k, v in enumerate(self.variables):
            self._open(v)
            if k == 0:
                self.position[v] = values.e.add(start, self.position[v])
        results: dict[Node, tuple[Expr, ...]] = {}
        for node in self.inside():
            if isinstance(node.op, Reduce):
                results[node] = self._element(node)
            elif node in self.lowering.targets:
                self._element(node)
        for k in reversed(range(len(self.variables))):
            v = self.variables[k]
            extent = count if k == 0 else values.e.extent(self.size(v))
            results = self._accumulate(v, extent, results, lanes=k == len(self.variables) - 1)
        return results

    def _accumulate(
        self, v: int, extent: Expr, fed: dict[Node, tuple[Expr, ...]], lanes: bool
    ) -> dict[Node, tuple[Expr, ...]]:
        accumulators = {n: self._accumulator(n, xs) for n, xs in fed.items()}
        for n, xs in fed.items():
            self.values.emit(Accumulate(accumulators[n], xs))
        body = self.values.close()
        every = tuple(accumulators.values())
        self.values.emit(Loop(self.axis[v], extent, SEQUENTIAL, body, every, lanes=lanes))
        return {n: a.refs for n, a in accumulators.items()}

    def build_total(self, values: Values) -> None:
        """Emit into another kernel the reduction of the chunks' results, and what follows it."""
        axis, e = Axis("chunk"), values.e
        values.open()
        at = (e.index(axis),)
        accumulators: dict[Node, Accumulator] = {}
        for node, storages in self.partials.items():
            fed = tuple(load(values, s, at) for s in storages)
            refs = tuple(Ref(x.dtype, values.name(node.op.name)) for x in fed)
            assert isinstance(node.op, Reduce)
            accumulators[node] = Accumulator(node.op.combine(), refs)
            values.emit(Accumulate(accumulators[node], fed))
        every = tuple(accumulators.values())
        body = values.close()
        values.emit(Loop(axis, e.extent(self.chunks), SEQUENTIAL, body, every, lanes=True))
        self.values, self.flat = values, None
        for node, accumulator in accumulators.items():
            self._finish(node, accumulator.refs)
        for node in self.group.nodes:
            if not runs(node, self.grouping):
                self._row_value(node)


def load(values: Values, storage: Storage, at: tuple[Expr, ...]) -> Expr:
    """Load an element of a storage that is no node's."""
    from graphc.loops.ir import Load

    buffer = values.buffer(storage)
    return Load(buffer.dtype, buffer, at)
