"""Statements that a group of threads runs together: a row of sixteen lanes, or a whole block.

All threads of the group run everything, but for stores, which the first thread makes, and loops
whose iterations are distributed: parallel ones, and those along lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from graphc.ir.loops.accumulators import is_direct, is_laned, updated
from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Check,
    Const,
    Expr,
    Let,
    Loop,
    Scratch,
    Stmt,
    Store,
    walk,
)
from graphc.ir.types import bool_, int32, int64, uint32
from graphc_cuda.device.program import (
    Assign,
    Barrier,
    DeviceArray,
    Literal,
    Op,
    Shuffle,
    Value,
    WarpBarrier,
)
from graphc_cuda.lower.hazards import (
    Hazards,
    accesses,
    has_lanes,
    is_distributable,
    perfect_nest,
    writes_memory,
)
from graphc_cuda.lower.running import Running, start
from graphc_cuda.lower.scalars import Scalar, as_index, held_as, index_of
from graphc_cuda.lower.serial import (
    iterate,
    name_values,
    serial,
    serial_block,
    simple,
    smaller,
    store,
)
from graphc_cuda.lower.writer import Placed, Writer

CHUNK = BLOCK * LANES  # elements whose values are staged together: one block of every lane
SHARED_BYTES = 48 * 1024

Stages = dict[Accumulator, list[DeviceArray | None]]
GlobalScratch = Callable[[Buffer, int], DeviceArray]


class Group:
    """`size` threads that work together; `thread` is the number of this one among them.

    A group of sixteen is half a warp, `mask` names its threads and `base` is the first one's
    number in the warp; a larger one is a whole block. `groups` of them stand in a block, this one
    is number `number`; scratch that does not fit in shared memory comes from `outside`.
    """

    def __init__(
        self, w: Writer, size: int, thread: Value, number: Scalar, groups: int,
        outside: GlobalScratch, slot: Scalar,
    ) -> None:  # fmt: skip
        self.w, self.size, self.groups = w, size, groups
        self.thread = index_of(thread, 0, size - 1)
        self.number, self.outside, self.slot = number, outside, slot
        self.hazards = Hazards(w.aliased)
        self.shared_left = SHARED_BYTES - 1024
        self.cells: dict[str, DeviceArray] = {}
        self.fed: dict[Accumulator, tuple[Expr, ...]] = {}
        self.mask: Value = Literal(uint32, 0xFFFF)
        self.base: Value = Literal(int32, 0, is_index=True)

    @property
    def is_block(self) -> bool:
        """Whether the group is a block, which meets at barriers."""
        return self.size > LANES

    # -- statements ---------------------------------------------------------------------

    def block(self, body: Sequence[Stmt]) -> None:
        """Statements, one after the other."""
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        """One statement."""
        match stmt:
            case Let() | Accumulate() | Check():
                self._wait(stmt, None)
                simple(self.w, stmt)
            case Store():
                self._wait(stmt, None)
                with self.w.when(self._is_first()):
                    store(self.w, stmt)
            case Scratch(buffer=buffer):
                self._scratch(buffer)
            case Loop():
                self._loop(stmt)

    def _is_first(self) -> Value:
        return Op(bool_, "eq", (self.thread.value, Literal(int32, 0, is_index=True)))

    def _wait(
        self, stmt: Stmt, nest: Sequence[tuple[Axis, int]] | None, alone: bool = False
    ) -> None:
        """Meet the other threads where the statement needs what they did."""
        found = accesses(stmt, nest, alone)
        if self.hazards.conflict(found):
            self.meet()
        self.hazards.note(found)

    def meet(self) -> None:
        """A barrier of the group."""
        self.w.add(Barrier() if self.is_block else WarpBarrier(self.mask))
        self.hazards.clear()

    def _loop(self, loop: Loop) -> None:
        if loop.kind == SEQUENTIAL and loop.lanes:
            self._lanes(loop)
        elif loop.kind != SEQUENTIAL and not has_lanes(loop):
            self._distribute(loop)
        elif loop.kind == SEQUENTIAL and not is_distributable(loop):
            self._serial(loop)
        else:
            self._together(loop)

    def _together(self, loop: Loop) -> None:
        """All threads run the loop, whose body is distributed."""
        for running in iterate(self.w, loop, as_index(0), 1, self._repeated):
            self._name(loop, running)

    def _repeated(self, w: Writer, body: Sequence[Stmt]) -> None:
        """A body of a loop: an iteration must not overtake the threads still in the one before."""
        self.block(body)
        for stmt in body:
            if writes_memory(stmt):
                self.meet()
                return

    def _serial(self, loop: Loop) -> None:
        """A loop of nothing to share: the first thread runs it alone where it stores."""
        if not writes_memory(loop):
            self._wait(loop, None)
            serial(self.w, loop)
            return
        if set(updated(loop)) != set(loop.accumulators):
            self._together(loop)  # every thread has the accumulator that it feeds
            return
        self._wait(loop, None, alone=True)
        results = [r for a in loop.accumulators for r in a.refs]
        if not results:
            with self.w.when(self._is_first()):
                serial(self.w, loop)
            return
        kept = [self.w.variable(r.name, held_as(r.dtype)) for r in results]
        for variable, ref in zip(kept, results):
            zero = self.w.emit.const(0, ref.dtype)
            self.w.add(Assign(variable, self.w.emit.wide(zero)))
        with self.w.when(self._is_first()):
            serial(self.w, loop)
            for variable, ref in zip(kept, results):
                self.w.add(Assign(variable, self.w.emit.wide(self.w.refs[ref.name])))
        for variable, ref in zip(kept, results):
            self.w.refs[ref.name] = self._from_first(ref.name, Scalar(variable, ref.dtype))

    # -- parallel loops -------------------------------------------------------------------

    def _distribute(self, loop: Loop) -> None:
        """The points of a nest, thread by thread."""
        w = self.w
        loops, body, lets = perfect_nest(loop, w.known.is_fixed)
        nest = [(each.axis, w.known.trips(each)) for each in loops]
        self._wait(loop, nest)
        alone = len(loops) == 1
        count = w.trips(loop) if alone else as_index(prod(n for _, n in nest))
        wish = loops[0].axis.name if len(loops) == 1 else "point"
        with w.loop(wish, self.thread, count, self.size) as point:
            decode(w, point, nest)
            serial_block(w, [*lets, *body])

    # -- lanes ---------------------------------------------------------------------------

    def _lanes(self, loop: Loop) -> None:
        """A reduction along lanes."""
        simple_form = all(is_direct(loop, a) for a in loop.accumulators)
        own = set(updated(loop)) == set(loop.accumulators)
        if not self.is_block:
            self._wait(loop, [(loop.axis, self.w.known.trips(loop))])
            for running in iterate(self.w, loop, self.thread, LANES, serial_block):
                self._name(loop, running)
            if not own:
                self._even_steps(loop)
        elif simple_form and own and self.w.known.trips(loop) > LANES:
            self._staged(loop)
        else:
            assert own, "lanes feed an accumulator of a loop around them"
            self._by_first_lanes(loop)

    def _even_steps(self, loop: Loop) -> None:
        """Lanes that had no element in the last step have taken it all the same."""
        count = self.w.known.trips(loop)
        assert self.w.known.is_fixed(loop)
        for accumulator in updated(loop):
            running = self.w.running.get(accumulator)
            if running is None or running.steps is None or count % LANES == 0:
                continue
            idle = Op(
                bool_, "le", (Literal(int32, count % LANES, is_index=True), self.thread.value)
            )
            one = Literal(int32, 1, is_index=True)
            with self.w.when(idle):
                more = Op(int32, "add", (running.steps, one), is_index=True)
                self.w.add(Assign(running.steps, more))

    def _by_first_lanes(self, loop: Loop) -> None:
        """The first sixteen threads of a block run a reduction."""
        w = self.w
        self._wait(loop, [])
        refs = [r for a in loop.accumulators for r in a.refs]
        shared = [self._cell(r.name, r.dtype) for r in refs]
        self._free_cells(shared)
        with w.when(self._is_lane()):
            runnings = iterate(w, loop, self.thread, LANES, serial_block)
            values = [v for r in runnings for v in self._tree(r)]
            with w.when(self._is_first()):
                for cell, value in zip(shared, values):
                    w.put(cell, as_index(0), value)
        self._read_cells(shared, refs)

    def _staged(self, loop: Loop) -> None:
        """All threads compute what is merged, chunk by chunk; sixteen threads merge it."""
        w = self.w
        self._wait(loop, [])
        runnings = [start(w, loop, a) for a in loop.accumulators]

        def merge() -> None:
            whole = w.trips(loop)
            with w.loop(f"{loop.axis.name}_chunk", as_index(0), whole, CHUNK) as begin:
                end = smaller(w.emit.add(begin, as_index(CHUNK)), whole)
                self.merge_chunk(loop, runnings, begin, end)

        self.merge_lanes(loop, runnings, merge, together=True)

    def merge_chunk(self, loop: Loop, runnings: list[Running], begin: Scalar, end: Scalar) -> None:
        """Merge the elements begin .. end of a loop, which are one block of every lane."""
        w, count = self.w, min(self.w.known.trips(loop), CHUNK)
        size = self._stage_size(loop, count)
        stages = {a: self._stage(a, size) for a in loop.accumulators}
        for running in runnings:
            if running.total:
                running.begin_block()
        if size >= count:
            self._merge_piece(loop, runnings, stages, begin, end)
        else:
            with w.loop(f"{loop.axis.name}_piece", begin, end, size) as first:
                last = w.assign("last", smaller(w.emit.add(first, as_index(size)), end))
                self._merge_piece(loop, runnings, stages, first, last)
        for running in runnings:
            if running.total:
                running.end_block()

    def _merge_piece(
        self, loop: Loop, runnings: list[Running], stages: Stages, begin: Scalar, end: Scalar
    ) -> None:
        """Compute as many elements as the stages hold, then merge them lane by lane."""
        w = self.w
        with w.loop(loop.axis.name, w.emit.add(begin, self.thread), end, self.size) as index:
            w.axes[loop.axis] = index
            slot = w.assign("slot", replace(w.emit.sub(index, begin), range=(0, CHUNK - 1)))
            self._fill(loop, stages, slot)
        w.add(Barrier())
        with w.when(self._is_lane()):
            count = replace(w.emit.sub(end, begin), range=(0, CHUNK))
            with w.loop("slot", self.thread, count, LANES) as slot:
                for running in runnings:
                    running.merge(self._staged_values(running, stages, slot))
        w.add(Barrier())

    def _fill(self, loop: Loop, stages: Stages, slot: Scalar) -> None:
        """The statements of one iteration, with what it accumulates put on the stage."""
        for stmt in loop.body:
            if not isinstance(stmt, Accumulate):
                serial(self.w, stmt)
                continue
            memo: dict[Expr, Scalar] = {}
            arrays = stages[stmt.accumulator]
            pairs = [(a, v) for a, v in zip(arrays, stmt.values) if a is not None]
            values = self.w.kept_all([self.w.evaluate(v, memo) for _, v in pairs])
            for (array, _), value in zip(pairs, values):
                assert array is not None
                self.w.put(array, slot, value)

    def _staged_values(self, running: Running, stages: Stages, slot: Scalar) -> tuple[Scalar, ...]:
        """What was accumulated at a place of the stage; literals were not put there."""
        w, values = self.w, self.fed[running.accumulator]
        arrays = stages[running.accumulator]
        return tuple(
            w.evaluate(v) if a is None else w.get(a, slot, v.dtype) for a, v in zip(arrays, values)
        )

    def _stage_size(self, loop: Loop, count: int) -> int:
        """How many elements fit on the stage, a multiple of the lanes."""
        nbytes = 0
        for accumulator in loop.accumulators:
            fed = _fed(loop, accumulator)
            self.fed[accumulator] = fed
            nbytes += sum(max(1, v.dtype.itemsize) for v in fed if not isinstance(v, Const))
        size = CHUNK
        while size > LANES and size * nbytes > max(self.shared_left, LANES * nbytes):
            size //= 2
        return min(size, -(-count // LANES) * LANES)

    def _stage(self, accumulator: Accumulator, size: int) -> list[DeviceArray | None]:
        """Shared memory for what a loop accumulates."""
        found: list[DeviceArray | None] = []
        for ref, value in zip(accumulator.refs, self.fed[accumulator]):
            if isinstance(value, Const):
                found.append(None)
                continue
            array = self.w.declare(f"{ref.name}_stage", value.dtype, size)
            self.shared_left -= array.nbytes
            found.append(array)
        return found

    def merge_lanes(
        self,
        loop: Loop,
        runnings: list[Running],
        merge: Callable[[], None],
        together: bool = False,
    ) -> None:
        """What sixteen lanes merge, added up and known to all threads.

        `merge` is run by these lanes alone, or by all threads together.
        """
        w = self.w
        refs = [r for a in loop.accumulators for r in a.refs]
        shared = [self._cell(r.name, r.dtype) for r in refs]
        self.meet()  # stages and cells are free again
        if together:
            merge()
        with w.when(self._is_lane()):
            if not together:
                merge()
            values = [v for r in runnings for v in self._tree(r)]
            with w.when(self._is_first()):
                for cell, value in zip(shared, values):
                    w.put(cell, as_index(0), value)
        self._read_cells(shared, refs)

    def _is_lane(self) -> Value:
        return Op(bool_, "lt", (self.thread.value, Literal(int32, LANES, is_index=True)))

    # -- results for all threads -----------------------------------------------------------

    def _name(self, loop: Loop, running: Running) -> None:
        """Name what an accumulator holds after its loop, the same in every thread."""
        if not is_laned(loop, running.accumulator):
            name_values(self.w, running, running.finish())
            return
        assert not self.is_block
        values = self._tree(running)
        names = [ref.name for ref in running.accumulator.refs]
        spread = [self._from_first(n, v) for n, v in zip(names, values)]
        name_values(self.w, running, spread)

    def _tree(self, running: Running) -> tuple[Scalar, ...]:
        """l + (l + 8), then + 4, + 2, + 1: right in lane 0."""
        values = running.finish()
        width = LANES // 2
        variables = running.total or running.current
        while width:
            lane = Op(int32, "add", (self.thread.value, Literal(int32, width, is_index=True)),
                      is_index=True)  # fmt: skip
            around = Op(int32, "mod", (lane, Literal(int32, LANES, is_index=True)), is_index=True)
            others = tuple(self._shuffled("other", v, around) for v in values)
            running.set(variables, running.joined(values, others))
            values = running.values(variables)
            width //= 2
        return values

    def _shuffled(self, wish: str, value: Scalar, lane: Value) -> Scalar:
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

    def _from_first(self, name: str, value: Scalar) -> Scalar:
        """What the first thread has, in all of them."""
        if not self.is_block:
            kept = self._shuffled(name, value, Literal(int32, 0, is_index=True))
            return self.w.assign(name, kept)
        cell = self._cell(name, value.dtype)
        self._free_cells([cell])
        with self.w.when(self._is_first()):
            self.w.put(cell, as_index(0), value)
        self.meet()
        return self._copied(name, cell, value)

    def _copied(self, name: str, cell: DeviceArray, like: Scalar) -> Scalar:
        """A variable with what a cell holds now."""
        found = self.w.get(cell, as_index(0), like.dtype)
        return self.w.assign(name, found)

    def _cell(self, name: str, dtype: object) -> DeviceArray:
        """Shared memory for one value; a name has one cell wherever it is used."""
        if name not in self.cells:
            self.cells[name] = self.w.declare(f"{name}_all", dtype, 1)  # type: ignore[arg-type]
        return self.cells[name]

    def _free_cells(self, cells: Sequence[DeviceArray]) -> None:
        """Wait until no thread reads what the cells held before."""
        if cells:
            self.meet()

    def _read_cells(self, cells: Sequence[DeviceArray], refs: Sequence[object]) -> None:
        self.meet()
        for cell, ref in zip(cells, refs):
            found = self.w.get(cell, as_index(0), ref.dtype)  # type: ignore[attr-defined]
            self.w.refs[ref.name] = self.w.assign(ref.name, found)  # type: ignore[attr-defined]

    # -- scratch --------------------------------------------------------------------------

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


def _fed(loop: Loop, accumulator: Accumulator) -> tuple[Expr, ...]:
    """What each iteration of a loop accumulates."""
    return next(
        s.values for s in loop.body if isinstance(s, Accumulate) and s.accumulator is accumulator
    )


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


def scratch_bytes(body: Sequence[Stmt], w: Writer) -> int:
    """Bytes of scratch in statements."""
    buffers = [s.buffer for s in walk(body) if isinstance(s, Scratch)]
    return sum(prod(w.shape(b)) * b.dtype.itemsize for b in buffers)
