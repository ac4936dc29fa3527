"""A compiled function on this CPU: code and memory for each of its variants.

The compiler (`compile.py`, `stepwise.py`) is imported where it is used: a function whose code is
in the cache starts without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.compiler.options import Options
from graphc.config import environment
from graphc.errors import GraphcError, RuntimeCheckError, UnsupportedError
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph, describe
from graphc.ir.ops.base import Array
from graphc.ir.ops.failure import has_fields, without_values
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.schedule import CONSTANT, INPUT, OUTPUT, PARAMETER, PREPARED, RNG
from graphc.ir.storage import Stored, stored
from graphc.ir.structure import Structure as UserStructure
from graphc_llvm.artifact import FOLDED, Artifact, artifact
from graphc_llvm.cost import choose_threads
from graphc_llvm.runtime.barrier import NO_FAILURE
from graphc_llvm.runtime.description import BUFFERS, Description, InputSlot, OutputSlot, Structure
from graphc_llvm.runtime.epoch import EpochPlan, run_epoch
from graphc_llvm.runtime.guard import Guard, hold_all
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.native import STALE, NativeFunction
from graphc_llvm.runtime.pool import PART
from graphc_llvm.runtime.session import Library, emit_assembly, session
from graphc_llvm.runtime.variant import Variant
from graphc_llvm.target import Target, host_target

if TYPE_CHECKING:
    from graphc.compiler.pipeline import Program
    from graphc_llvm.program import Module

KEPT = 1024  # sizes of the generic variant that stay bound


class CpuFunction:
    """Builds variants of one function and runs them; `entry` is the fast way in.

    `program` compiles the graph when first called; a variant found in the cache never calls it.
    `rng` is the random state (uint64: seed, step); `slow` takes every call that does not fit a
    bound variant exactly.
    """

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
        self._generic: tuple[Module, Library] | None = None
        self._special: dict[tuple[tuple[str, int], ...], Runner] = {}
        self._sized: dict[tuple[tuple[str, int], ...], Runner] = {}
        self._prepared: Prepared | None = None  # of the generic variant, where no size matters
        share_guard(self.updated)
        guards = [p.guard for p in self.parameters if p.guard is not None]
        self.native = NativeFunction(graph.name, slow=slow, guards=guards, failure=self.failure)
        for parameter in self.parameters:
            parameter.readers.add(self)

    @property
    def entry(self) -> Any:
        """Call this with arrays."""
        return self.native.entry

    def build(self, dims: Mapping[str, int]) -> Any:
        """A variant for given sizes."""
        if environment().check:
            return self._checked(dims)
        made = self._artifact(dims)
        runner = self._bind(made, dims, self._load(made.image, made.symbol))
        self._special[tuple(sorted(dims.items()))] = runner
        return runner

    def build_generic(self) -> Callable[..., list[Array]]:
        """A variant for all sizes; its tables for the latest sizes stay bound."""
        from graphc_llvm.compile import emit_program, generic_image

        if self._generic is None:
            module = emit_program(self.program(), self.target, None)
            image = generic_image(self.graph, module, self.target)
            self._generic = module, self._load(image, module.symbol)
        return self._run_generic

    def _artifact(self, dims: Mapping[str, int]) -> Artifact:
        """The code for these sizes; raises MemoryBudgetError where the arena is over its limit."""
        made = artifact(self.graph, self.program, self.target, dims)
        limit = self.options.memory
        if limit is not None and made.arena_bytes > limit:  # the cache knows no limits
            self.program().plan(dims)
        return made

    def _checked(self, dims: Mapping[str, int]) -> Any:
        """A runner that compares every kernel with the interpreter before the real step."""
        from graphc_llvm.stepwise import Stepwise, check_step

        program = self.program()
        steps = Stepwise(program, self.target, dims)
        made = self._artifact(dims)
        runner = self._bind(made, dims, self._load(made.image, made.symbol))
        updates = dict(program.optimized.updates)

        def run(arrays: Sequence[Array], dims: Mapping[str, int], rng: Array) -> list[Array]:
            saved = [np.array(p.memory) for p in self.updated]
            check_step(steps, arrays, rng.copy(), updates)
            for parameter, value in zip(self.updated, saved):
                parameter.memory[...] = value
            return runner(arrays, dims, rng)

        return run

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

    def epoch(
        self, dims: Mapping[str, int], arrays: list[Array], batched: list[bool], order: Array
    ) -> list[Array]:
        """Step after step over the rows that `order` names; the outputs of all steps, stacked."""
        runner = self._special.get(tuple(sorted(dims.items()))) or self._sized_runner(dims)
        return runner.epoch(arrays, batched, order)

    def _run_generic(
        self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array
    ) -> list[Array]:
        return self._sized_runner(dims)(arrays, dims, rng)

    def _sized_runner(self, dims: Mapping[str, int]) -> Runner:
        """The generic code with the tables for these sizes; those in use are kept."""
        key = tuple(sorted(dims.items()))
        runner = self._sized.get(key)
        if runner is not None:
            runner.variant.table.used = 1
            return runner
        while len(self._sized) >= KEPT:
            self._forget_one()
        self._sized[key] = self._size(dims)
        return self._sized[key]

    def _forget_one(self) -> None:
        """Unbind the first size that no call has found since it was last considered."""
        while True:
            key = next(iter(self._sized))
            runner = self._sized.pop(key)
            if not runner.variant.table.used:
                self.native.unbind(runner.variant)
                return
            runner.variant.table.used = 0
            self._sized[key] = runner  # considered: the last one now

    def _size(self, dims: Mapping[str, int]) -> Runner:
        from graphc_llvm.compile import describe, prepares_alike

        assert self._generic is not None
        module, library = self._generic
        made = describe(self.graph, self.program(), module, dims, b"")
        if self._prepared is None and prepares_alike(self.program().schedule):
            self._prepared = Prepared(made.prepared)
        return self._bind(made, dims, library, self._prepared)

    def _load(self, image: bytes, symbol: str) -> Library:
        return session().load_object(image, [f"{symbol}_part", f"{symbol}_prepare"])

    def _bind(
        self,
        made: Artifact,
        dims: Mapping[str, int],
        library: Library,
        prepared: Prepared | None = None,
    ) -> Runner:
        self.checks |= {code: (node, text) for code, node, text in made.checks}
        slots = {what: BUFFERS + i for i, what in enumerate(made.slots)}
        prepared = prepared or Prepared(made.prepared)
        variant = Variant(
            library,
            self._description(made, dims, slots),
            self._storages(made, slots, prepared.arrays),
            random=(slots[RNG, 0], self.random) if (RNG, 0) in slots else None,
            watches=[p.version for p in self._watched()] if prepared.arrays else (),
            bumps=[p.version for p in self.updated],
        )
        self.native.bind(variant)
        prepare = library[f"{made.symbol}_prepare"] if prepared.arrays else None
        return Runner(self, dims, variant, prepared, prepare)

    def _watched(self) -> list[Stored]:
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
        def shape(type: Any) -> tuple[int, ...]:
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
                made.seconds, made.meetings, self.options.threads or available_threads()
            ),
            made.seconds,
        )


class Prepared:
    """What depends on parameters alone, and the versions of these that it was made of."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.arrays = [aligned_bytes(n) for n in sizes]
        self.versions: list[int] | None = None


