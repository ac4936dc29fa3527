"""Run a launch plan in the simulator, every call beside the loop interpreter.

A call's launches read what the calls before left in memory; the interpreter runs the same kernel
on a copy of it. Both must leave the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_graph
from graphc.compiler.program import Program
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph
from graphc.ir.loops.kernel_interpreter import run_kernel
from graphc.ir.ops.leaf import Constant
from graphc.ir.schedule import KernelCall, LoopCall, Storage
from graphc.ir.storage import stored
from graphc.ir.types import Array, DType
from graphc.testing import assert_close
from graphc_cuda.device.program import DeviceKernel, Intrinsic, walk
from graphc_cuda.launch import (
    CONSTANT,
    INPUT,
    NO_FAILURE,
    OUTPUT,
    PARAMETER,
    RNG,
    STATUS,
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    Node,
    Place,
    Region,
)
from graphc_cuda.lower.split_sums import split_sums
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import numba_text
from graphc_cuda.simulate import simulate

RANDOM = (7, 0)
POISON = 0x7B


@dataclass
class Stepwise:
    """A program for given sizes with memory of its own, and what has been run of it."""

    program: Program
    dims: Mapping[str, int]
    plan: LaunchPlan = field(init=False)
    memory: dict[Region, Array] = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.plan = plan_launches(self.program, self.dims, merge=False)
        self.text = numba_text(self.plan.program)
        self.memory = {
            region: np.full(-(-size // 64) * 64 + 64, POISON, np.uint8)
            for region, size in self.plan.regions.items()
        }

    def bind(self, arrays: Sequence[Array], rng: tuple[int, int] = RANDOM) -> None:
        """Put the arguments of a step in place."""
        schedule = self.program.schedule
        for i, array in enumerate(arrays):
            self._put(Region(INPUT, i), array)
        for i, storage in enumerate(schedule.parameters):
            assert storage.node is not None
            self._put(Region(PARAMETER, i), stored(storage.node).memory)
        for i, storage in enumerate(schedule.constants):
            assert storage.node is not None
            assert isinstance(storage.node.op, Constant)
            self._put(Region(CONSTANT, i), storage.node.op.value)
        self._put(Region(RNG), np.array(rng, np.uint64))

    def run(self) -> list[Array]:
        """Run everything in order; the outputs."""
        self._nodes(self.plan.prepare)
        self._nodes(self.plan.nodes)
        found = []
        for i, storage in enumerate(self.program.schedule.outputs):
            place = Place(Region(OUTPUT, i), 0, self._bytes(storage))
            found.append(self._array(place, storage))
        return found

    # -- memory -----------------------------------------------------------------------

    def _put(self, region: Region, array: Array) -> None:
        raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        if region in self.memory:
            self.memory[region][: raw.size] = raw

    def _raw(self, place: Place) -> Array:
        return self.memory[place.region][place.offset : place.offset + place.size]

    def _bytes(self, storage: Storage) -> int:
        return evaluate(storage.type.nbytes, self.dims)

    def _array(self, place: Place, storage: Storage) -> Array:
        shape = tuple(evaluate(s, self.dims) for s in storage.type.shape)
        return self._raw(place).view(storage.type.dtype.numpy).reshape(shape)

    @property
    def status(self) -> int:
        """The code of a failed check so far, or NO_FAILURE."""
        found = self.memory.get(Region(STATUS))
        return NO_FAILURE if found is None else int(found[:4].view(np.uint32)[0])

    # -- nodes ------------------------------------------------------------------------

    def _nodes(self, nodes: Sequence[Node]) -> None:
        for call, group in groupby(nodes, lambda n: getattr(n, "call", None)):
            same = list(group)
            if call is not None:
                for launches in _repetitions(same):
                    self._call(call, launches)
                continue
            for node in same:
                self._other(node)

    def _other(self, node: Node) -> None:
        if isinstance(node, FillNode):
            self._raw(node.place).view(np.uint32)[...] = node.value
            return
        assert isinstance(node, DynamicLoop)
        self._nodes(node.before)
        most, done = node.most, 0
        if node.count is not None:
            most = max(0, min(most, int(self._raw(node.count).view(np.int64)[0])))
        while done < most and (not node.conditions or self._raw(node.conditions[done])[0]):
            self._nodes(node.iteration(done, most))
            done += 1
        self._nodes(node.after[done] if node.after else ())

    def _launch(self, node: KernelNode) -> None:
        pairs = zip(node.kernel.arrays, node.arguments)
        arrays = [self._raw(p).view(a.dtype.numpy)[: a.size] for a, p in pairs]
        simulate(self.text, node.kernel.name, node.grid, node.kernel.block, arrays)

    def _call(self, call: KernelCall, nodes: Sequence[KernelNode]) -> None:
        """The launches of one call, compared with its kernel."""
        assert not isinstance(call, LoopCall)
        self.calls += 1
        places = {s: p for n in nodes for s, p in zip(n.storages, n.arguments) if s is not None}
        given = {}
        for buffer, storage in zip(call.kernel.arguments, call.arguments):
            shape = tuple(evaluate(s, self.dims) for s in buffer.shape)
            empty = np.zeros(shape, buffer.dtype.numpy)
            place = places.get(storage)
            found = empty if place is None else np.array(self._array(place, storage))
            given[buffer.name] = found.reshape(shape)
        before = self.status
        code = run_kernel(split_sums(call.kernel, self.dims), given, self.dims)
        for node in nodes:
            self._launch(node)
        wanted = before if code is None else min(before, code)
        assert self.status == wanted, f"{call.kernel.name}: status {self.status}, not {wanted}"
        if before != NO_FAILURE:  # what commits has done nothing
            return
        pairs = dict(zip(call.kernel.arguments, call.arguments))
        kernels = [node.kernel for node in nodes]
        for buffer in call.kernel.writes:
            place = places.get(pairs[buffer])
            if place is not None:
                actual = self._array(place, pairs[buffer])
                same = same_sums if any(map(has_matrices, kernels)) else same_bits
                same(actual, given[buffer.name], f"{nodes[0].kernel.name}: {buffer}")


def _repetitions(nodes: Sequence[KernelNode]) -> list[list[KernelNode]]:
    """The launches of one call that a loop repeats, one repetition after the other."""
    found: list[list[KernelNode]] = []
    for node in nodes:
        if not found or any(n.kernel is node.kernel for n in found[-1]):
            found.append([])
        found[-1].append(node)
    return found


def same_bits(actual: Array, expected: Array, what: str) -> None:
    """Compare bit by bit; one NaN is as good as another."""
    a, b = actual.reshape(-1), expected.reshape(-1)
    raw = np.dtype(f"u{max(1, a.dtype.itemsize)}")
    same = np.ascontiguousarray(a).view(raw) == np.ascontiguousarray(b).view(raw)
    if a.dtype.kind not in "biu":
        wide = a.astype(np.float64), b.astype(np.float64)
        same |= np.isnan(wide[0]) & np.isnan(wide[1])
    if not same.all():
        at = tuple(np.argwhere(~same)[0])
        raise AssertionError(f"{what}: {a[at]!r} at {at}, not {b[at]!r} ({(~same).sum()} differ)")


def same_sums(actual: Array, expected: Array, what: str) -> None:
    """Compare sums whose order is that of matrix instructions."""
    assert_close(actual, expected, tolerance="sums", message=what)


def has_matrices(kernel: DeviceKernel) -> bool:
    """Whether a kernel multiplies by matrix instructions."""
    found = (s.function for s in walk(kernel.body) if isinstance(s, Intrinsic))
    return any(name.startswith("mma_") for name in found)


def run_graph(
    graph: Graph,
    arrays: Sequence[Array],
    dims: Mapping[str, int] | None = None,
    kind: type[Stepwise] = Stepwise,
) -> tuple[list[Array], Stepwise]:
    """Compile a graph, run it call by call; the outputs and how they came about."""
    steps = kind(compile_graph(graph, Options()), dims or {})
    steps.bind(arrays)
    return steps.run(), steps


__all__ = ["DType", "Stepwise", "has_matrices", "run_graph", "same_bits", "same_sums"]
