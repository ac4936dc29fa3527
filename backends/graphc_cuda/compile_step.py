"""Compile a program to a step's code; skipped on a cache hit."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.compiler.numbering import Numbering
from graphc.compiler.program import Program
from graphc.errors import UnsupportedError
from graphc.ir.graph import Graph
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.runtime.backend import Launch
from graphc_cuda.assemble import disassemble
from graphc_cuda.check_plan import check_nodes
from graphc_cuda.launch import CONSTANT, INPUT, OUTPUT, PARAMETER, LaunchPlan
from graphc_cuda.list_launches import kernel_nodes, list_launches
from graphc_cuda.machine_code import compile_program, program_code, ptx_by
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import kernel_texts, numba_text
from graphc_cuda.step_code import NVPTX, TEXT, StepCode

_NUMBERED = (INPUT, OUTPUT, PARAMETER, CONSTANT)


class StepCompiler:
    """The compiler for one function; `capability` is that of the GPU that code is for.

    With `libraries`, large products are calls of a library.
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        route: str,
        capability: tuple[int, int],
        libraries: bool = False,
    ) -> None:
        self.graph, self.program = graph, program
        self.route, self.capability, self.libraries = route, capability, libraries

    @property
    def machine_route(self) -> str:
        """The way to machine code; the simulator needs none, and shows that of the default."""
        return NVPTX if self.route == TEXT else self.route

    def plan(self, dims: Mapping[str, int]) -> LaunchPlan:
        """The launches for given sizes."""
        with self.program.times.of("launches"):
            plan = plan_launches(self.program, dims, self.libraries)
            check_nodes(plan)
            return plan

    def compile(self, dims: Mapping[str, int]) -> StepCode:
        """Everything that a call needs for given sizes."""
        plan = self.plan(dims)
        with self.program.times.of("machine code"):
            code = program_code(plan.program, self.route, self.capability)
        numbering = Numbering(self.graph, self.program)
        schedule = self.program.schedule
        storages = {
            INPUT: schedule.inputs, OUTPUT: schedule.outputs,
            PARAMETER: schedule.parameters, CONSTANT: schedule.constants,
        }  # fmt: skip
        slots = tuple(
            numbering.slot(storages[r.role][r.number]) for r in plan.regions if r.role in _NUMBERED
        )
        checks = tuple((c.code, numbering.node(c.node), c.message) for c in schedule.checks)
        return StepCode(plan, code, slots, checks, tuple(numbering.folded))

    def source(self, language: str, dims: Mapping[str, int]) -> str:
        """The kernels for given sizes: as "cuda" Python, "ptx" or "sass"."""
        program = self.plan(dims).program
        if language == "cuda":
            return numba_text(program)
        if language == "ptx":
            return ptx_by(self.machine_route, program, self.capability)
        compiled = compile_program(program, self.capability, route=self.machine_route)
        cubin = compiled.assembled.cubin
        if cubin is None:
            raise UnsupportedError(
                "source: the driver makes the machine code here, and keeps it to itself",
                hint="pip install nvidia-cuda-nvcc",
            )
        return disassemble(cubin)

    def launches(self, dims: Mapping[str, int]) -> tuple[Launch, ...]:
        """What is launched, with what the assembler says of it where there is one."""
        plan = self.plan(dims)
        schedule = self.program.schedule
        return list_launches(plan, schedule, self.capability, self.machine_route)

    def kernel_sources(self, dims: Mapping[str, int]) -> dict[str, str]:
        """The "cuda" text of every kernel of the schedule: all its launches."""
        plan = self.plan(dims)
        texts = kernel_texts(plan.program)
        first = first_equal_kernels(self.program.schedule.kernels)
        made: dict[str, dict[str, None]] = {}
        for node in kernel_nodes((*plan.prepare, *plan.nodes)):
            for call in (part.call for part in node.single):
                if call is not None:
                    made.setdefault(first[call.kernel].name, {})[node.kernel.name] = None
        return {name: "\n\n".join(texts[k] for k in mine) for name, mine in made.items()}
