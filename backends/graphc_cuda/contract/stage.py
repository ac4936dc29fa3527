"""Bring one operand of a tile to shared memory, `depth` steps of the chain at a time.

The operand is evaluated at its place whatever it is: padding, windows and what is fused into it
are part of its expression. Lines and steps beyond the end are those at the end again: nobody
stores the results of such lines, and no chain takes such steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd

from graphc.ir.loops.contraction.condition import StepCondition
from graphc.ir.loops.contraction.index import flat_offset, loads_of
from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import Axis, Expr, Load
from graphc.ir.types import bool_
from graphc_cuda.contract.find import Side, TiledContraction, aligned_run, count, known
from graphc_cuda.contract.shape import STAGES, VECTOR_BYTES
from graphc_cuda.device.program import (
    THREAD,
    DeviceArray,
    Intrinsic,
    Value,
    Variable,
)
from graphc_cuda.lower.scalar import Scalar, as_index, held_as, index_of
from graphc_cuda.lower.serial import smaller
from graphc_cuda.lower.writer import Writer


def set_axes(w: Writer, spans: Sequence[Span], position: Scalar) -> None:
    """Give axes their values at a position that counts through all of them."""
    position = w.assign("position", position) if len(spans) > 1 else position
    for span in reversed(spans):
        size = as_index(known(span.size))
        w.axes[span.axis] = w.assign(span.axis.name, w.emit.rem(position, size))
        position = w.emit.div(position, size)


@dataclass(frozen=True)
class _Element:
    """What a thread brings: a line and a step of the tile, and the line's axes."""

    line: Scalar
    step: Scalar
    axes: Mapping[Axis, Scalar]


