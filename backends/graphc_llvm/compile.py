"""From a program to an artifact: the part of the backend that a cache hit does without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.compiler.pipeline import Program
from graphc.ir.dims import dims_of, evaluate
from graphc.ir.graph import Graph
from graphc.ir.ops.base import Array
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.schedule import (
    CONSTANT,
    INPUT,
    OUTPUT,
    PARAMETER,
    PREPARED,
    RNG,
    Schedule,
    Storage,
    every_call,
)
from graphc_llvm.artifact import FOLDED, Artifact, cache_key
from graphc_llvm.cost import count_meetings, estimate_seconds
from graphc_llvm.emit_kernel import kernel_dims
from graphc_llvm.part import loop_numbers
from graphc_llvm.program import Module, emit_program
from graphc_llvm.runtime.cache import Entry, disk_cache
from graphc_llvm.runtime.session import compile_text
from graphc_llvm.target import Target


def compile_artifact(
    graph: Graph, program: Program, target: Target, dims: Mapping[str, int]
) -> Artifact:
    """Generate code for given sizes."""
    program.plan(dims)
    with program.times.of("emit"):
        module = emit_program(program, target, dims)
    with program.times.of("llvm"):
        image = compile_text(module.text, target)
    return describe(graph, program, module, dims, image)


def generic_image(graph: Graph, module: Module, target: Target) -> bytes:
    """Object code for all sizes, from the cache if it has been compiled before."""
    key = cache_key(graph, target, "generic")
    found = disk_cache().get(key)
    if found is not None:
        return found.image
    image = compile_text(module.text, target)
    disk_cache().put(key, Entry(image))
    return image


def describe(
    graph: Graph, program: Program, module: Module, dims: Mapping[str, int], image: bytes
) -> Artifact:
    """What is known about code for given sizes."""
    plan = program.plan(dims)
    numbering = _Numbering(graph, program)
    prepared = tuple(evaluate(s.type.nbytes, dims) for s in numbering.prepared)
    return Artifact(
        image,
        module.symbol,
        tuple(numbering.slot(s) for s in module.layout.slots),
        plan.arena_bytes,
        module.layout.scratch_bytes(dims),
        estimate_seconds(program.schedule, dims),
        count_meetings(program.schedule.calls, program.schedule.barriers, dims),
        tuple((c.code, numbering.node(c.node), c.message) for c in program.schedule.checks),
        prepared,
        tuple(numbering.folded),
        module.layout.sizes(dims, plan),
    )


def prepares_alike(schedule: Schedule) -> bool:
    """Whether what depends on parameters alone is the same for all sizes."""
    calls = schedule.prepare
    lengths = (size for call in calls for size in loop_numbers(call))
    kernels = (call.kernel for call in every_call(calls))
    return not any(map(dims_of, lengths)) and not any(map(kernel_dims, kernels))


class _Numbering:
    """Storages and nodes as numbers that mean the same in every process."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.numbers = {
            INPUT: {n: i for i, n in enumerate(graph.inputs)},
            PARAMETER: {n: i for i, n in enumerate(graph.leaves(Parameter))},
            CONSTANT: {n: i for i, n in enumerate(graph.leaves(Constant))},
        }
        schedule = program.schedule
        self.outputs = {s: i for i, s in enumerate(schedule.outputs)}
        made = {s: None for c in schedule.prepare for s in c.writes if s.role == PREPARED}
        self.prepared = {s: i for i, s in enumerate(made)}
        self.nodes = {n: i for i, n in enumerate(graph.nodes)}
        self.lines = {n.origin: i for n, i in self.nodes.items()}
        self.alike = {(n.origin, n.op.name): i for n, i in self.nodes.items()}
        self.folded: list[Array] = []

    def node(self, node: Any) -> int:
        """The number of a node of the defined graph; for a node that a pass made, of one from
        the same line, if possible with the same op; -1 for none."""
        line = self.lines.get(node.origin, -1)
        return self.nodes.get(node, self.alike.get((node.origin, node.op.name), line))

    def slot(self, storage: Storage) -> tuple[str, int]:
        """What an entry of ctx points at."""
        role = storage.role
        if role == OUTPUT:
            return role, self.outputs[storage]
        if role == PREPARED:
            return role, self.prepared[storage]
        if role == RNG:
            return role, 0
        node = storage.node
        assert node is not None
        if role == CONSTANT and node not in self.numbers[CONSTANT]:
            assert isinstance(node.op, Constant)
            self.folded.append(node.op.value)
            return FOLDED, len(self.folded) - 1
        return role, self.numbers[role][node]


__all__ = ["compile_artifact", "describe", "emit_program", "generic_image", "prepares_alike"]
