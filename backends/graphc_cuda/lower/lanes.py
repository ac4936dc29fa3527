"""Reductions along lanes: each of sixteen threads merges every sixteenth element.

A group of sixteen does just that. In a block all threads compute what is merged and put it on a
stage in shared memory, and sixteen of them merge it: the order of the merges stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.ir.loops.accumulators import is_blocked, is_direct, is_laned, updated
from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    Accumulate,
    Accumulator,
    Const,
    Expr,
    Loop,
)
from graphc.ir.types import bool_, int32
from graphc_cuda.device.program import (
    Assign,
    Barrier,
    DeviceArray,
    Literal,
    Op,
    Value,
)
from graphc_cuda.lower.running import Running, start
from graphc_cuda.lower.scalar import Scalar, as_index
from graphc_cuda.lower.serial import (
    iterate,
    name_values,
    serial,
    serial_block,
    smaller,
)
from graphc_cuda.lower.threads import ThreadGroup
from graphc_cuda.lower.writer import Writer

CHUNK = BLOCK * LANES  # elements whose values are staged together: one block of every lane

Stages = dict[Accumulator, list[DeviceArray | None]]


class LaneGroup(ThreadGroup):
    """A group of threads that runs reductions along lanes."""

    def __init__(self, w: Writer, size: int, thread: Value) -> None:
        super().__init__(w, size, thread)
        self.fed: dict[Accumulator, tuple[Expr, ...]] = {}

    def reduce_lanes(self, loop: Loop) -> None:
        """A reduction along lanes."""
        simple_form = all(is_direct(loop, a) for a in loop.accumulators)
        own = set(updated(loop)) == set(loop.accumulators)
        if not self.is_block:
            self.wait(loop, [(loop.axis, self.w.known.trips(loop))])
            for running in iterate(self.w, loop, self.thread, LANES, serial_block):
                self.name_results(loop, running)
            if not own:
                self._even_steps(loop)
        elif simple_form and own and self.w.known.trips(loop) > LANES:
            alike = all(is_order_free(a) for a in loop.accumulators)
            self._in_any_order(loop) if alike else self._staged(loop)
        else:
            assert own, "lanes feed an accumulator of a loop around them"
            self._by_first_lanes(loop)

    def _even_steps(self, loop: Loop) -> None:
        """Lanes that had no element in the last step have taken it all the same."""
        count = self.w.known.trips(loop)
        assert self.w.known.is_fixed(loop)
        for accumulator in updated(loop):
            running = self.w.running.get(accumulator)
            if not isinstance(running, Running) or running.steps is None or count % LANES == 0:
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
        self.wait(loop, [])
        refs = [r for a in loop.accumulators for r in a.refs]
        shared = [self.cell(r.name, r.dtype) for r in refs]
        self.free_cells(shared)
        with w.when(self.is_lane()):
            runnings = iterate(w, loop, self.thread, LANES, serial_block)
            values = [v for r in runnings for v in self._tree(r)]
            with w.when(self.is_first()):
                for cell, value in zip(shared, values):
                    w.put(cell, as_index(0), value)
        self.read_cells(shared, refs)

    def _in_any_order(self, loop: Loop) -> None:
        """Each thread merges elements of its own; then the threads are merged."""
        w = self.w
        self.wait(loop, [(loop.axis, w.known.trips(loop))])
        runnings = iterate(w, loop, self.thread, self.size, serial_block)
        refs = [r for a in loop.accumulators for r in a.refs]
        each = {r.name: self.cell(r.name, r.dtype, self.size) for r in refs}
        self.meet()  # the cells are free again
        for running in runnings:
            names = [ref.name for ref in running.accumulator.refs]
            for name, value in zip(names, running.values(running.current)):
                w.put(each[name], self.thread, value)
        self.meet()
        with w.when(self.is_lane()):
            first = w.emit.add(self.thread, as_index(LANES))
            with w.loop("other", first, as_index(self.size), LANES) as other:
                for running in runnings:
                    others = [w.get(each[r.name], other, r.dtype) for r in running.accumulator.refs]
                    running.merge(tuple(others))
            values = [v for r in runnings for v in self._tree(r)]
            with w.when(self.is_first()):
                for ref, value in zip(refs, values):
                    w.put(each[ref.name], as_index(0), value)
        self.read_cells([each[r.name] for r in refs], refs)

    def _staged(self, loop: Loop) -> None:
        """All threads compute what is merged, chunk by chunk; sixteen threads merge it."""
        w = self.w
        self.wait(loop, [])
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
        with w.when(self.is_lane()):
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
        shared = [self.cell(r.name, r.dtype) for r in refs]
        self.meet()  # stages and cells are free again
        if together:
            merge()
        with w.when(self.is_lane()):
            if not together:
                merge()
            values = [v for r in runnings for v in self._tree(r)]
            with w.when(self.is_first()):
                for cell, value in zip(shared, values):
                    w.put(cell, as_index(0), value)
        self.read_cells(shared, refs)

    def name_results(self, loop: Loop, running: Running) -> None:
        """Name what an accumulator holds after its loop, the same in every thread."""
        if not is_laned(loop, running.accumulator):
            name_values(self.w, running, running.finish())
            return
        assert not self.is_block
        values = self._tree(running)
        names = [ref.name for ref in running.accumulator.refs]
        spread = [self.from_first(n, v) for n, v in zip(names, values)]
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
            others = tuple(self.shuffled("other", v, around) for v in values)
            running.set(variables, running.joined(values, others))
            values = running.values(variables)
            width //= 2
        return values


def is_order_free(accumulator: Accumulator) -> bool:
    """Whether merging in any order gives the same bits."""
    floats = any(r.dtype.is_float for r in accumulator.refs)
    if accumulator.combine.carried or (floats and accumulator.combine.name == "dot"):
        return False
    return not is_blocked(accumulator)


def _fed(loop: Loop, accumulator: Accumulator) -> tuple[Expr, ...]:
    """What each iteration of a loop accumulates."""
    return next(
        s.values for s in loop.body if isinstance(s, Accumulate) and s.accumulator is accumulator
    )
