"""Which steps of a chain count for which lines: beyond the edges of a padded input none do.

A step that does not count is left out, as the loop level says: a product of 0 with an infinity
would be no number, and one with 0 may turn -0 into 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from graphc.ir.loops.contraction.condition import StepCondition
from graphc.ir.loops.ir import Axis
from graphc.ir.types import bool_
from graphc_cuda.contract.axes import line_axes, set_axes
from graphc_cuda.contract.find import Side, TiledContraction, count, known
from graphc_cuda.device.program import THREAD
from graphc_cuda.lower.scalar import Scalar, as_index, index_of
from graphc_cuda.lower.serial import smaller
from graphc_cuda.lower.writer import Writer


class StepMask:
    """Bytes in shared memory for the lines of a tile: one a step, or one for all its steps.

    `is_even` says that what the conditions ask is the same for all steps that are taken at a time.
    """

    def __init__(self, w: Writer, found: TiledContraction, side: Side, origin: Scalar) -> None:
        self.w, self.found, self.side = w, found, side
        self.width, self.depth = found.width(side), found.tile.depth
        self.is_even = all(self._run(c) % self.depth == 0 for c in side.conditions)
        self.steps = 1 if self.is_even else self.depth
        size = found.tile.stages * self.steps * self.width
        self.array = w.stage(f"{side.name}_counts", bool_, size)
        self.thread = index_of(THREAD, 0, found.tile.threads - 1)
        width = as_index(self.width)
        self.line = w.assign(f"{side.name}_line", w.emit.rem(self.thread, width))
        self.first_step = w.assign(f"{side.name}_from", w.emit.div(self.thread, width))
        self.axes: Mapping[Axis, Scalar] = line_axes(w, side, w.emit.add(origin, self.line), 1)
        self.held = [w.variable(f"{side.name}_counts_{n}", bool_) for n in range(self._rounds)]

    @property
    def _rounds(self) -> int:
        return max(1, self.steps * self.width // self.found.tile.threads)

    def _run(self, condition: StepCondition) -> int:
        """How many steps after each other a condition asks the same of."""
        spans = self.found.contraction.reduction
        at = next(n for n, span in enumerate(spans) if span.axis is condition.step)
        return condition.per * prod(known(span.size) for span in spans[at + 1 :])

    def _step(self, number: int) -> Scalar:
        """The step of the tile that a thread looks at."""
        if self.is_even:
            return as_index(0)
        apart = self.found.tile.threads // self.width
        return self.w.emit.add(self.first_step, as_index(number * apart))

    def fetch(self, first: Scalar) -> None:
        """Find out what counts of the steps from `first` on."""
        w, e, reduction = self.w, self.w.emit, self.found.contraction.reduction
        last = as_index(count(reduction) - 1)
        for number, variable in enumerate(self.held):
            set_axes(w, reduction, smaller(e.add(first, self._step(number)), last))
            w.axes.update(self.axes)
            holds = e.const(True, bool_)
            for condition in self.side.conditions:
                holds = e.logical_and(holds, e.le(as_index(0), _form(w, condition)))
            w.set(variable, holds)

    def put(self, stage: Scalar) -> None:
        """Put it into shared memory."""
        w, e = self.w, self.w.emit
        takes_part = e.lt(self.thread, as_index(self.steps * self.width))
        with w.when(takes_part.value):
            for number, variable in enumerate(self.held):
                at = self._at(stage, self._step(number), self.line)
                w.put(self.array, at, Scalar(variable, bool_))

    def get(self, stage: Scalar, step: Scalar, line: Scalar) -> Scalar:
        """Whether a step counts for a line."""
        step = as_index(0) if self.is_even else step
        found = self.w.get(self.array, self._at(stage, step, line), bool_)
        return self.w.assign(f"{self.side.name}_counts", found)

    def _at(self, stage: Scalar, step: Scalar, line: Scalar) -> Scalar:
        e = self.w.emit
        first = e.mul(stage, as_index(self.steps * self.width))
        return e.add(e.add(first, e.mul(step, as_index(self.width))), line)


def _form(w: Writer, condition: StepCondition) -> Scalar:
    """The number that is not negative where a condition holds."""
    e = w.emit
    total = as_index(known(condition.constant))
    parts = {condition.step: (condition.factor, condition.per), **condition.axes}
    for axis, (factor, per) in parts.items():
        whole = e.div(w.axes[axis], as_index(per))
        total = e.add(total, e.mul(whole, as_index(factor)))
    return total
