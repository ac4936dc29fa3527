"""A schedule for given sizes as launches on places in memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphc.compiler import program as compiler
from graphc.compiler.memory.plan import MemoryPlan
from graphc.compiler.precision import rounded_to
from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import Buffer, Kernel
from graphc.ir.loops.kernel_equality import first_equal_kernels
from graphc.ir.precision import TF32
from graphc.ir.schedule import CONSTANT as CONSTANT_ROLE
from graphc.ir.schedule import (
    INPUT,
    OUTPUT,
    TEMPORARY,
    KernelCall,
    LoopCall,
    RowWindow,
    Storage,
    round_up,
)
from graphc.ir.schedule import PARAMETER as PARAMETER_ROLE
from graphc.ir.schedule import PREPARED as PREPARED_ROLE
from graphc.ir.schedule import RNG as RNG_ROLE
from graphc.origin import Origin
from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import Program
from graphc_cuda.launch import (
    ARENA,
    CONSTANT,
    NO_FAILURE,
    PARAMETER,
    PREPARED,
    RNG,
    STATUS,
    WORK,
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    LibraryNode,
    Node,
    Place,
    Region,
)
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.launches import LoweredLaunch, Work
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.merge_launches import merge_launches
from graphc_cuda.persistent import loop_launches

Launches = tuple[LoweredLaunch, ...]
_NOT_LETTER = re.compile(r"\W")
STATUS_PLACE = Place(Region(STATUS), 0, 4)
RNG_BYTES = 16


def plan_launches(
    program: compiler.Program,
    dims: Mapping[str, int],
    libraries: bool = False,
    *,
    merge: bool = True,
) -> LaunchPlan:
    """All launches of a step for given sizes, and the code of their kernels.

    With `libraries`, large products are calls of a library. Small launches that do not depend on
    each other become one, and so do those of a loop of known length, unless `merge` is False.
    """
    plan = _Planning(program, dims, libraries).plan()
    return merge_launches(loop_launches(plan)) if merge else plan


@dataclass(frozen=True)
class _Key:
    """What kernels that share code have in common."""

    kernel: Kernel
    commits: bool
    aliased: frozenset[str]
    rounded: frozenset[str]


class _Planning:
    def __init__(
        self, program: compiler.Program, dims: Mapping[str, int], libraries: bool = False
    ) -> None:
        self.libraries = libraries
        self.program, self.dims, self.schedule = program, dims, program.schedule
        self.memory: MemoryPlan = program.plan(dims)
        self.functions = Functions()
        self.first = first_equal_kernels(self.schedule.kernels)
        self.lowered: dict[_Key, Launches] = {}
        self.work = 0  # bytes in use by the present call
        self.work_bytes = 0
        self.windows: dict[Storage, Place] = {}
        self.roles = self._numbered()

    def plan(self) -> LaunchPlan:
        """The whole plan."""
        prepare = tuple(n for call in self.schedule.prepare for n in self._call(call, False))
        nodes: list[Node] = []
        if self.schedule.checks:
            nodes.append(FillNode(STATUS_PLACE, NO_FAILURE))
        commit = None
        phases = self.schedule.phases()
        for number, call in enumerate(self.schedule.calls):
            if number and phases[number] != phases[number - 1]:
                self.work = 0
            if call.commits and commit is None:
                commit = len(nodes)
            nodes += self._call(call, bool(self.schedule.checks) and commit is not None)
        lowered = (x for launches in self.lowered.values() for x in launches)
        kernels = tuple(x.kernel for x in lowered if x.product is None)
        code = Program(self.program.name, self.functions.listed(), kernels)
        position = len(nodes) if commit is None else commit
        edges = find_edges(nodes)
        return LaunchPlan(
            self.program.name, code, tuple(nodes), edges, prepare, position, self._regions()
        )

    # -- places -----------------------------------------------------------------------

    def _numbered(self) -> dict[Storage, Region]:
        """The region of every storage that is not in the arena."""
        schedule = self.schedule
        found: dict[Storage, Region] = {}
        groups = (
            (INPUT, schedule.inputs), (OUTPUT, schedule.outputs),
            (PARAMETER, schedule.parameters), (CONSTANT, schedule.constants),
        )  # fmt: skip
        for role, storages in groups:
            found |= {s: Region(role, i) for i, s in enumerate(storages)}
        if schedule.rng is not None:
            found[schedule.rng] = Region(RNG)
        return found

    def _bytes(self, storage: Storage) -> int:
        return evaluate(storage.type.nbytes, self.dims)

    def place(self, storage: Storage) -> Place:
        """Where a storage is."""
        if storage in self.windows:
            return self.windows[storage]
        if storage.role == TEMPORARY:
            offset = self.memory.offsets[storage]
            return Place(Region(ARENA), offset, self._bytes(storage))
        if storage.role == PREPARED_ROLE:
            offset = self.memory.prepared[storage]
            return Place(Region(PREPARED), offset, self._bytes(storage))
        size = RNG_BYTES if storage.role == RNG_ROLE else self._bytes(storage)
        assert storage.role in (INPUT, OUTPUT, PARAMETER_ROLE, CONSTANT_ROLE, RNG_ROLE)
        return Place(self.roles[storage], 0, size)

    def _regions(self) -> dict[Region, int]:
        found = {
            region: RNG_BYTES if region.role == RNG else self._bytes(storage)
            for storage, region in self.roles.items()
        }
        found[Region(ARENA)] = self.memory.arena_bytes
        found[Region(WORK)] = self.work_bytes
        found[Region(PREPARED)] = self.memory.prepared_bytes
        found[Region(STATUS)] = 4
        return {region: max(1, size) for region, size in found.items()}

    # -- calls ------------------------------------------------------------------------

    def _call(self, call: KernelCall, commits: bool) -> list[Node]:
        if isinstance(call, LoopCall):
            return self._loop(call, commits)
        return list(self._kernel(call, commits))

    def _kernel(self, call: KernelCall, commits: bool) -> Iterator[KernelNode | LibraryNode]:
        """The launches of one call; their work memory is the call's alone."""
        work: dict[Work, Place] = {}
        kernel = self.first[call.kernel]
        buffers = dict(zip(kernel.arguments, call.arguments))
        for launch in self._lower(call, commits):
            places = tuple(self._source(s, buffers, work) for s in launch.sources)
            storages = tuple(buffers[s] if isinstance(s, Buffer) else None for s in launch.sources)
            if launch.product is not None:
                yield _product_node(launch, places, call, storages)
            else:
                yield KernelNode(launch.kernel, launch.grid, places, call, storages)

    def _source(
        self,
        source: Buffer | Work | str,
        buffers: Mapping[Buffer, Storage],
        work: dict[Work, Place],
    ) -> Place:
        if isinstance(source, Buffer):
            return self.place(buffers[source])
        if isinstance(source, str):
            return STATUS_PLACE
        if source not in work:
            work[source] = Place(Region(WORK), self.work, source.array.nbytes)
            self.work += round_up(source.array.nbytes)
            self.work_bytes = max(self.work_bytes, self.work)
        return work[source]

    def _lower(self, call: KernelCall, commits: bool) -> Launches:
        kernel = self.first[call.kernel]
        places = [self.place(s) for s in call.arguments]
        aliased = frozenset(
            b
            for b, mine in zip(kernel.arguments, places)
            if any(mine is not other and mine.overlaps(other) for other in places)
        )
        rounded = frozenset(
            b for b, s in zip(kernel.arguments, call.arguments) if _is_rounded_to_tf32(s)
        )
        names = (frozenset(b.name for b in each) for each in (aliased, rounded))
        key = _Key(kernel, commits, *names)
        if key not in self.lowered:
            name = self._name(kernel.name)
            note = tuple(_lines(call))
            self.lowered[key] = lower_kernel(
                kernel, self.dims, self.functions, name, commits, note, aliased, self.libraries,
                rounded,
            )  # fmt: skip
        return self.lowered[key]

    def _name(self, wish: str) -> str:
        """The name of the next kernel: what it computes, and a number that no other has."""
        return f"k{len(self.lowered):02d}_{_NOT_LETTER.sub('_', wish)}"

    # -- loops ------------------------------------------------------------------------

    def _loop(self, call: LoopCall, commits: bool) -> list[Node]:
        """Every iteration's launches, where their number is known; else a loop of the host."""
        length = evaluate(call.length, self.dims)
        start = self.work
        before = self._part(call, call.before, 0, length, commits)
        dynamic = call.count is not None or call.condition is not None
        turns = self._turns(call, length)
        iterations, conditions = [], []
        base = self.work
        for step in range(length):
            if call.condition is not None:
                conditions.append(self._window(call.windows[call.condition], step, length))
            for done in range(turns) if turns else (step,):  # what is left is the same for all
                self.work = base
                steps = length - step + done
                part = self._part(call, call.repeated, done, steps, commits) if done <= step else []
                iterations.append(part)
        self.work = base
        if not dynamic:
            after = self._part(call, call.after, length, length, commits)
            self.work = start
            return [*before, *(n for nodes in iterations for n in nodes), *after]
        ends = []
        for steps in range(length + 1):
            self.work = base
            ends.append(tuple(self._part(call, call.after, steps, length, commits)))
        self.work = start
        count = None if call.count is None else self.place(call.count)
        repeated = tuple(map(tuple, iterations))
        return [DynamicLoop(tuple(before), repeated, tuple(ends), count, tuple(conditions), turns)]

    def _turns(self, call: LoopCall, length: int) -> int:
        """After how many steps the places repeat of a loop that goes backward from its count.

        0 for other loops, where the step says all.
        """
        backward = {s for s, w in call.windows.items() if w.backward}
        if call.count is None or not backward:
            return 0
        outside = (s for c in (*call.before, *call.after) for s in c.arguments)
        assert not backward.intersection(outside)
        forward = (w.base.type.shape[0] for w in call.windows.values() if not w.backward)
        rows = (max(1, evaluate(r, self.dims)) for r in forward)
        return max(1, min(length, math.lcm(*rows)))

    def _part(
        self, loop: LoopCall, calls: Iterable[KernelCall], step: int, length: int, commits: bool
    ) -> list[Node]:
        """The launches of one part at a step."""
        outside = dict(self.windows)
        for storage, window in loop.windows.items():
            self.windows[storage] = self._window(window, step, length)
        nodes = [n for call in calls for n in self._call(call, commits)]
        self.windows = outside
        return nodes

    def _window(self, window: RowWindow, step: int, length: int) -> Place:
        """The row of a storage that belongs to a step."""
        base = self.place(window.base)
        shape = window.base.type.shape
        rows = evaluate(shape[0], self.dims)
        size = evaluate(window.base.type.with_shape(shape[1:]).nbytes, self.dims)
        row = (length - 1 - step if window.backward else step) + window.ahead
        if window.ahead or not window.backward:
            row = row % rows if rows else 0
        # beyond the end, where `after` does not use it, row -1 would be in front of the storage
        return Place(base.region, base.offset + max(0, row) * size, size)


