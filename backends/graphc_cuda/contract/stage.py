"""Bring one operand of a tile to shared memory, `depth` steps of the chain at a time.

The operand is evaluated at its place whatever it is: padding, windows and what is fused into it
are part of its expression. Lines beyond the end are the last one again: nobody stores their
results. So are steps, where chains do not take them; else they are 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.loops.contraction.index import loads_of
from graphc.ir.loops.ir import Axis, Expr, Load
from graphc.ir.types import DType, bool_
from graphc_cuda.contract.axes import line_axes, set_axes
from graphc_cuda.contract.find import Side, TiledContraction, count
from graphc_cuda.contract.mask import StepMask
from graphc_cuda.contract.route import Extents, find_route
from graphc_cuda.device.program import GLOBAL, THREAD, Assign, Intrinsic, Value, Variable
from graphc_cuda.lower.scalar import Scalar, as_index, held_as, index_of, stored_as
from graphc_cuda.lower.serial import smaller
from graphc_cuda.lower.writer import Writer


@dataclass(frozen=True)
class _Element:
    """What a thread brings at once: from a line and a step of the tile on; the line's axes."""

    line: Scalar
    step: Scalar
    axes: Mapping[Axis, Scalar]


class Staging:
    """One operand on its way to shared memory, and the array that holds it there.

    `origin` is the first line of the block's tile. It is held as `dtype`; `zeros` says that there
    are 0 behind the last step.
    """

    def __init__(
        self,
        w: Writer,
        found: TiledContraction,
        side: Side,
        origin: Scalar,
        dtype: DType,
        by_line: bool | None = False,
        zeros: bool = False,
    ) -> None:
        self.w, self.found, self.side, self.dtype, self.zeros = w, found, side, dtype, zeros
        self.name, self.width, self.depth = side.name, found.width(side), found.tile.depth
        self.steps = found.contraction.reduction
        self.extents = Extents(side.spans, self.steps, self.width, self.depth)
        near = any(w.arrays[x.buffer].array.space != GLOBAL for x in loads_of(side.value))
        self.route = find_route(side.value, dtype, self.extents, by_line, near)
        lines, steps = (
            (self.depth, self.width) if not self.route.by_line else (self.width, self.depth)
        )
        self.pitch = found.tile.pitch(steps, dtype, self.route.by_line)
        self.stage_size = lines * self.pitch
        size = found.tile.stages * self.stage_size
        self.array = w.stage(f"{self.name}_tile", dtype, size)
        has_mask = side.conditions and not zeros
        self.mask = StepMask(w, found, side, origin) if has_mask else None
        self.thread = index_of(THREAD, 0, found.tile.threads - 1)
        self.elements = self._elements(origin)
        self.held: list[list[Variable]] = []

    # -- which thread brings what -----------------------------------------------------------

    def _elements(self, origin: Scalar) -> list[_Element]:
        e, w, threads, route = self.w.emit, self.w, self.found.tile.threads, self.route
        fast = (self.depth if route.along_steps else self.width) // route.vector
        quick = e.mul(e.rem(self.thread, as_index(fast)), as_index(route.vector))
        quick = w.assign(f"{self.name}_quick", quick)
        slow = w.assign(f"{self.name}_slow", e.div(self.thread, as_index(fast)))
        found: list[_Element] = []
        for number in range(max(1, self._pieces // threads)):
            later = e.add(slow, as_index(number * (threads // fast)))
            line, step = (later, quick) if route.along_steps else (quick, later)
            is_same = found and not route.along_steps
            axes = found[0].axes if is_same else self._axes(e.add(origin, line))
            found.append(_Element(line, step, axes))
        return found

    def _axes(self, line: Scalar) -> Mapping[Axis, Scalar]:
        """The axes of the lines that a thread brings at once."""
        neighbours = 1 if self.route.along_steps else self.route.vector
        return line_axes(self.w, self.side, line, neighbours)

    @property
    def _pieces(self) -> int:
        """How often some thread brings something."""
        return self.width * self.depth // self.route.vector

    # -- statements ---------------------------------------------------------------------------

    def fetch(self, first: Scalar, stage: Scalar) -> None:
        """Begin to bring the steps from `first` on: into registers, or on their way."""
        if self.mask is not None:
            self.mask.fetch(first)
        for number, element in enumerate(self.elements):
            if not number or not self.route.along_steps:
                inside = self._set_steps(first, element)
            self.w.axes.update(element.axes)
            if self.route.is_copied:
                self._copy(element, stage, inside)
                continue
            if len(self.held) <= number:
                self.held.append(self._registers(number))
            self._evaluate(self.held[number], inside)

    def _set_steps(self, first: Scalar, element: _Element) -> Scalar:
        """Set the axes of the steps; whether there is such a step."""
        w, e, steps = self.w, self.w.emit, count(self.steps)
        last = steps - (self.route.vector if self.route.along_steps else 1)
        at = (
            w.assign(f"{self.name}_step", e.add(first, element.step))
            if self.zeros
            else e.add(first, element.step)
        )
        inside = e.const(True, bool_)
        if self.zeros:
            inside = w.assign(f"{self.name}_is_there", e.lt(at, as_index(steps)))
        set_axes(w, self.steps, w.assign(f"{self.name}_step", smaller(at, as_index(last))))
        return inside

    def _registers(self, number: int) -> list[Variable]:
        """Variables for what a thread brings at once."""
        first, dtype = number * self.route.vector, held_as(self.dtype)
        numbers = range(first, first + self.route.vector)
        return [self.w.variable(f"{self.name}_{n}", dtype) for n in numbers]

    def _evaluate(self, held: list[Variable], inside: Scalar) -> None:
        w, e, memos = self.w, self.w.emit, self._read_together()
        spans = self.steps if self.route.along_steps else self.side.spans
        first = w.axes[spans[-1].axis] if spans else as_index(0)
        for n, value in enumerate(held):
            if n:
                w.axes[spans[-1].axis] = e.add(first, as_index(n))
            found = w.evaluate(self.side.value, memos[n])
            w.set(value, e.select(inside, found, e.const(0, self.dtype)))
        if spans:
            w.axes[spans[-1].axis] = first

    def _read_together(self) -> list[dict[Expr, Scalar]]:
        """Read the neighbours that are read as one; what each of them finds."""
        w, route = self.w, self.route
        memos = [dict[Expr, Scalar]() for _ in range(route.vector)]
        for load in route.loads:
            stored = stored_as(load.dtype)
            names = tuple(w.variable(f"{load.buffer.name}_at", stored) for _ in memos)
            memo = dict[Expr, Scalar]()
            at = w.kept(w.place(load.buffer, [w.evaluate(i, memo) for i in load.index]))
            source = w.arrays[load.buffer].array
            read = Intrinsic(names, "load_vector", (source, at.value))
            if load.where is None:
                w.add(read)
            else:
                for name in names:
                    w.add(Assign(name, w.emit.const(0, load.dtype).value))
                with w.when(w.kept(w.evaluate(load.where)).value):
                    w.add(read)
            for known_values, name in zip(memos, names):
                known_values[load] = Scalar(name, load.dtype)
        return memos

    def _copy(self, element: _Element, stage: Scalar, inside: Scalar) -> None:
        w, value, memo = self.w, self.side.value, dict[Expr, Scalar]()
        assert isinstance(value, Load)
        at = w.place(value.buffer, [w.evaluate(i, memo) for i in value.index])
        to, at = w.kept_all([self.at(stage, element.step, element.line), at])
        source = w.arrays[value.buffer].array
        with w.when(self._takes_part()):
            with w.when(inside.value):
                operands = (self.array, to.value, source, at.value, self.route.vector)
                w.add(Intrinsic((), "copy_async", operands))
            with w.when(w.emit.logical_not(inside).value):
                zero = w.emit.const(0, self.dtype)
                self._put_all(to, [zero] * self.route.vector)

    def _takes_part(self) -> Value:
        """Whether there is something to bring for this thread."""
        return self.w.emit.lt(self.thread, as_index(self._pieces)).value

    def put(self, stage: Scalar) -> None:
        """Put what the registers hold into shared memory."""
        w = self.w
        if self.mask is not None:
            self.mask.put(stage)
        for element, held in zip(self.elements, self.held):
            at = w.kept(self.at(stage, element.step, element.line))
            with w.when(self._takes_part()):
                self._put_all(at, [Scalar(v, self.dtype) for v in held])

    def _put_all(self, at: Scalar, values: Sequence[Scalar]) -> None:
        """Put neighbours into shared memory, together where they stay neighbours."""
        w, most = self.w, 4
        if len(values) == 1 or not self.route.is_straight:
            for n, value in enumerate(values):
                w.put(self.array, self._beside(at, n), value)
            return
        for n in range(0, len(values), most):
            some = [value.value for value in values[n : n + most]]
            place = w.kept(w.emit.add(at, as_index(n))).value
            w.add(Intrinsic((), "store_vector", (self.array, place, *some)))

    def _beside(self, at: Scalar, number: int) -> Scalar:
        """The place of a neighbour."""
        apart = number if self.route.is_straight else number * self.pitch
        return self.w.emit.add(at, as_index(apart))

    def at(self, stage: Scalar, step: Scalar, line: Scalar) -> Scalar:
        """The index in shared memory of a line at a step."""
        e = self.w.emit
        outer, inner = (line, step) if self.route.by_line else (step, line)
        first = e.mul(stage, as_index(self.stage_size))
        return e.add(e.add(first, e.mul(outer, as_index(self.pitch))), inner)
