"""Run a program one kernel at a time: to compare each with the interpreter, or to time it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.compiler.program import Program
from graphc.errors import BackendError
from graphc.ir.compare import Disagreement, compare
from graphc.ir.dims import evaluate
from graphc.ir.graph import Node
from graphc.ir.interpret import Interpreter
from graphc.ir.ops.base import Leaf
from graphc.ir.schedule import (
    CONSTANT,
    INPUT,
    OUTPUT,
    PARAMETER,
    PREPARED,
    RNG,
    TEMPORARY,
    KernelCall,
    Storage,
)  # fmt: skip
from graphc.ir.types import Array
from graphc_llvm.emit_program import call_symbol, emit_program
from graphc_llvm.runtime.barrier import NO_FAILURE, TEAM_BYTES
from graphc_llvm.runtime.description import ARENA, SCRATCH, SIZES, TEAM
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.pool import THREAD_BODY
from graphc_llvm.runtime.session import compile_text, session
from graphc_llvm.target import Target


class StepwiseProgram:
    """A program for given sizes in memory of its own (parameters are the shared ones)."""

    def __init__(self, program: Program, target: Target, dims: Mapping[str, int]) -> None:
        self.program, self.dims = program, dict(dims)
        self.schedule = program.schedule
        self.calls = (*self.schedule.prepare, *self.schedule.calls)
        module = emit_program(program, target, dims, stepwise=True)
        symbols = [call_symbol(module.symbol, i) for i in range(len(self.calls))]
        self._library = session().load_object(compile_text(module.text, target), symbols)
        self.parts = [THREAD_BODY(self._library[s]) for s in symbols]
        self.layout = module.layout
        plan = program.plan(dims)
        self.offsets = plan.offsets
        self.arena = aligned_bytes(plan.arena_bytes)
        self.scratch = aligned_bytes(self.layout.scratch_bytes(dims))
        self.team = aligned_bytes(TEAM_BYTES, zero=True)
        self.sizes = np.array((0,), np.int64)
        self.arrays: dict[Storage, Array] = {}

    def bind(self, inputs: Sequence[Array], rng: Array) -> None:
        """Take the arguments of one call of the function."""
        given = dict(zip(self.schedule.inputs, inputs))
        self.team[:4].view(np.uint32)[0] = NO_FAILURE
        for storage in self.layout.slots:
            self.arrays[storage] = self._memory(storage, given, rng)
        self.ctx = np.zeros(self.layout.count, np.uintp)
        for slot, array in ((ARENA, self.arena), (SCRATCH, self.scratch), (TEAM, self.team)):
            self.ctx[slot] = array.ctypes.data
        self.ctx[SIZES] = self.sizes.ctypes.data
        for storage, slot in self.layout.slots.items():
            self.ctx[slot] = self.arrays[storage].ctypes.data

    def run(self) -> Iterator[tuple[int, KernelCall, float]]:
        """Run call after call; yields its number, itself and its seconds, on one thread."""
        context = self.ctx.ctypes.data
        for i, (call, part) in enumerate(zip(self.calls, self.parts)):
            start = time.perf_counter()
            part(context, 0, 1)
            yield i, call, time.perf_counter() - start

    @property
    def failed(self) -> bool:
        """Whether a check has failed."""
        return int(self.team[:4].view(np.uint32)[0]) != NO_FAILURE

    def value(self, storage: Storage) -> Array:
        """A copy of what a storage holds now."""
        if storage.role != TEMPORARY:
            return np.array(self.arrays[storage])
        shape = self._shape(storage)
        count = int(np.prod(shape, dtype=np.int64)) * storage.type.dtype.itemsize
        start = self.offsets[storage]
        raw = self.arena[start : start + count].copy()
        return raw.view(storage.type.dtype.numpy).reshape(shape)

    def _shape(self, storage: Storage) -> tuple[int, ...]:
        return tuple(evaluate(s, self.dims) for s in storage.type.shape)

    def _memory(self, storage: Storage, given: Mapping[Storage, Array], rng: Array) -> Array:
        node = storage.node
        match storage.role:
            case role if role == INPUT:
                return given[storage]
            case role if role == RNG:
                return rng.view(np.uint32)
            case role if role == PARAMETER:
                assert node is not None
                return node.handle.memory  # type: ignore[no-any-return]
            case role if role == CONSTANT:
                assert node is not None
                return np.ascontiguousarray(node.op.value)  # type: ignore[attr-defined]
            case role if role in (OUTPUT, PREPARED):
                return np.empty(self._shape(storage), storage.type.dtype.numpy)
        raise AssertionError(storage)


def check_step(
    steps: StepwiseProgram, inputs: Sequence[Array], rng: Array, updates: Mapping[Node, Node]
) -> None:
    """Run one step and compare every kernel with the interpreter on what the kernel read.

    `updates` maps parameter nodes to their new values. Raises BackendError at the first kernel
    that disagrees, naming the node, the user's line and the error.
    """
    steps.bind(inputs, rng)
    known: dict[Node, Array] = {}
    for storage in (*steps.schedule.inputs, *steps.schedule.parameters):
        assert storage.node is not None
        source = steps.arrays.get(storage)
        if source is not None:
            known[storage.node] = np.array(source)
    nodes = set(steps.program.optimized.nodes)  # what a loop keeps to itself is not compared
    oracle = Interpreter(steps.dims, (int(rng[0]), int(rng[1])))
    for number, call, _ in steps.run():
        for storage in call.writes:
            node = updates.get(storage.node) if storage.role == PARAMETER else storage.node  # type: ignore[arg-type]
            if node not in nodes or steps.failed:
                continue
            actual = steps.value(storage)
            given = {k: v for k, v in known.items() if k is not node or isinstance(k.op, Leaf)}
            (expected,) = oracle.run([node], given)
            _agree(number, call, node, compare(actual, expected))
            known[node] = actual


def _agree(number: int, call: KernelCall, node: Node, found: Disagreement | None) -> None:
    if found is not None:
        raise BackendError(
            f"kernel {number} {call.kernel.name}: {node.name or node.op.name} {node.type}"
            f" disagrees with the interpreter: {found}",
            origin=node.origin,
        )


def profile_step(
    steps: StepwiseProgram, inputs: Sequence[Array], rng: Array, seconds: float = 0.3
) -> list[float]:
    """The median seconds of every call of the step on one thread; parameters are put back."""
    steps.bind(inputs, rng.copy())
    saved = {s: np.array(a) for s, a in steps.arrays.items() if s.role == PARAMETER}
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < end:
        rounds.append([spent for _, _, spent in steps.run()])
    for storage, value in saved.items():
        steps.arrays[storage][...] = value
    medians: Any = np.median(np.array(rounds), axis=0)
    every: list[float] = medians.tolist()
    return every[len(steps.schedule.prepare) :]
