"""Fill a box: zeros outside of the operand, copies of its rows inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.ir.dims import Size
from graphc.ir.loops.contraction.box import Box, BoxAxis
from graphc.ir.loops.ir import Axis
from graphc_llvm.contract_plan import Access, ContractPlan
from graphc_llvm.contract_stage import Range, Staging
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.ir_builder import Operand, vector
from graphc_llvm.values import element_type

Scope = Mapping[Axis, tuple[Operand, Operand]]  # (first, count) of the axes that are limited


class BoxFill:
    """Fills the box of one operand in ascending order of memory.

    Every store is a whole vector; what it writes beyond its end is overwritten by the next.
    """

    def __init__(self, plan: ContractPlan, c: EmitContext, box: Box, memory: str) -> None:
        self.plan, self.c, self.builder, self.box, self.memory = plan, c, c.builder, box, memory
        self.lanes, self.element = plan.tiling.lanes, element_type(plan.dtype)
        self.strides = [c.size(stride) for stride in box.strides]
        self.ranges: list[tuple[Operand, Operand]] = []  # first position and count of each reach

    def fill(self, scope: Scope) -> None:
        """Fill the box for these values of the axes, and let its buffer stand for it."""
        f = self.builder
        self.ranges = [self._range(reach, scope) for reach in self.box.box_axes]
        start: Operand = 0
        for (first, _), stride in zip(self.ranges, self.strides):
            start = f.add(start, f.mul(first, stride), "start")
        base = f.gep(self.memory, self.element, f.sub(0, start, "start"), "box")
        self.c.pointers[self.box.buffer] = base
        for alias, original in self.plan.aliases.items():
            if original is self.box.buffer:
                self.c.pointers[alias] = base
        with self.c.inside():
            self._reach(0, 0)

    def _range(self, reach: BoxAxis, scope: Scope) -> tuple[Operand, Operand]:
        c, f = self.c, self.builder
        first: Operand = c.size(-1 * reach.low)
        count: Operand = 1
        for axis, coefficient in reach.coefficients.items():
            begin, many = scope.get(axis, (0, c.size(self.box.sizes[axis])))
            last = f.mul(abs(coefficient), f.sub(many, 1))
            first = f.add(first, f.mul(coefficient, begin))
            first = f.sub(first, last) if coefficient < 0 else first
            count = f.add(count, last, "count")
        return first, count

    # ------------------------------------------------------------------ loops

    def _reach(self, number: int, place: Operand) -> None:
        """Fill from one reach inwards; `place` is where its first position is."""
        box, f = self.box, self.builder
        joined = box.run is not None and number == len(box.box_axes) - 2
        if joined or number == len(box.box_axes) - 1:
            self._row(number, place)
            return
        reach, (first, count) = box.box_axes[number], self.ranges[number]
        stride, inner = self.strides[number], self._length(number + 1)

        def copy(index: Operand, _: list[str]) -> list[str]:
            self.c.axes[reach.position] = index
            with self.c.inside():
                at = f.mul(f.sub(index, first), stride, "place")
                self._reach(number + 1, f.add(place, at, "place"))
            return []

        def zeros(begin: Operand, end: Operand) -> None:
            at = f.add(place, f.mul(f.sub(begin, first), stride), "place")
            several = f.sub(f.sub(end, begin), 1)
            length = f.add(f.mul(several, stride), inner, "length")
            self._when_some(begin, end, lambda: self._zeros(at, length))

        begin, end = self._inside(reach.valid, first, count)
        zeros(first, begin)
        f.loop(reach.position.name, begin, end, 1, [], copy)
        zeros(end, f.add(first, count))

    def _length(self, number: int) -> Operand:
        """Elements from the first to the last position of the inner reaches."""
        f, total = self.builder, 1
        length: Operand = total
        for (_, count), stride in zip(self.ranges[number:], self.strides[number:]):
            length = f.add(length, f.mul(f.sub(count, 1), stride), "length")
        return length

    def _inside(
        self, valid: tuple[Size, Size] | None, first: Operand, count: Operand
    ) -> tuple[Operand, Operand]:
        """Begin and end of the positions that exist among `count` from `first` on."""
        f, last = self.builder, self.builder.add(first, count)
        if valid is None:
            return first, last
        low, high = (self.c.size(size) for size in valid)
        begin = f.minimum(f.maximum(low, first), last, "begin")
        return begin, f.maximum(f.minimum(high, last), begin, "end")

    def _row(self, number: int, place: Operand) -> None:
        """Neighbouring elements: zeros, what exists, zeros."""
        f, reach, (first, count) = self.builder, self.box.box_axes[number], self.ranges[number]
        begin, end = self._inside(reach.valid, first, count)
        last, axis = f.add(first, count), reach.position
        if self.box.run is not None:
            width, axis = self.strides[number], self.box.run
            first, begin, end, last = (f.mul(x, width) for x in (first, begin, end, last))
        self._zeros(place, f.sub(begin, first))
        staging = Staging(self.plan, self.c, Access(self.box.value, None, axis), self.memory)
        at = f.add(place, f.sub(begin, first), "place")
        staging.along(Range(axis, begin, f.sub(end, begin)), at)
        self._zeros(f.add(place, f.sub(end, first), "place"), f.sub(last, end))

    def _zeros(self, place: Operand, count: Operand) -> None:
        f, kind = self.builder, vector(self.element, self.lanes)

        def store(index: Operand, _: list[str]) -> list[str]:
            pointer = f.gep(self.memory, self.element, f.add(place, index, "place"))
            f.store(kind, "zeroinitializer", pointer, self.plan.dtype.itemsize)
            return []

        f.loop("zero", 0, count, self.lanes, [], store)

    def _when_some(self, begin: Operand, end: Operand, body: Callable[[], None]) -> None:
        if isinstance(begin, int) and isinstance(end, int):
            if begin < end:
                body()
            return

        def inside() -> list[str]:
            with self.c.inside():
                body()
            return []

        self.builder.when(self.builder.compare("slt", begin, end), [], inside)
