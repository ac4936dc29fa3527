"""A compiled graph before code generation: what the stages hand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.compiler.memory.plan import MemoryPlan, plan
from graphc.compiler.options import Options
from graphc.compiler.passes.driver import Trace
from graphc.compiler.timing import Times
from graphc.ir.graph import Graph
from graphc.ir.schedule import Schedule

MAX_KEPT_PLANS = 1024  # sizes whose plan is remembered


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled graph before code generation, and every stage on the way to it."""

    defined: Graph
    optimized: Graph
    schedule: Schedule
    options: Options
    trace: Trace
    times: Times
    _plans: dict[tuple[tuple[str, int], ...], MemoryPlan] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.defined.name

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the dims in the inputs, sorted: the order of a kernel's size arguments."""
        found = {d.name for s in self.schedule.inputs for d in s.type.dims()}
        return tuple(sorted(found))

    def plan(self, dims: Mapping[str, int]) -> MemoryPlan:
        """The memory plan for given sizes."""
        key = tuple(sorted(dims.items()))
        if key not in self._plans:
            if len(self._plans) == MAX_KEPT_PLANS:
                del self._plans[next(iter(self._plans))]
            with self.times.of("plan"):
                self._plans[key] = plan(self.schedule, dims, self.options.memory)
        return self._plans[key]