class Staging:
    """One operand on its way to shared memory, and the array that holds it there.

    `origin` is the first line of the block's tile, which has `width` of them.
    """

    def __init__(
        self, w: Writer, found: TiledContraction, side: Side, name: str, width: int, origin: Scalar
    ) -> None:
        self.w, self.found, self.side, self.name, self.width = w, found, side, name, width
        self.steps = found.contraction.reduction
        self.depth, self.dtype = found.tile.depth, found.dtype
        self.pitch = found.tile.pitch(width, self.dtype)
        size = STAGES * self.depth * self.pitch
        self.array = w.declare(f"{name}_tile", self.dtype, size)
        self.mask: DeviceArray | None = None
        if side.conditions:
            self.mask = w.declare(f"{name}_counts", bool_, size)
        self.vector = self._vector()
        self.thread = index_of(THREAD, 0, found.tile.threads - 1)
        self.elements = self._elements(origin)
        self.held: list[tuple[Variable, Variable | None]] = []

    # -- which thread brings what -----------------------------------------------------------

    @property
    def is_direct(self) -> bool:
        """Whether elements of memory are copied as they are, past the registers."""
        value = self.side.value
        plain = isinstance(value, Load) and value.where is None and not self.side.conditions
        return plain and value.dtype == self.dtype

    def _vector(self) -> int:
        """How many neighbouring lines are copied at once."""
        value = self.side.value
        if not self.is_direct or not isinstance(value, Load):
            return 1
        others = [s.axis for s in (*self.steps, *self.found.contraction.batch)]
        offset = flat_offset(value.buffer, value.index)
        run = gcd(aligned_run(offset, self.side.spans, others), self.width)
        most = VECTOR_BYTES // self.dtype.itemsize
        return most if run % most == 0 else 1

    def _is_along_steps(self) -> bool:
        """Whether threads next to each other take steps next to each other, as memory has them."""
        spans, steps = self.side.spans, self.steps
        if not spans or not steps or self.vector > 1:
            return not spans
        loads = loads_of(self.side.value)
        if not loads:
            return False
        offset = flat_offset(loads[0].buffer, loads[0].index)
        line, step = (abs(known(offset.coefficient(s[-1].axis))) for s in (spans, steps))
        return 0 < step < line or (step == 1 and line != 1) or (line == 0 and step > 0)

    def _elements(self, origin: Scalar) -> list[_Element]:
        e, w, threads = self.w.emit, self.w, self.found.tile.threads
        lines = self.width // self.vector
        fast = self.depth if self._is_along_steps() else lines
        quick = w.assign(f"{self.name}_quick", e.rem(self.thread, as_index(fast)))
        slow = w.assign(f"{self.name}_slow", e.div(self.thread, as_index(fast)))
        rounds = max(1, lines * self.depth // threads)
        found: list[_Element] = []
        for number in range(rounds):
            later = e.add(slow, as_index(number * (threads // fast)))
            line, step = (later, quick) if self._is_along_steps() else (quick, later)
            line = e.mul(line, as_index(self.vector))
            known_axes = found and not self._is_along_steps()
            axes = found[0].axes if known_axes else self._line_axes(origin, line)
            found.append(_Element(line, step, axes))
        return found

    def _line_axes(self, origin: Scalar, line: Scalar) -> Mapping[Axis, Scalar]:
        """The axes of a line; of the last one for those behind it."""
        w, last = self.w, self.side.lines - self.vector
        position = w.assign("line", smaller(w.emit.add(origin, line), as_index(last)))
        set_axes(w, self.side.spans, position)
        return {span.axis: w.axes[span.axis] for span in self.side.spans}

    # -- statements ---------------------------------------------------------------------------

    def fetch(self, first: Scalar, stage: Scalar) -> None:
        """Begin to bring the steps from `first` on: into registers, or on their way."""
        new = not self.held
        for number, element in enumerate(self.elements):
            shared_steps = number and self._is_along_steps()
            if not shared_steps:
                self._set_steps(first, element)
            self.w.axes.update(element.axes)
            if self.is_direct:
                self._copy(element, stage)
                continue
            if new:
                self.held.append(self._registers(number))
            self._evaluate(self.held[number])

    def _set_steps(self, first: Scalar, element: _Element) -> None:
        w, last = self.w, count(self.steps) - 1
        position = smaller(w.emit.add(first, element.step), as_index(last))
        set_axes(w, self.steps, w.assign(f"{self.name}_step", position))

    def _registers(self, number: int) -> tuple[Variable, Variable | None]:
        value = self.w.variable(f"{self.name}_{number}", held_as(self.dtype))
        counts = self.w.variable(f"{self.name}_counts_{number}", bool_) if self.mask else None
        return value, counts

    def _evaluate(self, held: tuple[Variable, Variable | None]) -> None:
        value, counts = held
        self.w.set(value, self.w.evaluate(self.side.value))
        if counts is not None:
            self.w.set(counts, self._counts())

    def _counts(self) -> Scalar:
        """Whether the current step counts for the current line."""
        e = self.w.emit
        holds = e.const(True, bool_)
        for condition in self.side.conditions:
            holds = e.logical_and(holds, e.le(as_index(0), _form(self.w, condition)))
        return holds

    def _copy(self, element: _Element, stage: Scalar) -> None:
        w, value, memo = self.w, self.side.value, dict[Expr, Scalar]()
        assert isinstance(value, Load)
        at = w.place(value.buffer, [w.evaluate(i, memo) for i in value.index])
        to, at = w.kept_all([self.at(stage, element.step, element.line), at])
        source = w.arrays[value.buffer].array
        with w.when(self._takes_part()):
            operands = (self.array, to.value, source, at.value, self.vector)
            w.add(Intrinsic((), "copy_async", operands))

    def _takes_part(self) -> Value:
        """Whether there is something to bring for this thread."""
        elements = self.width // self.vector * self.depth
        return self.w.emit.lt(self.thread, as_index(elements)).value

    def put(self, stage: Scalar) -> None:
        """Put what the registers hold into shared memory."""
        w = self.w
        for element, (value, counts) in zip(self.elements, self.held):
            at = w.kept(self.at(stage, element.step, element.line))
            with w.when(self._takes_part()):
                w.put(self.array, at, Scalar(value, self.dtype))
                if counts is not None and self.mask is not None:
                    w.put(self.mask, at, Scalar(counts, bool_))

    def at(self, stage: Scalar, step: Scalar, line: Scalar) -> Scalar:
        """The index in shared memory of a line at a step."""
        e = self.w.emit
        first = e.mul(stage, as_index(self.depth * self.pitch))
        return e.add(e.add(first, e.mul(step, as_index(self.pitch))), line)


def _form(w: Writer, condition: StepCondition) -> Scalar:
    """The number that is not negative where a condition holds."""
    e = w.emit
    total = as_index(known(condition.constant))
    parts = {condition.step: (condition.factor, condition.per), **condition.axes}
    for axis, (factor, per) in parts.items():
        whole = e.div(w.axes[axis], as_index(per))
        total = e.add(total, e.mul(whole, as_index(factor)))
    return total