def _is_rounded_to_tf32(storage: Storage) -> bool:
    """Whether a storage holds nothing but values that were rounded."""
    node = storage.node
    return storage.role == TEMPORARY and node is not None and rounded_to(node) == TF32


def _product_node(
    launch: LoweredLaunch,
    places: tuple[Place, ...],
    call: KernelCall,
    storages: tuple[Storage | None, ...],
) -> LibraryNode:
    """A call of a library on the bytes that it touches."""
    found = launch.product
    assert found is not None
    narrow = []
    for place, matrix, offset in zip(places, found.product.matrices, found.offsets):
        each = matrix.dtype.itemsize
        size = matrix.size(found.product.batch) * each
        narrow.append(Place(place.region, place.offset + offset * each, size))
    narrow.append(places[3])
    for place, offset in zip(places[4:], found.offsets[3:]):
        start = place.offset + offset * found.product.c.dtype.itemsize
        narrow.append(Place(place.region, start, found.product.bias_bytes))
    return LibraryNode(launch.kernel.name, found.product, tuple(narrow), call, storages)


def _lines(call: KernelCall) -> Iterator[str]:
    """The user's lines that a kernel comes from, each once."""
    seen: dict[str, None] = {}
    for node in call.nodes:
        origin: Origin | None = node.origin
        if origin is not None:
            seen[f"{origin}  {origin.text}".rstrip()] = None
    yield from list(seen)[:4]
