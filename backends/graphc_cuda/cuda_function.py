"""A compiled function on a device: code and memory for each of its variants.

The compiler (`compile_step.py`) is imported where code is made or looked at: a function whose code
is in the cache starts without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.compiler.options import Options
from graphc.config import environment
from graphc.errors import (
    ArgumentError,
    DTypeError,
    GraphcError,
    RuntimeCheckError,
    UnsupportedError,
)
from graphc.forked import ProcessLock
from graphc.ir.arrays import label
from graphc.ir.graph import Graph, Node, describe
from graphc.ir.ops.failure import has_fields, without_values
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.storage import WriteGuard, share_guard, stored
from graphc.ir.types import Array
from graphc_cuda.cuda_runner import CudaRunner
from graphc_cuda.device_api import Memory
from graphc_cuda.foreign_array import foreign_type
from graphc_cuda.launch import ARENA, Region
from graphc_cuda.library.choice import library_of
from graphc_cuda.open_device import OpenDevice
from graphc_cuda.resident import ResidentParameter, StepGuard
from graphc_cuda.step_code import step_code

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc_cuda.compile_step import StepCompiler


class CudaFunction:
    """Builds variants of one function for given sizes.

    `program` compiles the graph when first called; a variant found in the cache never calls it.
    `route` is the way to code, `rng` the random state (uint64: seed, step), `slow` the call with
    every check.
    """

    holds_data = True

    def __init__(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        device: OpenDevice,
        route: str,
        rng: Array,
        slow: Callable[..., Any],
    ) -> None:
        self.graph, self.options, self.program = graph, options, program
        self.device, self.route, self.rng, self.slow = device, route, rng, slow
        self.library = library_of(options)
        self.lent: Mapping[int, Memory] = {}  # of arrays that stand in for what lies on the device
        self.parameters = [stored(n) for n in graph.leaves(Parameter)]
        updated = [stored(p) for p, _ in graph.updates]
        share_guard(updated, StepGuard)
        self.residents: Sequence[ResidentParameter] = [
            ResidentParameter.of(p) for p in self.parameters
        ]
        self.updated_residents: Sequence[ResidentParameter] = [
            ResidentParameter.of(p) for p in updated
        ]
        self.watched: Sequence[bool] = [r not in self.updated_residents for r in self.residents]
        self._constants: dict[tuple[bool, int], Memory] = {}
        self._calling = ProcessLock()
        for parameter in self.parameters:
            parameter.readers.add(self)
        for resident in self.updated_residents:
            resident.written = True
        for reader in {r for p in updated for r in p.readers}:
            reader.expect_elsewhere()

    # -- the way in -------------------------------------------------------------------

    @property
    def entry(self) -> Callable[..., Any]:
        """A call that takes arrays of other libraries where they lie on the device."""
        return self.enter

    def enter(self, *args: Any, **named: Any) -> Any:
        """Call the function; what lies on the device has a stand-in that nobody reads."""
        inputs = self.graph.inputs
        values = [*zip(inputs, args), *((n, named[label(n)]) for n in inputs if label(n) in named)]
        taken = [x for x in (self._borrow(*pair) for pair in values) if x is not None]
        if not taken:
            return self.slow(*args, **named)
        stands = {id(value): array for value, array, _ in taken}
        mine = {id(array): memory for _, array, memory in taken}
        with self.device.lock:
            self.lent = {**self.lent, **mine}
        try:
            return self.slow(
                *(stands.get(id(v), v) for v in args),
                **{k: stands.get(id(v), v) for k, v in named.items()},
            )
        finally:
            with self.device.lock:
                self.lent = {k: m for k, m in self.lent.items() if k not in mine}
                for memory in mine.values():
                    memory.release()

    def _borrow(self, node: Node, value: Any) -> tuple[Any, Array, Memory] | None:
        """A value with an array of its type and its memory, if that is on the device."""
        found = foreign_type(value)
        if found is None:
            return None
        where = f"{self.graph.name}: input {label(node)}"
        if found[1] != node.type.dtype.name:
            text = f"{where} must be {node.type.dtype.name}, got {found[1]} on a GPU"
            raise DTypeError(text, operands=describe([node]), hint="convert it there")
        with self.device.lock:
            memory = self.device.device.borrow(value)
        if memory is None:
            raise ArgumentError(
                f"{where} is not on {self.device.name}, or not in C order from a multiple of 16"
                " bytes on",
                operands=describe([node]),
                hint="copy it there, or pass a numpy array",
            )
        return value, np.empty(found[0], node.type.dtype.numpy), memory

    # -- as a reader ------------------------------------------------------------------

    def add_lock(self, guard: WriteGuard) -> None:
        """Wait for the call that does not hold it; those to come look for guards."""
        with self._calling:
            pass

    def expect_elsewhere(self) -> None:
        """Every call looks where values are."""

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the device and all guards, with the newest values here or on the host."""
        self.device.check_process()
        with self._calling, ExitStack() as stack:
            guards = {p.guard.number: p.guard for p in self.parameters if p.guard is not None}
            for _, guard in sorted(guards.items()):
                stack.enter_context(guard.hold())
            for resident in self.residents:
                resident.leave_others(self.device)
            stack.enter_context(self.device.lock)
            yield

    # -- variants ---------------------------------------------------------------------

    def compiler(self) -> StepCompiler:
        """What makes code; where all code is in the cache, it is not even loaded."""
        from graphc_cuda.compile_step import StepCompiler

        capability = self.device.device.facts.capability
        return StepCompiler(self.graph, self.program(), self.route, capability, bool(self.library))

    def build(self, dims: Mapping[str, int]) -> CudaRunner:
        """A variant for given sizes."""
        self.device.check_process()
        if environment().check:
            raise UnsupportedError(
                f"{self.graph.name}: GRAPHC_CHECK=1 compares the kernels of target cpu only",
                hint=f'unset it, or compile for "cpu"; target is {self.options.target!r}',
            )
        library = f" {self.library}" if self.library else ""
        route = f"{self.route} {self.device.device.facts.capability}{library}"
        made = step_code(self.graph, dims, route, lambda dims: self.compiler().compile(dims))
        limit, arena = self.options.memory, made.plan.regions.get(Region(ARENA), 0)
        if limit is not None and arena > limit:  # the cache knows no limits
            self.program().plan(dims)
        return CudaRunner(self, dims, made)

    def build_generic(self) -> CudaGenericCode:
        """Every size has code of its own."""
        return CudaGenericCode(self)

    def constant(self, number: int, folded: Array | None) -> Memory:
        """A constant of the graph, or one that the passes made, on the device."""
        key = (folded is not None, number)
        if key not in self._constants:
            value = folded
            if value is None:
                op = self.graph.leaves(Constant)[number].op
                assert isinstance(op, Constant)
                value = op.value
            value = np.array(value, order="C")
            memory = self.device.allocate(max(1, value.nbytes))
            if value.nbytes:
                memory.upload(value)
            self._constants[key] = memory
        return self._constants[key]

    def failure(self, code: int, checks: Sequence[tuple[int, int, str]]) -> GraphcError:
        """The error of a failed check, with the user's line."""
        known = {c: (node, text) for c, node, text in checks}
        number, message = known.get(code, (-1, f"check {code}"))
        node = self.graph.nodes[number] if number >= 0 else None
        text = f"{self.graph.name}: {without_values(message)}; nothing was updated"
        named = describe(i for i in node.inputs if i.name) if node is not None else ()
        origin = None if node is None else node.origin
        error = RuntimeCheckError(text, operands=named, origin=origin)
        error.asks, error.node = has_fields(message), node
        return error


class CudaGenericCode:
    """A GPU's code is made for given sizes: this makes it for one after the other."""

    def __init__(self, owner: CudaFunction) -> None:
        self.owner = owner

    def bind(self, dims: Mapping[str, int]) -> CudaRunner:
        """Code for these sizes."""
        return self.owner.build(dims)
