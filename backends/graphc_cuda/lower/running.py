"""The running values of accumulators in one thread, in the order that `ir.Combine` fixes."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.loops.accumulators import ANY_GROUPING, is_blocked, is_direct, lane_steps
from graphc.ir.loops.combine import DOT, SUM
from graphc.ir.loops.ir import BLOCK, Accumulator, Loop
from graphc.ir.types import bool_, int32
from graphc_cuda.device.program import Assign, Literal, Op, Variable
from graphc_cuda.lower.scalar import Scalar, held_as
from graphc_cuda.lower.writer import Writer

# an identity in front changes no bit
_IDLE_IDENTITY = ("sum", "prod")

Values = tuple[Scalar, ...]


class Running:
    """The variables of one accumulator.

    Long sums are cut in blocks: `current` is the block's, `total` holds the finished ones. With
    `steps` they are counted: accumulations that come from inner loops.
    """

    def __init__(self, w: Writer, accumulator: Accumulator, blocked: bool, counted: bool) -> None:
        self.w, self.accumulator = w, accumulator
        self.combine = accumulator.combine
        self.current = self._start("")
        self.total = self._start("_total") if blocked else ()
        self.steps = self.in_block = None
        if blocked and counted:
            self.steps = self._counter("steps")
            self.in_block = self._counter("in_block")

    @property
    def identity(self) -> Values:
        """What it starts with."""
        refs = self.accumulator.refs
        values = self.combine.identities(refs[0].dtype)
        return tuple(self.w.emit.const(v, r.dtype) for v, r in zip(values, refs))

    def _start(self, suffix: str) -> tuple[Variable, ...]:
        found = []
        for ref, value in zip(self.accumulator.refs, self.identity):
            variable = self.w.variable(f"{ref.name}{suffix}", held_as(ref.dtype))
            self.w.add(Assign(variable, self.w.emit.wide(value)))
            found.append(variable)
        return tuple(found)

    def _counter(self, name: str) -> Variable:
        variable = self.w.variable(name, int32, is_index=True)
        self.w.add(Assign(variable, Literal(int32, 0, is_index=True)))
        return variable

    def values(self, variables: tuple[Variable, ...]) -> Values:
        """What variables hold, as values of the refs' dtypes."""
        return tuple(Scalar(v, r.dtype) for v, r in zip(variables, self.accumulator.refs))

    def before(self) -> Values:
        """What has been accumulated so far."""
        return self.values(self.current)

    def set(self, variables: tuple[Variable, ...], values: Values) -> None:
        """Change variables together: each new value sees the old ones."""
        w = self.w
        kept = w.kept_all(list(values))
        if len(kept) > 1:
            named = (v if isinstance(v.value, Literal) else self._named(v) for v in kept)
            kept = list(named)
        for variable, value in zip(variables, kept):
            w.add(Assign(variable, w.emit.wide(value)))

    def _named(self, value: Scalar) -> Scalar:
        wide = self.w.emit.wide(value)
        variable = self.w.variable("new", wide.dtype)
        self.w.add(Assign(variable, wide))
        return replace(value, value=variable, range=None)

    def merge(self, values: Values) -> None:
        """Merge new values into the current ones."""
        if self.steps is not None:
            self._next_block()
        self.set(self.current, self.joined(self.values(self.current), values))
        if self.steps is not None:
            one = Literal(int32, 1, is_index=True)
            self.w.add(Assign(self.steps, Op(int32, "add", (self.steps, one), is_index=True)))

    def joined(self, old: Values, new: Values) -> Values:
        """Two groups of values as one; `new` may be what a piece of a chain has accumulated."""
        combine = SUM if self.combine is DOT and len(new) == 1 else self.combine
        found: Values = combine.merge(self.w.emit, old, new)
        return found

    def _next_block(self) -> None:
        """Add a full block to the total before the first step of the next."""
        assert self.steps is not None
        assert self.in_block is not None
        size = Literal(int32, BLOCK, is_index=True)
        number = Op(int32, "floordiv", (self.steps, size), is_index=True)
        with self.w.when(Op(bool_, "ne", (number, self.in_block))):
            self.w.add(Assign(self.in_block, number))
            self.end_block()
            self.begin_block()

    def begin_block(self) -> None:
        """Start a block."""
        self.set(self.current, self.identity)

    def end_block(self) -> None:
        """Add the block to the total."""
        self.set(self.total, self.joined(self.values(self.total), self.values(self.current)))

    def finish(self) -> Values:
        """What it holds after the last step."""
        if not self.total:
            if self.combine.name in (*ANY_GROUPING, *_IDLE_IDENTITY, "dot"):
                return self.values(self.current)
            if self.combine.carried or not is_float(self.accumulator):
                return self.values(self.current)
            self.set(self.current, self.joined(self.identity, self.values(self.current)))
            return self.values(self.current)
        if self.steps is not None:
            self.end_block()
        return self.values(self.total)


def is_float(accumulator: Accumulator) -> bool:
    """Whether some of its values are floats."""
    return any(ref.dtype.is_float for ref in accumulator.refs)


def _steps(w: Writer, loop: Loop, accumulator: Accumulator) -> int:
    steps = lane_steps(loop, accumulator, w.known.trips)
    assert steps is not None
    return steps


def start(w: Writer, loop: Loop, accumulator: Accumulator) -> Running:
    """The running values of an accumulator in front of its loop."""
    blocked = is_blocked(accumulator) and (_steps(w, loop, accumulator) > BLOCK)
    running = Running(w, accumulator, blocked, blocked and not is_direct(loop, accumulator))
    w.running[accumulator] = running
    return running
