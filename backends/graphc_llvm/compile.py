"""Compile a program to an artifact; skipped on a cache hit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from graphc.compiler.cache import CacheEntry, disk_cache
from graphc.compiler.numbering import Numbering
from graphc.compiler.pipeline import generate_code
from graphc.compiler.program import Program
from graphc.ir.dims import dims_of, evaluate
from graphc.ir.graph import Graph
from graphc.ir.loops.ir import kernel_dims
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.ir.schedule import (
    Schedule,
    every_call,
)
from graphc.ir.storage import ParameterStorage
from graphc.ir.types import Array
from graphc_llvm.artifact import Artifact, cache_key
from graphc_llvm.cost import count_barriers, estimate_seconds
from graphc_llvm.emit_program import EmittedProgram, emit_program
from graphc_llvm.emit_schedule import loop_numbers
from graphc_llvm.runtime.session import compile_text, emit_assembly
from graphc_llvm.stepwise import StepwiseProgram, check_step, profile_step
from graphc_llvm.target import Target

_FUNCTION = re.compile(r"^define [^\n]*@([^\s(]+)\(.*?^}$", re.MULTILINE | re.DOTALL)


class Generator:
    """Code for a processor through LLVM; under `key` it may be in the cache."""

    def __init__(self, target: Target, key: str | None = None) -> None:
        self.target, self.key = target, key

    def emit(self, program: Program, dims: Mapping[str, int] | None) -> EmittedProgram:
        """LLVM text."""
        return emit_program(program, self.target, dims)

    def assemble(self, text: EmittedProgram) -> bytes:
        """An object file."""
        found = None if self.key is None else disk_cache().get(self.key)
        if found is not None:
            return found.image
        image = compile_text(text.text, self.target)
        if self.key is not None:
            disk_cache().put(self.key, CacheEntry(image))
        return image


class Compiler:
    """The compiler for one function."""

    def __init__(self, graph: Graph, program: Program, target: Target) -> None:
        self.graph, self.program, self.target = graph, program, target

    def artifact(self, dims: Mapping[str, int]) -> Artifact:
        """Code for given sizes."""
        module, image = generate_code(self.program, dims, Generator(self.target))
        return self.describe(module, dims, image)

    def generic(self) -> tuple[EmittedProgram, bytes]:
        """Code for all sizes, from the cache if it has been compiled before."""
        key = cache_key(self.graph, self.target, "generic")
        return generate_code(self.program, None, Generator(self.target, key))

    def describe(
        self, module: EmittedProgram, dims: Mapping[str, int], image: bytes = b""
    ) -> Artifact:
        """What is known about code for given sizes."""
        return describe(self.graph, self.program, module, dims, image)

    @property
    def prepares_alike(self) -> bool:
        """Whether prepared values are the same for all sizes."""
        return prepares_alike(self.program.schedule)

    def source(self, language: str, dims: Mapping[str, int] | None) -> str:
        """The code for given sizes, or (None) for all: "llvm" text, or "asm" made of it."""
        text = emit_program(self.program, self.target, dims).text
        return text if language == "llvm" else emit_assembly(text, self.target)

    def kernel_sources(self, dims: Mapping[str, int] | None) -> dict[str, str]:
        """The LLVM text of every kernel."""
        names = dict.fromkeys(
            k.name for k in first_equal_kernels(self.program.schedule.kernels).values()
        )
        return split_kernels(self.source("llvm", dims), names)

    def checker(
        self, dims: Mapping[str, int], updated: Sequence[ParameterStorage]
    ) -> Callable[[Sequence[Array], Array], None]:
        """Return what runs a call kernel by kernel and raises where the interpreter disagrees."""
        steps = StepwiseProgram(self.program, self.target, dims)
        updates = dict(self.program.optimized.updates)

        def check(arrays: Sequence[Array], rng: Array) -> None:
            saved = [np.array(p.memory) for p in updated]
            check_step(steps, arrays, rng.copy(), updates)
            for parameter, value in zip(updated, saved):
                parameter.memory[...] = value

        return check

    def profile(self, dims: Mapping[str, int], arrays: Sequence[Array], rng: Array) -> list[float]:
        """Median seconds of every kernel on one thread; parameters are put back afterwards."""
        return profile_step(StepwiseProgram(self.program, self.target, dims), arrays, rng)


def describe(
    graph: Graph, program: Program, module: EmittedProgram, dims: Mapping[str, int], image: bytes
) -> Artifact:
    """What is known about code for given sizes."""
    plan = program.plan(dims)
    numbering = Numbering(graph, program)
    prepared = tuple(evaluate(s.type.nbytes, dims) for s in numbering.prepared)
    return Artifact(
        image,
        module.symbol,
        tuple(numbering.slot(s) for s in module.layout.slots),
        plan.arena_bytes,
        module.layout.scratch_bytes(dims),
        estimate_seconds(program.schedule, dims),
        count_barriers(program.schedule.calls, program.schedule.barriers, dims),
        tuple((c.code, numbering.node(c.node), c.message) for c in program.schedule.checks),
        prepared,
        tuple(numbering.folded),
        module.layout.sizes(dims, plan),
    )


def prepares_alike(schedule: Schedule) -> bool:
    """Whether prepared values are the same for all sizes."""
    calls = schedule.prepare
    lengths = (size for call in calls for size in loop_numbers(call))
    kernels = (call.kernel for call in every_call(calls))
    return not any(map(dims_of, lengths)) and not any(map(kernel_dims, kernels))


def split_kernels(text: str, names: Iterable[str]) -> dict[str, str]:
    """The functions of a module by kernel: those that only it calls stand before its own."""
    found: dict[str, str] = dict.fromkeys(names, "")
    waiting: list[str] = []
    for match in _FUNCTION.finditer(text):
        name = match[1].partition(".")[2]
        waiting = [*waiting, match[0]] if name else []
        if name in found:
            found[name], waiting = "\n\n".join(waiting), []
    return found
