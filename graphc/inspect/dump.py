"""Every stage of a compilation as numbered files in a directory (GRAPHC_DUMP)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from graphc.compiler.memory.plan import MemoryPlan
from graphc.files import write_whole
from graphc.inspect.dot import graph_dot
from graphc.inspect.graph_printer import call_name, graph_text, schedule_text
from graphc.inspect.memory import measure
from graphc.inspect.report import report_text
from graphc.ir.graph import Graph
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.schedule import Schedule

if TYPE_CHECKING:
    from graphc.compiler.program import Program

INDEX = "index.txt"
STARTED = time.time_ns()  # with the process number, tells this run of Python from others


class Dump:
    """The files of one compiled function.

    The first function that a run of Python dumps fills the directory itself, over what an
    earlier run left there; further ones get directories 02_NAME, 03_NAME, ... in it.
    `index.txt` lists the functions and what is in their files. Every write is whole or not at
    all. Raises OSError, naming the directory, where it cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str], name: str = "step") -> None:
        root = Path(directory)
        try:
            root.mkdir(parents=True, exist_ok=True)
            number = _register(root, name)
            self.directory = root if number == 1 else root / f"{number:02}_{safe(name)}"
            self.directory.mkdir(exist_ok=True)
        except OSError as error:
            raise _cannot(root, error) from error
        self.count = 0

    def stage(self, name: str, graph: Graph, changed: bool = True) -> None:
        """A graph pass: its number counts even when nothing changed and no file is written."""
        if changed:
            self.write(f"{self.count:02}_{safe(name)}.txt", graph_text(graph))
            self.write(f"{self.count:02}_{safe(name)}.dot", graph_dot(graph))
        self.count += 1

    def program(self, program: Program, dims: Mapping[str, int]) -> None:
        """All stages of a program, planned for given sizes."""
        self.stage("defined", program.defined)
        before = program.defined
        for step in program.trace:
            self.stage(step.name, step.graph, graph_text(step.graph) != graph_text(before))
            before = step.graph
        self.schedule(program.optimized, program.schedule, program.plan(dims), dims)

    def schedule(
        self, graph: Graph, schedule: Schedule, plan: MemoryPlan, dims: Mapping[str, int]
    ) -> None:
        """The kernels, their order, their memory, and the report."""
        self.write(f"{self.count:02}_schedule.txt", schedule_text(schedule, None, dims))
        self.write(f"{self.count:02}_schedule.dot", graph_dot(graph, schedule, None, dims))
        self.write(f"{self.count + 1:02}_memory.txt", memory_text(schedule, plan, dims))
        self.write(f"{self.count + 1:02}_memory.dot", graph_dot(graph, schedule, plan, dims))
        self.count += 2
        for i, call in enumerate(schedule.calls):
            self.kernel(call_name(i, call), "txt", kernel_text(call.kernel))
        for i, call in enumerate(schedule.prepare):
            self.kernel(f"p{i:02}_{call.kernel.name}", "txt", kernel_text(call.kernel))
        self.write("report.txt", report_text(schedule, plan, dims))

    def kernel(self, name: str, ending: str, content: str) -> None:
        """A kernel's code in some language: kernels/k03_mul_sigmoid.ll."""
        self.write(f"kernels/{safe(name)}.{ending}", content)

    def write(self, name: str, content: str) -> None:
        """One file."""
        path = self.directory / name
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, content.encode())
        except OSError as error:
            raise _cannot(self.directory, error) from error


def memory_text(schedule: Schedule, plan: MemoryPlan, dims: Mapping[str, int]) -> str:
    """Where every temporary is and how long it lives, then the calls with their places."""
    lines = [str(measure(schedule, plan, dims)), ""]
    rows = [
        (plan.offsets[s], plan.sizes[s], *plan.lifetimes[s], s.name, str(s.type))
        for s in plan.offsets
    ]
    lines.append(f"{'offset':>12}{'bytes':>12}  phases  value")
    for at, size, first, last, name, type in sorted(rows):
        lines.append(f"{at:>12,}{size:>12,}  {f'{first}-{last}':>6}  {name} {type}")
    return "\n".join([*lines, "", schedule_text(schedule, plan, dims)])


def safe(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:80] or "_"


def _register(root: Path, name: str) -> int:
    """Add a function to the index of this run; its number there."""
    head = f"run {os.getpid()} {STARTED}"
    index = root / INDEX
    lines = index.read_text().splitlines() if index.exists() else []
    listed = lines[1:] if lines[:1] == [head] else []
    number = len(listed) + 1
    place = "." if number == 1 else f"{number:02}_{safe(name)}"
    listed.append(f"{number:02} {name}: {place}")
    write_whole(index, "\n".join([head, *listed, ""]).encode())
    return number


def _cannot(directory: Path, error: OSError) -> OSError:
    """The same kind of error, in the user's terms."""
    reason = error.strerror or str(error)
    return OSError(error.errno, f"GRAPHC_DUMP: cannot write to {directory}: {reason}")
