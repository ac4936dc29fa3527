"""Statements that a group of threads runs together: a row of sixteen lanes, or a whole block.

All threads of the group run everything, but for stores, which the first thread makes, and loops
whose iterations are distributed: parallel ones, and those along lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from graphc.ir.loops.accumulators import updated
from graphc.ir.loops.ir import (
    LANES,
    SEQUENTIAL,
    Accumulate,
    Axis,
    Buffer,
    Check,
    Let,
    Loop,
    Scratch,
    Stmt,
    Store,
    walk,
)
from graphc.ir.types import uint32
from graphc_cuda.contract.find import TiledContraction
from graphc_cuda.contract.lower import emit_stage
from graphc_cuda.device.program import (
    Assign,
    DeviceArray,
    Literal,
    Op,
    Value,
)
from graphc_cuda.lower.hazards import (
    has_lanes,
    is_distributable,
    perfect_nest,
    writes_memory,
)
from graphc_cuda.lower.lanes import LaneGroup
from graphc_cuda.lower.scalar import Scalar, as_index, held_as
from graphc_cuda.lower.serial import (
    iterate,
    serial,
    serial_block,
    simple,
    store,
)
from graphc_cuda.lower.stages import STAGED_BYTES, Stages
from graphc_cuda.lower.writer import Placed, Writer

GlobalScratch = Callable[[Buffer, int], DeviceArray]


class Group(LaneGroup):
    """A group that runs statements of the loop level.

    `groups` of them stand in a block, this one is number `number` there and `slot` in the grid;
    scratch that does not fit in shared memory comes from `outside`.
    """

    def __init__(
        self, w: Writer, size: int, thread: Value, number: Scalar, groups: int,
        outside: GlobalScratch, slot: Scalar,
    ) -> None:  # fmt: skip
        super().__init__(w, size, thread)
        self.number, self.groups, self.outside, self.slot = number, groups, outside, slot
        self.stages: Stages | None = None

    def run_stages(self, stages: Stages) -> None:
        """Run contractions by tiles, and rows between them by sixteen threads each."""
        self.stages = stages
        self.shared_left = STAGED_BYTES - 1024 - stages.nbytes
        self.w.stages = {}

    def block(self, body: Sequence[Stmt]) -> None:
        """Statements, one after the other."""
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        """One statement."""
        match stmt:
            case Let() | Accumulate() | Check():
                self.wait(stmt, None)
                simple(self.w, stmt)
            case Store():
                self.wait(stmt, None)
                with self.w.when(self.is_first()):
                    store(self.w, stmt)
            case Scratch(buffer=buffer):
                self._scratch(buffer)
            case Loop():
                self._loop(stmt)

    def _loop(self, loop: Loop) -> None:
        if loop.kind == SEQUENTIAL and loop.lanes:
            self.reduce_lanes(loop)
        elif self.stages is not None and loop in self.stages.tiles:
            self._contract(loop, self.stages.tiles[loop])
        elif self.stages is not None and self._has_short_rows(loop):
            self._by_rows(loop)
        elif loop.kind != SEQUENTIAL and not has_lanes(loop):
            self._distribute(loop)
        elif loop.kind == SEQUENTIAL and not is_distributable(loop):
            self._serial(loop)
        else:
            self._together(loop)

    def _together(self, loop: Loop) -> None:
        """All threads run the loop, whose body is distributed."""
        known, before = self.w.known, list(self.hazards.pending)
        for running in iterate(self.w, loop, as_index(0), 1, self._repeated):
            self.name_results(loop, running)
        if not known.is_fixed(loop) or not known.trips(loop):
            self.hazards.keep(before)  # a loop of no iterations has no barriers

    def _repeated(self, w: Writer, body: Sequence[Stmt]) -> None:
        """A body of a loop: an iteration must not overtake the threads still in the one before."""
        self.block(body)
        if self.stages is not None and not self.hazards.pending:
            return  # all have just met
        for stmt in body:
            if writes_memory(stmt):
                self.meet()
                return

    def _serial(self, loop: Loop) -> None:
        """A loop of nothing to share: the first thread runs it alone where it stores."""
        if not writes_memory(loop):
            self.wait(loop, None)
            serial(self.w, loop)
            return
        if set(updated(loop)) != set(loop.accumulators):
            self._together(loop)  # every thread has the accumulator that it feeds
            return
        self.wait(loop, None, alone=True)
        results = [r for a in loop.accumulators for r in a.refs]
        if not results:
            with self.w.when(self.is_first()):
                serial(self.w, loop)
            return
        kept = [self.w.variable(r.name, held_as(r.dtype)) for r in results]
        for variable, ref in zip(kept, results):
            zero = self.w.emit.const(0, ref.dtype)
            self.w.add(Assign(variable, self.w.emit.wide(zero)))
        with self.w.when(self.is_first()):
            serial(self.w, loop)
            for variable, ref in zip(kept, results):
                self.w.add(Assign(variable, self.w.emit.wide(self.w.refs[ref.name])))
        for variable, ref in zip(kept, results):
            self.w.refs[ref.name] = self.from_first(ref.name, Scalar(variable, ref.dtype))

    def _contract(self, loop: Loop, found: TiledContraction) -> None:
        """A contraction, tile by tile."""
        self.wait_for_all(loop)
        emit_stage(self.w, found)
        if not found.kind:  # all have met behind the last results
            self.hazards.clear()

    def _has_short_rows(self, loop: Loop) -> bool:
        """Whether the iterations of a parallel loop are rows for sixteen threads each."""
        if loop.kind == SEQUENTIAL or any(isinstance(s, Scratch) for s in walk(loop.body)):
            return False
        _, body, _ = perfect_nest(loop, self.w.known.is_fixed)
        inner = [s for s in walk(body) if isinstance(s, Loop)]
        return has_lanes(loop) or any(each.kind != SEQUENTIAL for each in inner)

    def _by_rows(self, loop: Loop) -> None:
        """A row for every sixteen threads, then the next ones."""
        w, e, groups = self.w, self.w.emit, self.size // LANES
        loops, body, lets = perfect_nest(loop, w.known.is_fixed)
        nest = [(each.axis, w.known.trips(each)) for each in loops]
        most = prod(n for _, n in nest)
        self.wait_for_all(loop)
        count = e.mul(w.trips(loop), as_index(prod(n for _, n in nest[1:])))
        number, rows = self._group_of_lanes()
        with w.loop("turn", as_index(0), as_index(-(-most // groups)), 1) as turn:
            row = w.assign("row", e.add(e.mul(turn, as_index(groups)), number))
            with w.when(e.lt(row, count).value):
                decode(w, replace(row, range=(0, max(0, most - 1))), nest)
                rows.block([*lets, *body])

    def _group_of_lanes(self) -> tuple[Scalar, Group]:
        """The sixteen threads among which a thread of a block is, and their number."""
        w, e, lanes = self.w, self.w.emit, as_index(LANES)
        number = w.assign("group", e.div(self.thread, lanes))
        lane = w.assign("lane", e.rem(self.thread, lanes))
        group = Group(w, LANES, lane.value, number, self.size // LANES, self.outside, self.slot)
        group.name_lanes(number)
        return number, group

    def name_lanes(self, number: Scalar) -> None:
        """Say which half of a warp the group is."""
        w, e, lanes = self.w, self.w.emit, as_index(LANES)
        half = w.assign("half", e.mul(e.rem(number, as_index(2)), lanes))
        bits = Op(uint32, "convert", (half.value,))
        mask = w.assign("mask", Scalar(Op(uint32, "shl", (Literal(uint32, 0xFFFF), bits)), uint32))
        self.mask, self.base = mask.value, half.value

    def _distribute(self, loop: Loop) -> None:
        """The points of a nest, thread by thread."""
        w = self.w
        loops, body, lets = perfect_nest(loop, w.known.is_fixed)
        nest = [(each.axis, w.known.trips(each)) for each in loops]
        self.wait(loop, nest)
        count = w.emit.mul(w.trips(loop), as_index(prod(n for _, n in nest[1:])))
        wish = loops[0].axis.name if len(loops) == 1 else "point"
        with w.loop(wish, self.thread, count, self.size) as point:
            decode(w, point, nest)
            serial_block(w, [*lets, *body])

    def _scratch(self, buffer: Buffer) -> None:
        """Memory of the group: shared where it fits, else global."""
        w = self.w
        shape = w.shape(buffer)
        size = max(1, prod(shape))
        nbytes = size * max(1, buffer.dtype.itemsize) * self.groups
        if nbytes <= self.shared_left:
            self.shared_left -= nbytes
            array = w.declare(buffer.name, buffer.dtype, size * self.groups)
            start_at = w.emit.mul(self.number, as_index(size))
        else:
            array = self.outside(buffer, size)
            start_at = w.emit.mul(self.slot, as_index(size))
        begin = (
            None
            if self.groups == 1 and array.space == "shared"
            else w.assign(f"{buffer.name}_start", start_at)
        )
        w.arrays[buffer] = Placed(array, shape, begin)


def decode(w: Writer, point: Scalar, nest: Sequence[tuple[Axis, int]]) -> None:
    """The value of every axis of a nest at a point of it."""
    rest = point
    for number, (axis, extent) in reversed(list(enumerate(nest))):
        if number == 0:
            w.axes[axis] = w.assign(axis.name, rest)
            continue
        found = w.emit.rem(rest, as_index(extent))
        w.axes[axis] = w.assign(axis.name, found)
        wish = nest[0][0].name if number == 1 else "rest"
        rest = w.assign(wish, w.emit.div(rest, as_index(extent)))
