"""A compiled function on this CPU: code and memory for each of its variants.

The compiler (`compile.py`) is imported where code is made or looked at: a function whose code is in
the cache starts without it, which saves most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.compiler.options import Options
from graphc.config import environment, usable_processors
from graphc.errors import GraphcError, RuntimeCheckError
from graphc.ir import storage
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph, describe
from graphc.ir.ops.failure import has_fields, without_values
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.schedule import CONSTANT, FOLDED, INPUT, OUTPUT, PARAMETER, PREPARED, RNG
from graphc.ir.storage import ParameterStorage, share_guard, stored
from graphc.ir.structure import Structure as UserStructure
from graphc.ir.types import Array, TensorType
from graphc_llvm.artifact import Artifact, artifact
from graphc_llvm.cost import choose_threads
from graphc_llvm.cpu_runner import CpuRunner, Prepared
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.description import (
    BUFFERS,
    Description,
    InputSlot,
    OutputSlot,
    ResultStructure,
)
from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.native_lock import NativeLock
from graphc_llvm.runtime.session import LoadedCode, session
from graphc_llvm.target import Target, host_target

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc_llvm.compile import Compiler
    from graphc_llvm.emit_program import EmittedProgram


class CpuFunction:
    """Builds variants of one function and runs them; `entry` is the fast way in.

    `program` compiles the graph when first called; a variant found in the cache never calls it.
    `rng` is the random state (uint64: seed, step); `slow` takes every call that does not fit a
    bound variant exactly.
    """

    holds_data = False

    def __init__(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        structure: UserStructure,
        rng: Array,
        slow: Callable[..., Any],
    ) -> None:
        self.graph, self.options, self.program = graph, options, program
        self.structure = native_structure(structure)
        self.random = rng.view(np.uint32)
        self.target: Target = host_target()
        self.parameters = [stored(n) for n in graph.leaves(Parameter)]
        self.updated = [stored(p) for p, _ in graph.updates]
        self.checks: dict[int, tuple[int, str]] = {}
        share_guard(self.updated, NativeLock)
        guards = [p.guard for p in self.parameters if p.guard is not None]
        self.native = NativeFunction(
            graph.name, slow=slow, guards=guards, failure=self.failure, bring=self.bring
        )
        for parameter in self.parameters:
            parameter.readers.add(self)
        if any(p.remote is not None and p.remote.written for p in self.parameters):
            self.expect_elsewhere()

    @property
    def entry(self) -> Callable[..., Any]:
        """The native entry, to be called with arrays."""
        return self.native.entry

    def add_lock(self, guard: storage.WriteGuard) -> None:
        """Take one more guard in every call."""
        self.native.add_lock(guard)

    def expect_elsewhere(self) -> None:
        """Bring values here in every call."""
        self.native.take_detour()

    def bring(self) -> None:
        """Bring the values of parameters here where they are elsewhere; its guards are held."""
        for parameter in self.parameters:
            if parameter.remote is not None:
                parameter.remote.fetch()

    def compiler(self) -> Compiler:
        """What makes code; where all code is in the cache, it is not even loaded."""
        from graphc_llvm.compile import Compiler

        return Compiler(self.graph, self.program(), self.target)

    def build(self, dims: Mapping[str, int]) -> CpuRunner:
        """A variant for given sizes; with GRAPHC_CHECK its kernels are compared at every call."""
        made = self._artifact(dims)
        runner = self.bind(made, dims, self.load(made.image, made.symbol))
        if environment().check:
            runner.check = self.compiler().checker(dims, self.updated)
        return runner

    def build_generic(self) -> CpuGenericCode:
        """Code for all sizes."""
        module, image = self.compiler().generic()
        return CpuGenericCode(self, module, self.load(image, module.symbol))

    def _artifact(self, dims: Mapping[str, int]) -> Artifact:
        """The code for these sizes; raises MemoryBudgetError where the arena is over its limit."""
        made = artifact(self.graph, self.target, dims, lambda dims: self.compiler().artifact(dims))
        limit = self.options.memory
        if limit is not None and made.arena_bytes > limit:  # the cache knows no limits
            self.program().plan(dims)
        return made

    def failure(self, code: int) -> GraphcError:
        """The error of a failed check, with the user's line."""
        number, message = self.checks.get(code, (-1, f"check {code}"))
        node = self.graph.nodes[number] if number >= 0 else None
        text = f"{self.graph.name}: {without_values(message)}; nothing was updated"
        named = describe(i for i in node.inputs if i.name) if node is not None else ()
        origin = None if node is None else node.origin
        error = RuntimeCheckError(text, operands=named, origin=origin)
        error.asks, error.node = has_fields(message), node
        return error

    # -- variants -------------------------------------------------------------------

    def load(self, image: bytes, symbol: str) -> LoadedCode:
        """Object code in this process."""
        return session().load_object(image, [f"{symbol}_part", f"{symbol}_prepare"])

    def bind(
        self,
        made: Artifact,
        dims: Mapping[str, int],
        library: LoadedCode,
        prepared: Prepared | None = None,
    ) -> CpuRunner:
        """Code with memory of its own, but for prepared values that it may share."""
        self.checks |= {code: (node, text) for code, node, text in made.checks}
        slots = {what: BUFFERS + i for i, what in enumerate(made.slots)}
        prepared = prepared or Prepared(made.prepared)
        variant = BoundCode(
            library,
            self._description(made, dims, slots),
            self._storages(made, slots, prepared.arrays),
            random=(slots.get((RNG, 0)), self.random),
            watches=[p.version for p in self._watched()] if prepared.arrays else (),
            bumps=[p.version for p in self.updated],
        )
        self.native.bind(variant)
        prepare = library[f"{made.symbol}_prepare"] if prepared.arrays else None
        return CpuRunner(self.compiler, self.native, dims, variant, prepared, prepare)

    def _watched(self) -> list[ParameterStorage]:
        updated = {id(p) for p in self.updated}
        return [p for p in self.parameters if id(p) not in updated]

    def _storages(
        self, made: Artifact, slots: Mapping[tuple[str, int], int], prepared: list[Array]
    ) -> dict[int, Array]:
        constants = self.graph.leaves(Constant)
        found: dict[int, Array] = {}
        for (role, number), slot in slots.items():
            if role == PARAMETER:
                found[slot] = self.parameters[number].memory
            elif role == CONSTANT:
                found[slot] = np.ascontiguousarray(constants[number].op.value)  # type: ignore[attr-defined]
            elif role == FOLDED:
                found[slot] = np.ascontiguousarray(made.folded[number])
            elif role == PREPARED:
                found[slot] = prepared[number]
        return found

    def _description(
        self, made: Artifact, dims: Mapping[str, int], slots: Mapping[tuple[str, int], int]
    ) -> Description:
        def shape(type: TensorType) -> tuple[int, ...]:
            return tuple(evaluate(s, dims) for s in type.shape)

        return Description(
            self.graph.name,
            f"{made.symbol}_part",
            BUFFERS + len(made.slots),
            tuple(
                InputSlot(n.name, slots[INPUT, i], n.type.dtype, shape(n.type))
                for i, n in enumerate(self.graph.inputs)
            ),
            tuple(
                OutputSlot(slots[OUTPUT, i], n.type.dtype, shape(n.type))
                for i, (_, n) in enumerate(self.graph.outputs)
            ),
            self.structure,
            made.sizes,
            made.arena_bytes,
            made.scratch_bytes,
            choose_threads(
                made.seconds, made.barriers, self.options.threads or usable_processors()
            ),
            made.seconds,
        )


class CpuGenericCode:
    """Code for all sizes; each that it is bound to has tables of its own."""

    def __init__(self, owner: CpuFunction, module: EmittedProgram, library: LoadedCode) -> None:
        self.owner, self.module, self.library = owner, module, library
        self._prepared: Prepared | None = None  # shared by all sizes, where no size matters

    def bind(self, dims: Mapping[str, int]) -> CpuRunner:
        """The code with the tables for these sizes."""
        compiler = self.owner.compiler()
        made = compiler.describe(self.module, dims)
        if self._prepared is None and compiler.prepares_alike:
            self._prepared = Prepared(made.prepared)
        runner = self.owner.bind(made, dims, self.library, self._prepared)
        runner.made_for = None
        return runner


def native_structure(structure: UserStructure) -> ResultStructure:
    """The structure of the results as native code builds it."""
    if structure.kind is None:
        return ResultStructure("single")
    flat = all(child.kind is None for child in structure.children)
    if flat and structure.kind in (tuple, list):
        return ResultStructure("tuple" if structure.kind is tuple else "list")
    if flat and structure.kind is dict:
        return ResultStructure("dict", structure.keys)
    return ResultStructure("custom", build=structure.build)
