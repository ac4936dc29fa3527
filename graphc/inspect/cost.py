"""What one call of a compiled function costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.inspect.names import bytes_text, count_text
from graphc.inspect.subject import Subject, program_of, runners_of, sizes_of
from graphc.ir.dims import Size, evaluate
from graphc.ir.schedule import KernelCall, Schedule
from graphc.runtime.backend import Machine

# One core at 3.5 GHz with two 256-bit multiply-adds a cycle, and its share of the memory.
TYPICAL = Machine(112e9, 25e9)


@dataclass(frozen=True)
class Cost:
    """Arithmetic operations of one call, and the bytes that its kernels read and write."""

    flops: int
    bytes: int

    def seconds(self, machine: Machine = TYPICAL, threads: int = 1) -> float:
        """The least time that this can take; threads share the way to memory."""
        compute = self.flops / (machine.flops_per_second * threads)
        return max(compute, self.bytes / machine.bytes_per_second)

    def __str__(self) -> str:
        return f"{count_text(self.flops, 'FLOP')}, {bytes_text(self.bytes)}"


def machine_of(subject: Subject) -> Machine:
    """The machine that least times are said for: that of the first variant that names one."""
    return next((r.machine for r in runners_of(subject) if r.machine is not None), TYPICAL)


def cost(subject: Subject) -> Cost:
    """The cost of one call at the first sizes of a function."""
    return total(program_of(subject).schedule, sizes_of(subject))


def total(schedule: Schedule, dims: Mapping[str, int]) -> Cost:
    """The cost of all calls of a schedule; what depends on parameters alone is not in it."""
    costs = [call_cost(call, dims) for call in schedule.calls]
    return Cost(sum(c.flops for c in costs), sum(c.bytes for c in costs))


def call_cost(call: KernelCall, dims: Mapping[str, int]) -> Cost:
    """The cost of one kernel."""
    return Cost(evaluate(call.flops, dims), evaluate(call_bytes(call), dims))


def call_bytes(call: KernelCall) -> Size:
    """The bytes that a kernel moves: what its maker says, else those of its arguments."""
    moved = call.bytes
    if moved == 0:
        for storage in (*call.reads, *call.writes):
            moved = moved + storage.type.nbytes
    return moved


def cost_text(call: KernelCall, dims: Mapping[str, int] | None) -> str:
    """The cost of a kernel for people; polynomials while sizes are not known."""
    if dims is not None:
        return str(call_cost(call, dims))
    flops = count_text(call.flops, "FLOP") if isinstance(call.flops, int) else f"{call.flops} FLOP"
    return f"{flops}, {bytes_text(call_bytes(call))}"
