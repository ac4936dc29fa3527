"""Neighbours along the innermost axis by one thread, read and written together.

What does not depend on the axis is computed once for all of them. Every neighbour has the bits
that it would have alone.

Cost: accesses of up to 16 bytes instead of one for each element, and index arithmetic for every
second to eighth one: bytes / 4.8 TB/s is what is left.

There is no loop over the grid, with as many blocks as are resident: it could save what a thread
does in front of its first load, and the start of blocks. At four elements a thread all instructions
take 0.1 to 0.5 of the time of their bytes (`tests/benchmarks/gpu_instructions.py`), so fewer win
nothing. And the 2,048 threads of a multiprocessor have 32 KB under way with one load of 16 bytes
each, 28 KB while one of eight blocks is replaced; its share of the bandwidth, 36 GB/s, times an
assumed latency of 0.6 us is 22 KB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd, prod

from graphc.ir.dims import evaluate
from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Check,
    Expr,
    Index,
    Let,
    Load,
    Loop,
    Ref,
    Stmt,
    Store,
    expressions,
    exprs_in,
    operands,
    walk_exprs,
    walk_new,
)
from graphc.ir.types import bool_
from graphc_cuda.device.program import Assign, DeviceArray, Intrinsic, Literal, Op, Value, Variable
from graphc_cuda.lower.scalar import Scalar, as_index
from graphc_cuda.lower.serial import simple
from graphc_cuda.lower.sizes import Sizes
from graphc_cuda.lower.writer import Writer

MIN_POINTS = 132 * 2048  # that keep all multiprocessors busy four at a time
MAX_OPERATIONS = 100  # of a body that is written once for each neighbour
VECTOR_BYTES = 16
WIDTHS = (8, 4, 2)  # eight where no element takes more than two bytes


# ------------------------------------------------------------------ the decision


def vector_width(loops: Sequence[Loop], body: Sequence[Stmt], sizes: Sizes) -> int:
    """How many neighbours a thread takes: 8, 4, 2, or 1 where that is all that it can."""
    stores = [s for s in body if isinstance(s, Store)]
    if not stores or any(s.where is not None for s in stores):
        return 1
    if any(not isinstance(s, (Let, Check, Store)) for s in body):
        return 1
    operations = sum(isinstance(e, Apply) for e in exprs_in(body))
    extent, points = sizes.trips(loops[-1]), prod(sizes.trips(each) for each in loops)
    if operations > MAX_OPERATIONS or points < MIN_POINTS:
        return 1
    neighbours = Neighbours(loops[-1].axis, body)
    for width in WIDTHS:
        share = max(1, width // 4)
        is_small = operations * share <= MAX_OPERATIONS and points >= share * MIN_POINTS
        if is_small and extent % width == 0 and neighbours.fit(width, sizes):
            return width
    return 1


class Neighbours:
    """What in a body depends on an axis."""

    def __init__(self, axis: Axis, body: Sequence[Stmt]) -> None:
        self.axis, self.body = axis, body
        self.named: set[str] = set()
        known: dict[Expr, bool] = {}
        for stmt in body:
            for root in expressions(stmt):
                for expr in walk_new(root, known.__contains__):
                    known[expr] = self._varies(expr, known)
            if isinstance(stmt, Let) and known[stmt.value]:
                self.named.add(stmt.ref.name)
        self.varying = {expr for expr, varies in known.items() if varies}

    def _varies(self, expr: Expr, known: Mapping[Expr, bool]) -> bool:
        if isinstance(expr, Index):
            return expr.axis is self.axis
        if isinstance(expr, Ref):
            return expr.name in self.named
        return any(known[x] for x in operands(expr))

    def fit(self, width: int, sizes: Sizes) -> bool:
        """Whether all that is stored, and all that varies and is read, are aligned neighbours."""
        stores = [s for s in self.body if isinstance(s, Store)]
        loads = [e for e in exprs_in(self.body) if isinstance(e, Load) and e in self.varying]
        if not all(self.are_neighbours(s.buffer, s.index, width, sizes) for s in stores):
            return False
        if any(e.where in self.varying for e in loads):
            return False
        return all(self.are_neighbours(e.buffer, e.index, width, sizes) for e in loads)

    def are_neighbours(
        self, buffer: Buffer, at: tuple[Expr, ...], width: int, sizes: Sizes
    ) -> bool:
        """Whether an access moves by one element with the axis, from an aligned one on."""
        offset = flat_offset(buffer, at)
        if any(e in self.varying for _, e in offset.others):
            return False
        axes = {axis: evaluate(c, sizes.dims) for axis, c in offset.axes.items()}
        if axes.pop(self.axis, 0) != 1:
            return False
        others = [
            evaluate(c, sizes.dims) for c in (offset.constant, *(c for c, _ in offset.others))
        ]
        nbytes = max(1, buffer.dtype.itemsize) * width
        steps = (width, sizes.elements(buffer), *axes.values(), *others)
        return nbytes <= VECTOR_BYTES and gcd(*steps) == width


# ------------------------------------------------------------------ writing


class VectorBody:
    """Writes a body for `width` neighbours; the axis has the value of the first one."""

    def __init__(self, w: Writer, axis: Axis, body: Sequence[Stmt], width: int) -> None:
        self.w, self.axis, self.body, self.width = w, axis, body, width
        self.neighbours = Neighbours(axis, body)
        self.first = w.axes[axis]
        self.at = [w.emit.add(self.first, as_index(i)) for i in range(width)]
        self.refs: list[dict[str, Scalar]] = [{} for _ in range(width)]

    def write(self) -> None:
        """All statements, each for all neighbours."""
        for stmt in self.body:
            if isinstance(stmt, Store):
                self._store(stmt)
            elif any(e in self.neighbours.varying for e in expressions(stmt)):
                self._each(stmt)
            else:
                assert isinstance(stmt, (Let, Check))
                simple(self.w, stmt)
        self.w.axes[self.axis] = self.first

    def _each(self, stmt: Stmt) -> None:
        (expr,) = expressions(stmt)
        for lane, value in enumerate(self._values(expr)):
            if isinstance(stmt, Let):
                self.refs[lane][stmt.ref.name] = self.w.assign(stmt.ref.name, value)
            else:
                assert isinstance(stmt, Check)
                self.w.check(value, stmt.code)

    def _values(self, expr: Expr) -> list[Scalar]:
        """The values of an expression for all neighbours."""
        shared = self._shared(expr)
        memos = [dict(shared) for _ in range(self.width)]
        for load in walk_exprs((expr,), self._varying_operands):
            if isinstance(load, Load) and load in self.neighbours.varying:
                for memo, value in zip(memos, self._load(load, shared)):
                    memo[load] = value
        found = []
        for lane, memo in enumerate(memos):
            self._be(lane)
            found.append(self.w.evaluate(expr, memo))
        self._be(0)
        return found

    def _be(self, lane: int) -> None:
        """Let the axis and the refs be those of a neighbour."""
        self.w.axes[self.axis] = self.at[lane]
        self.w.refs.update(self.refs[lane])

    def _varying_operands(self, expr: Expr) -> Sequence[Expr]:
        """What is computed for each neighbour, beside the places of loads."""
        return () if isinstance(expr, Load) else operands(expr)

    def _shared(self, expr: Expr) -> dict[Expr, Scalar]:
        """The values that all neighbours have in common, named."""
        memo: dict[Expr, Scalar] = {}
        varying = self.neighbours.varying
        kept: dict[Expr, Scalar] = {}
        for each in walk_exprs((expr,), lambda x: operands(x) if x in varying else ()):
            if each not in varying and isinstance(each, (Apply, Load)):
                kept[each] = self.w.assign("common", self.w.evaluate(each, memo))
        return kept

    def _load(self, load: Load, shared: Mapping[Expr, Scalar]) -> list[Scalar]:
        """Neighbours in memory."""
        w, memo = self.w, dict(shared)
        array = w.arrays[load.buffer].array
        results = tuple(w.variable(load.buffer.name, array.dtype) for _ in range(self.width))
        where = None if load.where is None else w.kept(w.evaluate(load.where, memo))
        if where is not None:
            for result in results:
                w.add(Assign(result, Literal(array.dtype, 0)))
            with w.when(where.value):
                self._read(load, array, results, memo)
        else:
            self._read(load, array, results, memo)
        if load.dtype == bool_:
            zero = Literal(array.dtype, 0)
            return [Scalar(Op(bool_, "ne", (r, zero)), bool_) for r in results]
        return [Scalar(r, load.dtype) for r in results]

    def _read(
        self,
        load: Load,
        array: DeviceArray,
        results: tuple[Variable, ...],
        memo: dict[Expr, Scalar],
    ) -> None:
        self._be(0)
        place = self.w.place(load.buffer, [self.w.evaluate(i, memo) for i in load.index])
        at = self.w.kept(place)
        self.w.add(Intrinsic(results, "load_vector", (array, at.value)))

    def _store(self, stmt: Store) -> None:
        w = self.w
        values = self._values(stmt.value)
        self._be(0)
        place = w.place(stmt.buffer, [w.evaluate(i) for i in stmt.index])
        at, *kept = w.kept_all([place, *values])
        array = w.arrays[stmt.buffer].array
        held = [self._held(array, v) for v in kept]
        w.add(Intrinsic((), "store_vector", (array, at.value, *held)))
        w.written.add(array)

    def _held(self, array: DeviceArray, value: Scalar) -> Value:
        wide = self.w.emit.wide(value)
        return Op(array.dtype, "convert", (wide,)) if value.dtype == bool_ else wide
