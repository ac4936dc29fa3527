"""A step on a device, bound to memory, and what a call does around its launches."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from graphc.errors import GraphcError, RuntimeCheckError, UnsupportedError
from graphc.ir.dims import evaluate
from graphc.ir.graph import Graph
from graphc.ir.types import Array
from graphc.runtime.backend import HeldData, Launch, Machine
from graphc_cuda.device_api import Code, Executable, Memory
from graphc_cuda.launch import (
    CONSTANT,
    INPUT,
    NO_FAILURE,
    OUTPUT,
    PARAMETER,
    PREPARED,
    RNG,
    STATUS,
    Region,
)
from graphc_cuda.list_launches import call_seconds, machine_of
from graphc_cuda.open_device import OpenDevice
from graphc_cuda.resident import ResidentParameter
from graphc_cuda.step_code import TEXT, StepCode

if TYPE_CHECKING:
    from graphc_cuda.compile_step import StepCompiler
    from graphc_cuda.epoch import EpochData

LANGUAGES = ("cuda", "ptx", "sass")  # of `source`: what people read, and what becomes of it
_OWN = (INPUT, OUTPUT, PREPARED, RNG, STATUS)  # regions that no other step uses
_BOUNDARY = 256
_PROFILED = 5  # rounds whose median is told


class StepOwner(Protocol):
    """A function as its variants know it (`cuda_function.CudaFunction`).

    `watched` says for every one of `residents`, the parameters, whether only others write it,
    `lent` has the memory of arrays, by identity, that stand in for what lies on the device.
    """

    graph: Graph
    device: OpenDevice
    route: str
    rng: Array
    residents: Sequence[ResidentParameter]
    updated_residents: Sequence[ResidentParameter]
    watched: Sequence[bool]
    lent: Mapping[int, Memory]

    def entered(self) -> AbstractContextManager[None]:
        """Hold the device and all guards, with the newest values here or on the host."""
        ...

    def compiler(self) -> StepCompiler:
        """What makes code."""
        ...

    def constant(self, number: int, folded: Array | None) -> Memory:
        """A constant of the graph, or one that the passes made, on the device."""
        ...

    def failure(self, code: int, checks: Sequence[tuple[int, int, str]]) -> GraphcError:
        """The error of a failed check."""
        ...


class CudaRunner:
    """One variant of a function, bound."""

    used = False
    threads: int | None = None

    def __init__(self, owner: StepOwner, dims: Mapping[str, int], made: StepCode) -> None:
        self.owner, self.dims, self.made = owner, dict(dims), made
        self.device = owner.device
        self.plan = made.plan
        numbered = (r for r in self.plan.regions if r.role in (INPUT, OUTPUT, PARAMETER, CONSTANT))
        self.slots = dict(zip(numbered, made.slots))
        self.results = [
            (tuple(evaluate(s, dims) for s in n.type.shape), n.type.dtype.numpy)
            for _, n in owner.graph.outputs
        ]
        self._prepared: list[int] | None = None  # versions that prepared values were made of
        with self.device.lock:
            self._bind()

    # -- memory -----------------------------------------------------------------------

    def _bind(self) -> None:
        """Take memory and load the code; nothing is left behind where there is too little."""
        device, sizes = self.device.device, self.plan.regions
        self.memories = self._own(sizes)
        self.inputs = {r: m for r, m in self.memories.items() if r.role == INPUT}
        own = self._whole
        try:
            self.memories |= self.device.shared(sizes)
            for region, (role, number) in self.slots.items():
                if region.role == PARAMETER:
                    self.memories[region] = self.owner.residents[number].memory(self.device)
                elif region.role == CONSTANT:
                    value = self.made.folded[number] if role != CONSTANT else None
                    self.memories[region] = self.owner.constant(number, value)
            code = device.load(self.plan.program, [self.made.code])
            self.executable = code.instantiate(self.plan, self.memories)
        except BaseException:
            own.release()
            raise
        self._release = weakref.finalize(self, _release, self.executable, code, own)
        self._release.atexit = False

    def _own(self, sizes: Mapping[Region, int]) -> dict[Region, Memory]:
        """Windows of one piece of memory."""
        offsets, end = {}, 0
        for region, size in sizes.items():
            if region.role in _OWN:
                offsets[region] = end
                end += -(-max(1, size) // _BOUNDARY) * _BOUNDARY
        self._whole = self.device.allocate(max(_BOUNDARY, end))
        return {r: self._whole.window(at, sizes[r]) for r, at in offsets.items()}

    def _follow_shared(self) -> None:
        """Use the present memory that steps use in turn: another one may have made it larger."""
        present = self.device.shared(self.plan.regions)
        moved = {r: m for r, m in present.items() if m is not self.memories[r]}
        if moved:
            self.memories |= moved
            self.executable.rebind(moved)

    def release(self) -> None:
        """Give back what no other step uses."""
        with self.device.lock:
            self._release()

    # -- calls ------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[Array], rng: Array) -> list[Array]:
        """The outputs in order; raises before anything persistent is written."""
        with self.owner.entered():
            self._follow_shared()
            self._feed(arrays)
            self._refresh()
            try:
                self._step(rng)
            except RuntimeCheckError:
                self._read_lent(arrays)
                raise
            return [self._output(i) for i in range(len(self.results))]

    def _feed(self, arrays: Sequence[Array]) -> None:
        """Upload the inputs, but for what lies on the device."""
        given = {r: arrays[n] for r, (_, n) in self.slots.items() if r.role == INPUT}
        lent = {r: self.owner.lent[id(a)] for r, a in given.items() if id(a) in self.owner.lent}
        self._place(lent)
        for region, array in given.items():
            if region not in lent:
                self._upload(region, array)

    def _place(self, lent: Mapping[Region, Memory]) -> None:
        """Read inputs where they lie, others where they are uploaded."""
        wanted = {r: lent.get(r, memory) for r, memory in self.inputs.items()}
        moved = {r: m for r, m in wanted.items() if m is not self.memories[r]}
        if moved:
            self.memories |= moved
            self.executable.rebind(moved)

    def _read_lent(self, arrays: Sequence[Array]) -> None:
        """Let the arrays that stand in hold what they stand for: somebody looks for the mistake."""
        for array in arrays:
            memory = self.owner.lent.get(id(array))
            if memory is not None:
                memory.download(array)

    def _refresh(self) -> None:
        """Bring parameters up to date, and what was prepared of them."""
        versions = [r.update(self.device) for r in self.owner.residents]
        watched = [v for v, w in zip(versions, self.owner.watched) if w]
        if self.plan.prepare and watched != self._prepared:
            self.executable.prepare()
            self._prepared = watched

    def _step(self, rng: Array) -> None:
        """Launch, and count it before anybody waits: it happens, also when Ctrl-C comes then."""
        region = Region(RNG)
        if region in self.memories:
            self.memories[region].upload(rng)
        for resident in self.owner.updated_residents:
            resident.wrote(self.device)
        self.executable.launch()
        rng[1] += np.uint64(1)
        if self.made.checks:
            status = np.empty(1, np.uint32)
            self.memories[Region(STATUS)].download(status)
            if status[0] != NO_FAILURE:
                rng[1] -= np.uint64(1)
                raise self.owner.failure(int(status[0]), self.made.checks)

    def _upload(self, region: Region, array: Array) -> None:
        if array.nbytes:
            self.memories[region].upload(array)

    def _output(self, number: int) -> Array:
        shape, dtype = self.results[number]
        result: Array = np.empty(shape, dtype)
        if result.nbytes:
            self.memories[Region(OUTPUT, number)].download(result)
        return result

    def epoch(
        self,
        arrays: Sequence[Array],
        batched: Sequence[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> list[Array] | None:
        """Step after step over rows of arrays that lie on the device; the outputs, stacked.

        None where they do not fit there.
        """
        from graphc_cuda.held_data import find_data

        inputs = {r: n for r, (_, n) in self.slots.items() if r.role == INPUT}
        rows = {r: arrays[n] for r, n in inputs.items() if batched[n]}
        if not rows:
            return None
        batch = self.plan.regions[next(iter(rows))] // next(iter(rows.values()))[:1].nbytes
        steps = len(order) // batch
        results = [np.empty((steps, *shape), dtype) for shape, dtype in self.results]
        shape = len(order), batch, sum(r.nbytes for r in results)
        with self.owner.entered():
            self._follow_shared()
            self._place({})
            for region, number in inputs.items():
                if not batched[number]:
                    self._upload(region, arrays[number])
            memories = {r: self.memories[r] for r in rows}
            data = find_data(self.device, self.owner.route, memories, rows, shape, held)
            if data is None:
                return None
            kept: list[Memory] = []
            try:
                kept += [self.device.device.allocate(max(1, r.nbytes)) for r in results]
                data.begin(order)
                self._steps(data, kept, steps)
                for memory, result in zip(kept, results):
                    if result.nbytes:
                        memory.download(result)
            finally:
                if held is None:
                    data.release()
                for memory in kept:
                    memory.release()
        return results

    def _steps(self, data: EpochData, kept: Sequence[Memory], steps: int) -> None:
        """All steps of an epoch; the outputs stay on the device."""
        rng = self.owner.rng
        for number in range(steps):
            data.take()
            self._refresh()
            try:
                self._step(rng)
            except RuntimeCheckError as error:
                error.step = number
                raise
            for i, memory in enumerate(kept):
                size = memory.nbytes // steps
                if Region(OUTPUT, i) in self.memories and size:
                    memory.copy(self.memories[Region(OUTPUT, i)].window(0, size), number * size)

    # -- to see -----------------------------------------------------------------------

    @property
    def languages(self) -> tuple[str, ...]:
        """What `source` shows."""
        return LANGUAGES

    def source(self, language: str) -> str:
        """The generated code: "cuda" Python, the "ptx" and the "sass" that it becomes."""
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise UnsupportedError(f"source: code for GPUs is in {known}, not in {language}")
        return self.owner.compiler().source(language, self.dims)

    def kernel_sources(self) -> Mapping[str, str]:
        """The numba-CUDA text of every kernel."""
        return self.owner.compiler().kernel_sources(self.dims)

    def launches(self) -> Sequence[Launch]:
        """Every launch with its form, and what the assembler says of its kernel."""
        return self.owner.compiler().launches(self.dims)

    @property
    def machine(self) -> Machine:
        """The GPU whose least times are said."""
        return machine_of(self.device.device.facts.capability)

    def profile(self, arrays: Sequence[Array], rng: Array) -> list[float] | None:
        """Median seconds of every kernel of a call; parameters are put back afterwards.

        None in the simulator, whose times say nothing.
        """
        if self.owner.route == TEXT:
            return None
        plan = self.owner.compiler().plan(self.dims)
        calls = self.owner.compiler().program.schedule.calls
        with self.owner.entered():
            self._follow_shared()
            self._feed(arrays)
            self._refresh()
            if Region(RNG) in self.memories:
                self.memories[Region(RNG)].upload(rng)
            saved = [(m, _saved(m)) for r, m in self.memories.items() if r.role == PARAMETER]
            try:
                rounds = [self.executable.profile() for _ in range(_PROFILED)]
            finally:
                for memory, data in saved:
                    memory.upload(data)
        medians = np.median(np.array(rounds), axis=0)
        return call_seconds(plan.nodes, calls, medians.tolist())


def _saved(memory: Memory) -> Array:
    """What memory holds."""
    data = np.empty(memory.nbytes, np.uint8)
    memory.download(data)
    return data


def _release(executable: Executable, code: Code, memory: Memory) -> None:
    executable.release()
    code.release()
    memory.release()
