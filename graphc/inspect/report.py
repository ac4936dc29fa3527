"""What runs when a compiled function is called, kernel by kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc import origin as origins
from graphc.compiler.memory.plan import MemoryPlan
from graphc.errors import ArgumentError, UnsupportedError
from graphc.inspect.cost import TYPICAL, Cost, call_cost, machine_of, total
from graphc.inspect.graph_printer import call_name, lines_text
from graphc.inspect.memory import measure
from graphc.inspect.names import bytes_text, count_text
from graphc.inspect.rounding import rounding_lines
from graphc.inspect.subject import (
    Subject,
    launches_of,
    program_of,
    runners_of,
    sizes_of,
    threads_of,
)
from graphc.inspect.widening import widening_lines
from graphc.ir.dims import nominal
from graphc.ir.loops import ir
from graphc.ir.schedule import KernelCall, Schedule
from graphc.origin import BACKWARD, FORWARD, UPDATE
from graphc.runtime.backend import Launch, Machine

if TYPE_CHECKING:
    from graphc.runtime.function import CompiledFunction

HEADINGS = (
    "kernel", "phase", "part", "FLOP", "bytes", "least us", "bound by", "threads", "ops", "lines",
)  # fmt: skip
MAX_NAME_COLUMNS = 40  # columns for the names of kernels and for their ops


@dataclass(frozen=True)
class KernelFacts:
    """One kernel of a function: the ops in it, what it costs, when it runs.

    `part` is what it stores: values of the forward or backward half, or parameters (update).
    `seconds` is the least time that the machine allows. `threads` None: not settled yet.
    """

    name: str
    ops: tuple[str, ...]
    part: str
    phase: int
    cost: Cost
    seconds: float
    threads: int | None
    lines: str
    machine: Machine = TYPICAL

    @property
    def bound(self) -> str:
        """What it waits for at best: "compute" or "memory"."""
        compute = Cost(self.cost.flops, 0).seconds(self.machine)
        return "memory" if self.cost.seconds(self.machine) > compute else "compute"


def kernels(subject: Subject) -> tuple[KernelFacts, ...]:
    """The kernels of a compiled function in order, at its first sizes."""
    schedule, dims = program_of(subject).schedule, sizes_of(subject)
    threads, machine = threads_of(subject), machine_of(subject)
    return list_kernels(schedule, dims, threads, machine, launches_of(subject))


def list_kernels(
    schedule: Schedule,
    dims: Mapping[str, int],
    threads: int | None = None,
    machine: Machine = TYPICAL,
    launches: Sequence[Launch] = (),
) -> tuple[KernelFacts, ...]:
    """The facts about every call of a schedule; on a GPU with the threads of its widest launch."""
    found = []
    for i, (phase, call) in enumerate(zip(schedule.phases(), schedule.calls)):
        cost = call_cost(call, dims)
        ops = tuple(node.op.name for node in call.nodes)
        mine = threads if is_parallel(call) else 1
        cores = mine or 1
        if launches:
            mine = max((x.grid * x.block for x in launches if x.call == i), default=None)
            cores = 1  # the machine is all of them
        found.append(
            KernelFacts(
                call_name(i, call),
                ops,
                main_part(call),
                phase,
                cost,
                cost.seconds(machine, cores),
                mine,
                lines_text(call),
                machine,
            )
        )
    return tuple(found)


def is_parallel(call: KernelCall) -> bool:
    """Whether a kernel has work that threads can share."""
    loops = (s for s in ir.walk(call.kernel.body) if isinstance(s, ir.Loop))
    return any(loop.kind == ir.PARALLEL for loop in loops)


def main_part(call: KernelCall) -> str:
    """The part of most of the bytes that a kernel stores: update if it writes a parameter."""
    if call.commits:
        return UPDATE
    stored = dict.fromkeys((FORWARD, BACKWARD, UPDATE), 0)
    for storage in call.writes:
        part = storage.node.step_part if storage.node else call.step_part
        stored[part] += 1 + nominal(storage.type.nbytes)
    return max(stored, key=lambda part: stored[part])


def report(subject: Subject) -> str:
    """Kernels with ops, cost, time bound, threads and source lines; totals; memory; notes."""
    program, dims = program_of(subject), sizes_of(subject)
    plan, machine = program.plan(dims), machine_of(subject)
    launches = launches_of(subject)
    text = report_text(program.schedule, plan, dims, threads_of(subject), machine, launches)
    notes = [*rounding_lines(program.defined.nodes), *widening_lines(program.defined.nodes)]
    lines = [*_sparse_lines(subject), *(["", *notes] if notes else [])]
    return text + "".join(f"{line}\n" for line in lines)


def _sparse_lines(subject: Subject) -> list[str]:
    """How parameters whose gradients are rows at indices are updated."""
    found = getattr(subject, "optimizer", None)
    optimizers = found if isinstance(found, tuple) else (found,)
    rows = [item for o in optimizers for item in getattr(o, "sparse", {}).items()]
    lines = [f"row-sparse gradient of {name} updates: {how}" for name, how in rows]
    return ["", *lines] if lines else []


def report_text(
    schedule: Schedule,
    plan: MemoryPlan,
    dims: Mapping[str, int],
    threads: int | None = None,
    machine: Machine = TYPICAL,
    launches: Sequence[Launch] = (),
) -> str:
    """The report on a planned schedule; `threads` None: not settled yet."""
    listed = list_kernels(schedule, dims, threads, machine, launches)
    cost = total(schedule, dims)
    sizes = "".join(f", {name}={value}" for name, value in dims.items())
    running = f"{threads} thread{'s' * (threads != 1)}" if threads else "threads not settled"
    if launches:
        running = f"{sum(x.count for x in launches)} launches"
    lines = [
        f"{schedule.name}: {len(listed)} kernels in {len(plan.timeline)} phases, {running}{sizes}",
        "",
        *_table(listed, cost, sum(k.seconds for k in listed)),
        "",
        _machine_line(machine),
        *(f"before, when a parameter has changed: {c.kernel.name}" for c in schedule.prepare),
        "",
        str(measure(schedule, plan, dims)),
        *(["", *launch_table(launches, machine)] if launches else []),
    ]
    return "\n".join(lines) + "\n"


def _machine_line(machine: Machine) -> str:
    bandwidth = f"{machine.bytes_per_second / 1e9:.0f} GB/s"
    rate = f"{machine.flops_per_second / 1e9:.0f} GFLOP/s"
    if machine.name:
        return f"least time on {machine.name}: {rate} in float32, {bandwidth}"
    return f"least time at {rate} a thread and {bandwidth}"


LAUNCH_HEADINGS = (
    "launch", "times", "grid", "block", "registers", "spilled", "shared", "occupancy", "sectors",
    "bytes", "least us", "form",
)  # fmt: skip


def launch_text(launch: Launch) -> str:
    """One launch in a line."""
    words = [f"{launch.name}: {launch.form}", f"{launch.grid} x {launch.block} threads"]
    if launch.count > 1:
        words.append(f"{launch.count} times")
    if launch.registers is not None:
        words.append(f"{launch.registers} registers, {launch.spilled_bytes} bytes spilled")
    if launch.shared_bytes:
        words.append(f"{launch.shared_bytes} bytes shared")
    if launch.occupancy is not None:
        words.append(f"occupancy {launch.occupancy:.0%}")
    if launch.sectors is not None:
        words.append(f"{launch.sectors:.1f} times the sectors")
    return ", ".join(words)


def launch_table(launches: Sequence[Launch], machine: Machine) -> list[str]:
    """What a GPU launches, row by row; "?" is what no assembler has said."""
    rows: list[tuple[str, ...]] = [LAUNCH_HEADINGS]
    for x in launches:
        known = (x.registers, x.spilled_bytes, x.shared_bytes)
        numbers = tuple("?" if n is None else str(n) for n in known)
        share = "?" if x.occupancy is None else f"{x.occupancy:.0%}"
        least = f"{x.bytes / machine.bytes_per_second * 1e6:.2f}"
        front = _short(x.name), str(x.count), str(x.grid), str(x.block)
        sectors = "?" if x.sectors is None else f"{x.sectors:.1f}"
        rows.append((*front, *numbers, share, sectors, bytes_text(x.bytes), least, x.form))
    widths = [max(len(row[i]) for row in rows) for i in range(len(LAUNCH_HEADINGS))]
    last = len(LAUNCH_HEADINGS) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def _table(listed: Sequence[KernelFacts], cost: Cost, seconds: float) -> list[str]:
    """Rows under headings."""
    rows = [HEADINGS]
    for k in listed:
        numbers = count_text(k.cost.flops, ""), bytes_text(k.cost.bytes), f"{k.seconds * 1e6:.2f}"
        threads = "?" if k.threads is None else str(k.threads)
        ops = _short(" ".join(k.ops))
        rows.append(
            (_short(k.name), str(k.phase), k.part, *numbers, k.bound, threads, ops, k.lines)
        )
    sums = count_text(cost.flops, ""), bytes_text(cost.bytes), f"{seconds * 1e6:.2f}"
    rows.append(("total", "", "", *sums, "", "", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(_cell(i, c, w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    ]


def _cell(column: int, words: str, width: int) -> str:
    """Numbers stand right, words left."""
    return words.rjust(width) if column in (1, 3, 4, 5, 7) else words.ljust(width)


def _short(words: str) -> str:
    return words if len(words) <= MAX_NAME_COLUMNS else f"{words[: MAX_NAME_COLUMNS - 1]}…"


def source(subject: CompiledFunction, language: str) -> str:
    """The code generated for the first variant that has some in this language."""
    for runner in runners_of(subject):
        if isinstance(language, str) and language in runner.languages:
            return runner.source(language)
        if runner.languages:
            known = ", ".join(runner.languages)
            raise ArgumentError(
                f"source: the language is one of {known}, got {language!r:.60}",
                origin=origins.find_origin(),
            )
    raise UnsupportedError(
        f"{subject.name}: there is no generated code to show",
        origin=origins.find_origin(),
        hint="call it or use specialize first; the interpreter makes none",
    )