class Runner:
    """One bound variant."""

    def __init__(
        self,
        owner: CpuFunction,
        dims: Mapping[str, int],
        variant: Variant,
        prepared: Prepared,
        prepare: int | None,
    ) -> None:
        self.owner, self.dims = owner, dict(dims)
        self.native, self.variant = owner.native, variant
        self.prepared, self.prepare = prepared, prepare
        if prepare is not None:
            self._prepare()

    def __call__(self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array) -> list[Array]:
        """The outputs in order; raises before anything persistent is written."""
        outputs = self.variant.description.outputs
        results: list[Array] = [np.empty(o.shape, o.dtype.numpy) for o in outputs]
        kept = [np.require(a, requirements=["C", "A"]) for a in arrays]
        status = STALE
        while status == STALE:
            self.refresh()
            status = self.native.execute(self.variant, kept, results)
        if status != NO_FAILURE:
            raise self.native.failure(status)
        return results

    def epoch(self, arrays: list[Array], batched: list[bool], order: Array) -> list[Array]:
        """Step after step over rows of the arrays; the outputs of all steps, stacked."""
        self.refresh()
        described = self.variant.description
        batch = next(i.shape[0] for i, taken in zip(described.inputs, batched) if taken)
        steps = len(order) // batch
        results = [np.empty((steps, *o.shape), o.dtype.numpy) for o in described.outputs]
        kept = [np.require(a, requirements=["C", "A"]) for a in arrays]
        plan = EpochPlan(
            order,
            batch,
            steps,
            tuple(a if taken else None for a, taken in zip(kept, batched)),
            tuple(None if taken else a for a, taken in zip(kept, batched)),
            tuple(results),
        )
        for _ in run_epoch(self.native, self.variant, plan, self.refresh):
            pass  # between two chunks Python looks for Ctrl-C
        return results

    @property
    def threads(self) -> int:
        """How many threads run it."""
        return self.variant.description.threads

    def profile(self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array) -> list[float]:
        """Median seconds of every kernel on one thread; parameters are put back afterwards."""
        from graphc_llvm.stepwise import Stepwise, profile_step

        steps = Stepwise(self.owner.program(), self.owner.target, dims)
        return profile_step(steps, arrays, rng)

    def source(self, language: str) -> str:
        """The generated code: "llvm" text, or the "asm" that it becomes."""
        from graphc_llvm.compile import emit_program

        if language not in ("llvm", "asm"):
            raise UnsupportedError(f"source: code for CPUs is in llvm or asm, not in {language}")
        text = emit_program(self.owner.program(), self.owner.target, self.dims).text
        return text if language == "llvm" else emit_assembly(text, self.owner.target)

    def refresh(self) -> None:
        """Compute what depends on parameters alone again if one has changed."""
        if self.prepare is not None and self.variant.stale:
            self._prepare()

    def _prepare(self) -> None:
        """Compute what depends on parameters alone, unless another size has."""
        assert self.prepare is not None
        self.native.get_ready(self.variant)
        with hold_all(self.native.guards):  # parameters of one moment
            versions = self.variant.versions  # a change from now on makes it stale again
            if self.prepared.versions != versions:
                PART(self.prepare)(self.variant.ctx.ctypes.data, 0, 1)
                self.prepared.versions = versions
            self.variant.mark_fresh(versions)


def native_structure(structure: UserStructure) -> Structure:
    """The structure of the results as native code builds it."""
    if structure.kind is None:
        return Structure("single")
    flat = all(child.kind is None for child in structure.children)
    if flat and structure.kind in (tuple, list):
        return Structure("tuple" if structure.kind is tuple else "list")
    if flat and structure.kind is dict:
        return Structure("dict", structure.keys)
    return Structure("custom", build=structure.build)


def share_guard(written: Sequence[Stored]) -> None:
    """Give parameters that are about to be written a guard, one for all that have none yet.

    Functions that read them take it from now on: they never see half a step.
    """
    fresh = [p for p in written if p.guard is None]
    guard = Guard() if fresh else None
    for parameter in fresh:
        parameter.guard = guard
    for function in {f for p in fresh for f in p.readers}:
        function.native.also_hold(guard)


def available_threads() -> int:
    """The processors that this process may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
