"""Threads that work together: where they meet, and how one tells the others what it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.loops.ir import LANES, Axis, Ref, Stmt
from graphc.ir.types import DType, bool_, int32, int64, uint32
from graphc_cuda.device.program import (
    Barrier,
    DeviceArray,
    Literal,
    Op,
    Shuffle,
    Value,
    WarpBarrier,
)
from graphc_cuda.lower.hazards import Hazards, accesses
from graphc_cuda.lower.scalar import Scalar, as_index, held_as, index_of
from graphc_cuda.lower.writer import Writer

SHARED_BYTES = 48 * 1024


class ThreadGroup:
    """`size` threads that work together; `thread` is the number of this one among them.

    A group of sixteen is half a warp: `mask` names its threads and `base` is the first one's
    number in the warp. A larger one is a whole block.
    """

    def __init__(self, w: Writer, size: int, thread: Value) -> None:
        self.w, self.size = w, size
        self.thread = index_of(thread, 0, size - 1)
        self.hazards = Hazards(w.aliased)
        self.shared_left = SHARED_BYTES - 1024
        self.cells: dict[str, DeviceArray] = {}
        self.mask: Value = Literal(uint32, 0xFFFF)
        self.base: Value = Literal(int32, 0, is_index=True)

    @property
    def is_block(self) -> bool:
        """Whether the group is a block, which meets at barriers."""
        return self.size > LANES

    def is_first(self) -> Value:
        return Op(bool_, "eq", (self.thread.value, Literal(int32, 0, is_index=True)))

    def wait(
        self, stmt: Stmt, nest: Sequence[tuple[Axis, int]] | None, alone: bool = False
    ) -> None:
        """Meet the other threads where the statement needs what they did."""
        found = accesses(stmt, nest, alone)
        if self.hazards.conflict(found):
            self.meet()
        self.hazards.note(found)

    def wait_for_all(self, stmt: Stmt) -> None:
        """The same for a statement in which any thread may touch any element."""
        found = [replace(a, pattern=None) for a in accesses(stmt, None, alone=False)]
        if self.hazards.conflict(found):
            self.meet()
        self.hazards.note(found)

    def meet(self) -> None:
        """A barrier of the group."""
        self.w.add(Barrier() if self.is_block else WarpBarrier(self.mask))
        self.hazards.clear()

    def shuffled(self, wish: str, value: Scalar, lane: Value) -> Scalar:
        """The value of another lane of the group."""
        w = self.w
        moved = value.value
        if value.dtype.bits < 32 or value.dtype == bool_:
            moved = Op(int32, "convert", (moved,))
        elif value.dtype.kind == "u":
            moved = Op(int32 if value.dtype.bits == 32 else int64, "bitcast", (moved,))
        else:
            moved = w.emit.wide(value)
        source = Op(int32, "add", (self.base, lane), is_index=True)
        variable = w.variable(wish, moved.dtype)
        w.add(Shuffle(variable, moved, source, self.mask))
        if value.dtype == bool_:
            return Scalar(Op(bool_, "ne", (variable, Literal(int32, 0))), bool_)
        held = held_as(value.dtype)
        if held.bits < 32:
            return Scalar(Op(held, "convert", (variable,)), value.dtype)
        if held.kind == "u":
            return Scalar(Op(held, "bitcast", (variable,)), value.dtype)
        return Scalar(variable, value.dtype)

    def from_first(self, name: str, value: Scalar) -> Scalar:
        """What the first thread has, in all of them."""
        if not self.is_block:
            kept = self.shuffled(name, value, Literal(int32, 0, is_index=True))
            return self.w.assign(name, kept)
        cell = self.cell(name, value.dtype)
        self.free_cells([cell])
        with self.w.when(self.is_first()):
            self.w.put(cell, as_index(0), value)
        self.meet()
        return self.w.assign(name, self.w.get(cell, as_index(0), value.dtype))

    def cell(self, name: str, dtype: DType, size: int = 1) -> DeviceArray:
        """Shared memory for a value; a name has one cell (or one for each thread) everywhere."""
        if name not in self.cells:
            self.cells[name] = self.w.declare(f"{name}_all", dtype, size)
            self.shared_left -= self.cells[name].nbytes if size > 1 else 0
        return self.cells[name]

    def free_cells(self, cells: Sequence[DeviceArray]) -> None:
        """Wait until no thread reads what the cells held before."""
        if cells:
            self.meet()

    def read_cells(self, cells: Sequence[DeviceArray], refs: Sequence[Ref]) -> None:
        """Name what the cells hold, once every thread may read it."""
        self.meet()
        for cell, ref in zip(cells, refs):
            found = self.w.get(cell, as_index(0), ref.dtype)
            self.w.refs[ref.name] = self.w.assign(ref.name, found)

    def is_lane(self) -> Value:
        """Whether this thread is one of the sixteen lanes."""
        return Op(bool_, "lt", (self.thread.value, Literal(int32, LANES, is_index=True)))
