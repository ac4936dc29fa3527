"""The compiler, top to bottom: read this first.

    Graph -> passes -> Graph -> fuse -> kernels -> order -> Schedule     compile_graph
    Schedule -> plan -> offsets -> emit -> text -> assemble -> code      generate_code

The first half works on symbolic sizes and knows no machine. The second half runs once for given
sizes (constants in the code) and once for all sizes; both compute the same kernels in the same
order of summation, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from graphc.compiler.fusion.fuse import fuse
from graphc.compiler.fusion.fused import Fused
from graphc.compiler.options import Options
from graphc.compiler.order.order import order
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.prepare import split_prepare
from graphc.compiler.program import Program
from graphc.compiler.timing import Times
from graphc.compiler.verify import verify_schedule
from graphc.ir.graph import Graph
from graphc.ir.schedule import Schedule

Text = TypeVar("Text")


class CodeGenerator(Protocol[Text]):
    """The stages that know the machine; every backend has them."""

    def emit(self, program: Program, dims: Mapping[str, int] | None) -> Text:
        """The text of all kernels and of the schedule that calls them."""
        ...

    def assemble(self, text: Text) -> bytes:
        """The machine code of a text."""
        ...


def compile_graph(graph: Graph, options: Options) -> Program:
    """Compile a graph as far as neither sizes nor the machine matter."""
    times = Times()
    with times.of("passes"):
        optimized, trace = run_passes(graph, GRAPH_PASSES)  # Graph -> Graph
    with times.of("fuse"):
        fused = fuse(optimized)  # Graph -> kernels
    with times.of("order"):
        schedule = schedule_calls(optimized, fused)  # kernels -> Schedule
        verify_schedule(schedule)
    return Program(graph, optimized, schedule, options, trace, times)


def generate_code(
    program: Program, dims: Mapping[str, int] | None, machine: CodeGenerator[Text]
) -> tuple[Text, bytes]:
    """Generate the code for given sizes, or (None) for all."""
    if dims is not None:
        program.plan(dims)  # Schedule -> offsets in one arena
    with program.times.of("emit"):
        text = machine.emit(program, dims)  # kernels, Schedule -> text
    with program.times.of("assemble"):
        return text, machine.assemble(text)  # text -> code


def schedule_calls(graph: Graph, fused: Fused) -> Schedule:
    """Put the calls in order; what depends on parameters alone goes to the prepare part."""
    prepare, main = split_prepare(graph, fused.calls)
    calls, barriers = order(main)
    return Schedule(
        graph.name, calls, barriers, prepare, fused.checks,
        fused.inputs, fused.outputs, fused.parameters, fused.constants, fused.rng,
    )  # fmt: skip
