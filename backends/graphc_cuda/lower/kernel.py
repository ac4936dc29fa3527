"""A kernel of the loop level as launches of device kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TypeVar

from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import (
    LANES,
    Accumulator,
    Buffer,
    Kernel,
    Loop,
    Ref,
    Scratch,
    exprs_in,
)
from graphc.ir.types import bool_, int32, uint8, uint32
from graphc_cuda.contract.low import mark_rounded
from graphc_cuda.contract.lower import emit_tile
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    GLOBAL,
    THREAD,
    DeviceArray,
    DeviceKernel,
    Get,
    If,
    Literal,
    Op,
    Return,
    Value,
)
from graphc_cuda.launch import NO_FAILURE
from graphc_cuda.library.find import FoundProduct, find_product, split_products
from graphc_cuda.library.product import WORKSPACE_BYTES
from graphc_cuda.lower.group import GlobalScratch, Group, decode
from graphc_cuda.lower.launches import STATUS, LoweredLaunch, Work, arrays_in
from graphc_cuda.lower.mapping import (
    CHUNK,
    CHUNKS,
    ELEMENT,
    ROWS,
    Segment,
    is_long_sum,
    map_kernel,
)
from graphc_cuda.lower.reshape import reshape
from graphc_cuda.lower.running import Running, start
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.lower.serial import serial_block, smaller
from graphc_cuda.lower.sizes import Sizes
from graphc_cuda.lower.vectors import VectorBody
from graphc_cuda.lower.writer import Placed, Writer

K = TypeVar("K")


def lower_kernel(
    kernel: Kernel,
    dims: Mapping[str, int],
    functions: Functions,
    name: str,
    commits: bool = False,
    note: tuple[str, ...] = (),
    aliased: frozenset[Buffer] = frozenset(),
    libraries: bool = False,
    rounded: frozenset[Buffer] = frozenset(),
) -> tuple[LoweredLaunch, ...]:
    """The launches of a kernel for given sizes.

    Where it `commits`, it does nothing once a check has failed. `aliased` buffers may share bytes,
    `rounded` ones hold what was rounded to TF32. With `libraries`, products that are worth it are
    calls of a library.
    """
    kernel = reshape(mark_rounded(kernel, rounded), dims, aliased)
    libraries = libraries and not commits  # a library does not ask whether a check has failed
    if libraries:
        kernel = split_products(kernel, dims)
    lowering = _KernelLowering(kernel, dims, functions, commits, note, aliased)
    segments = [s for s in map_kernel(kernel, dims) if s.count]
    names = [name] if len(segments) == 1 else [f"{name}_{i}" for i in range(len(segments))]
    made = []
    for segment, each in zip(segments, names):
        product = find_product(segment.tile) if libraries and segment.tile else None
        is_apart = product is not None and product.buffers[2] not in aliased
        if product is not None and is_apart:
            made.append(lowering.product(segment, each, product))
        else:
            made.append(lowering.segment(segment, each))
    return tuple(made)


class _KernelLowering:
    """Lowers the segments of one kernel; `work` is what they hand on to each other."""

    def __init__(
        self,
        kernel: Kernel,
        dims: Mapping[str, int],
        functions: Functions,
        commits: bool,
        note: tuple[str, ...],
        aliased: frozenset[Buffer],
    ) -> None:
        self.aliased = aliased
        self.kernel, self.dims, self.functions = kernel, dims, functions
        self.commits, self.note = commits, note
        self.sizes = Sizes(kernel, dims)
        self.cells: dict[str, Work] = {}  # values of refs
        self.partials: dict[tuple[Accumulator, int], Work] = {}
        self.scratch: dict[Buffer, Work] = {}
        self.segments = map_kernel(kernel, dims)

    def segment(self, segment: Segment, name: str) -> LoweredLaunch:
        """One launch."""
        w = Writer(self.functions, self.dims)
        w.extents, w.aliased = self.sizes, self.aliased
        self.sources: dict[DeviceArray, Buffer | Work | str] = {}
        for buffer in self.kernel.arguments:
            count = prod(evaluate(s, self.dims) for s in buffer.shape)
            array = w.argument(buffer.name, buffer.dtype, count)
            w.arrays[buffer] = Placed(array, w.shape(buffer))
            self.sources[array] = buffer
        w.status = DeviceArray("status", uint32, 1, GLOBAL)
        self.sources[w.status] = STATUS
        self._kernel_scratch(w)
        if self.commits:
            zero = Literal(int32, 0, is_index=True)
            failed = Op(bool_, "ne", (Get(uint32, w.status, zero), Literal(uint32, NO_FAILURE)))
            w.add(If(failed, (Return(),)))
        self._known_refs(w, segment)
        match segment.mode:
            case mode if mode == ELEMENT:
                self._element(w, segment)
            case mode if mode == ROWS:
                self._rows(w, segment)
            case _ if segment.tile is not None:
                emit_tile(w, segment.tile)
            case mode if mode == CHUNKS:
                self._chunks(w, segment)
            case _:
                self._group(w, segment)
        body = (*w.top, *w.body)
        used = list(arrays_in(body))
        arrays = tuple(a for a in self.sources if a in used)
        written = frozenset(a for a in w.written if a in used)
        aliased = frozenset(a for a in arrays if self.sources[a] in self.aliased)
        kernel = DeviceKernel(
            name, arrays, body, segment.block, written, aliased, self.note, str(segment)
        )
        return LoweredLaunch(kernel, segment.grid, tuple(self.sources[a] for a in arrays), segment)

    def product(self, segment: Segment, name: str, found: FoundProduct) -> LoweredLaunch:
        """A call of a library in place of a launch."""
        sources: list[Buffer | Work] = []
        arrays: list[DeviceArray] = []
        for buffer in found.buffers:
            size = prod(evaluate(s, self.dims) for s in buffer.shape)
            arrays.append(DeviceArray(buffer.name, buffer.dtype, size, GLOBAL))
            if buffer in self.kernel.arguments:
                sources.append(buffer)
            else:
                sources.append(self.scratch.setdefault(buffer, Work(buffer.name, arrays[-1])))
        space = DeviceArray("workspace", uint8, WORKSPACE_BYTES, GLOBAL)
        sources.insert(3, Work("workspace", space))
        arrays.insert(3, space)
        kernel = DeviceKernel(name, tuple(arrays), (), 1, frozenset(arrays[2:4]))
        return LoweredLaunch(kernel, 1, tuple(sources), segment, found)

    # -- what launches share --------------------------------------------------------------

    def _kernel_scratch(self, w: Writer) -> None:
        """Scratch at the top of a kernel that has several launches lies in global memory."""
        if len(self.segments) == 1:
            return
        for stmt in self.kernel.body:
            if isinstance(stmt, Scratch):
                array = self._work_array(
                    w, self.scratch, stmt.buffer, stmt.buffer, prod(w.shape(stmt.buffer))
                )
                w.arrays[stmt.buffer] = Placed(array, w.shape(stmt.buffer))

    def _work_array(
        self, w: Writer, table: dict[K, Work], key: K, like: Buffer | Ref, size: int
    ) -> DeviceArray:
        """The array of this launch for work memory that several launches know."""
        name = like.name
        array = w.argument(name, like.dtype, max(1, size))
        if key not in table:
            table[key] = Work(name, array)
        self.sources[array] = table[key]
        return array

    def _known_refs(self, w: Writer, segment: Segment) -> None:
        """What other launches accumulated, and the lets in front."""
        own = {r.name for s in segment.body if isinstance(s, Loop)
               for a in s.accumulators for r in a.refs}  # fmt: skip
        used = {e.name: e for e in exprs_in((*segment.lets, *segment.body)) if isinstance(e, Ref)}
        for name, ref in used.items():
            if name in self.cells and name not in own:
                array = self._work_array(w, self.cells, name, ref, 1)
                w.refs[name] = w.assign(name, w.get(array, as_index(0), ref.dtype))
        serial_block(w, segment.lets)

    def _handed_on(self, segment: Segment) -> list[Ref]:
        """The accumulated values of a segment that later ones use."""
        position = self.segments.index(next(s for s in self.segments if s.body == segment.body
                                            and s.mode == segment.mode))  # fmt: skip
        later = self.segments[position + 1 :]
        names = {e.name for s in later for e in exprs_in((*s.lets, *s.body)) if isinstance(e, Ref)}
        refs = [r for s in segment.body if isinstance(s, Loop) for a in s.accumulators
                for r in a.refs]  # fmt: skip
        return [r for r in refs if r.name in names]

    # -- modes ------------------------------------------------------------------------------

    def _element(self, w: Writer, segment: Segment) -> None:
        (loop,) = segment.body
        assert isinstance(loop, Loop)
        loops, body, lets = self.sizes.nest(loop)
        nest = [(each.axis, self.sizes.trips(each)) for each in loops]
        e, last = w.emit, segment.grid * segment.block - 1
        block = index_of(BLOCK_INDEX, 0, segment.grid - 1)
        thread = index_of(THREAD, 0, segment.block - 1)
        wish = loops[0].axis.name if len(nest) == 1 else "point"
        at = w.assign(wish, e.add(e.mul(block, as_index(segment.block)), thread))
        count, width = segment.count // segment.width, segment.width
        inside = e.lt(replace(at, range=(0, last)), as_index(count))
        axis = nest[-1][0]
        nest[-1] = axis, nest[-1][1] // width
        with w.when(inside.value):
            decode(w, replace(at, range=(0, max(0, count - 1))), nest)
            if width == 1:
                serial_block(w, [*lets, *body])
                return
            w.axes[axis] = w.assign(axis.name, e.mul(w.axes[axis], as_index(width)))
            VectorBody(w, axis, [*lets, *body], width).write()

    def _rows(self, w: Writer, segment: Segment) -> None:
        (loop,) = segment.body
        assert isinstance(loop, Loop)
        loops, body, lets = self.sizes.nest(loop)
        nest = [(each.axis, self.sizes.trips(each)) for each in loops]
        block = index_of(BLOCK_INDEX, 0, segment.grid - 1)
        thread = THREAD
        per_block = segment.block // segment.group
        group, row = self._row_group(w, segment, block, thread, per_block)
        inside = w.emit.lt(row, as_index(segment.count))
        with w.when(inside.value):
            decode(w, replace(row, range=(0, max(0, segment.count - 1))), nest)
            group.block([*lets, *body])

    def _row_group(
        self, w: Writer, segment: Segment, block: Scalar, thread: Value, per_block: int
    ) -> tuple[Group, Scalar]:
        """The group of a thread, and the row that it works on."""
        e = w.emit
        if per_block == 1:
            group = Group(w, segment.group, thread, as_index(0), 1, self._outside(w, segment),
                          block)  # fmt: skip
            if segment.stages is not None:
                group.run_stages(segment.stages)
            return group, block
        at = index_of(thread, 0, segment.block - 1)
        number = w.assign("group", e.div(at, as_index(LANES)))
        lane = w.assign("lane", e.rem(at, as_index(LANES)))
        row = w.assign("row", e.add(e.mul(block, as_index(per_block)), number))
        group = Group(w, LANES, lane.value, number, per_block, self._outside(w, segment), row)
        group.name_lanes(number)
        return group, row

    def _outside(self, w: Writer, segment: Segment) -> GlobalScratch:
        """Makes global scratch with a part for every group."""

        def make(buffer: Buffer, size: int) -> DeviceArray:
            return self._work_array(w, self.scratch, buffer, buffer, size * segment.count)

        return make

    def _group(self, w: Writer, segment: Segment) -> None:
        """Everything by one group."""
        thread = THREAD
        group = Group(w, segment.group, thread, as_index(0), 1, self._outside(w, segment),
                      as_index(0))  # fmt: skip
        for stmt in segment.body:
            if isinstance(stmt, Loop) and self._is_chunked(stmt):
                self._add_chunks(w, group, stmt)
            else:
                group.statement(stmt)
        handed = self._handed_on(segment)
        if not handed:
            return
        first = Op(bool_, "eq", (thread, Literal(int32, 0, is_index=True)))
        arrays = [self._work_array(w, self.cells, r.name, r, 1) for r in handed]
        with w.when(first):
            for array, ref in zip(arrays, handed):
                w.put(array, as_index(0), w.refs[ref.name])

    # -- long sums ----------------------------------------------------------------------------

    def _is_chunked(self, loop: Loop) -> bool:
        return any(s.mode == CHUNKS and s.body == (loop,) for s in self.segments)

    def _partial(self, w: Writer, accumulator: Accumulator, number: int, size: int) -> DeviceArray:
        ref = accumulator.refs[number]
        key = accumulator, number
        return self._work_array(w, self.partials, key, ref, size * LANES)

    def _chunks(self, w: Writer, segment: Segment) -> None:
        """Each block merges one chunk: the sixteen lanes' blocks of 256 elements."""
        (loop,) = segment.body
        assert isinstance(loop, Loop)
        assert is_long_sum(loop, self.sizes)
        count = as_index(self.sizes.trips(loop))
        block = index_of(BLOCK_INDEX, 0, segment.grid - 1)
        group = Group(w, segment.group, THREAD, as_index(0), 1,
                      self._outside(w, segment), as_index(0))  # fmt: skip
        begin = w.assign("begin", w.emit.mul(block, as_index(CHUNK)))
        end = w.assign("end", smaller(w.emit.add(begin, as_index(CHUNK)), count))
        runnings = [self._current(w, a) for a in loop.accumulators]
        group.merge_chunk(loop, runnings, begin, end)
        lanes = Op(bool_, "lt", (group.thread.value, Literal(int32, LANES, is_index=True)))
        at = w.emit.add(w.emit.mul(block, as_index(LANES)), replace(group.thread, range=(0, 15)))
        with w.when(lanes):
            for running in runnings:
                for number, value in enumerate(running.values(running.current)):
                    array = self._partial(w, running.accumulator, number, segment.count)
                    w.put(array, at, value)

    def _current(self, w: Writer, accumulator: Accumulator) -> Running:
        running = Running(w, accumulator, blocked=False, counted=False)
        w.running[accumulator] = running
        return running

    def _add_chunks(self, w: Writer, group: Group, loop: Loop) -> None:
        """Merge the chunks of every lane in order, then the lanes."""
        chunks = next(s.count for s in self.segments if s.mode == CHUNKS and s.body == (loop,))
        runnings = [start(w, loop, a) for a in loop.accumulators]

        def merge() -> None:
            with w.loop("chunk", as_index(0), as_index(chunks), 1) as chunk:
                lane = replace(group.thread, range=(0, LANES - 1))
                at = w.assign("at", w.emit.add(w.emit.mul(chunk, as_index(LANES)), lane))
                for running in runnings:
                    refs = running.accumulator.refs
                    arrays = [self._partial(w, running.accumulator, i, chunks)
                              for i in range(len(refs))]  # fmt: skip
                    values = [w.get(a, at, r.dtype) for a, r in zip(arrays, refs)]
                    target = running.total or running.current
                    running.set(target, running.joined(running.values(target), tuple(values)))

        group.merge_lanes(loop, runnings, merge)
