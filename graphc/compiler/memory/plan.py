"""Memory planning: the offset of every temporary in the arena.

Lifetimes are counted in phases, the stretches between two barriers: calls of one phase may
overlap in time, so bytes that are in use anywhere in a phase belong to one storage for all of
it. The one exception is a result that takes the place of a dying operand (`KernelCall.in_place`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compiler.memory.pack import LiveBlock, pack
from graphc.errors import MemoryBudgetError
from graphc.ir.dims import evaluate
from graphc.ir.schedule import PREPARED, TEMPORARY, KernelCall, Schedule, Storage, round_up
from graphc.origin import Origin


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Byte offsets for one value of the dims; storages are in order of first use.

    `lifetimes` holds the first and last phase of every temporary; phases of the prepare part,
    whose calls run one after the other, are negative. `shared` maps a result to the operand
    whose bytes it takes. `timeline` is the number of bytes alive in each phase of the schedule,
    `lower_bound_bytes` the largest of these (and of the prepare part): no plan with these
    lifetimes needs less. `prepared` has offsets in a region of its own that outlives the call.
    """

    offsets: Mapping[Storage, int]
    sizes: Mapping[Storage, int]
    lifetimes: Mapping[Storage, tuple[int, int]]
    shared: Mapping[Storage, Storage]
    arena_bytes: int
    lower_bound_bytes: int
    timeline: tuple[int, ...]
    prepared: Mapping[Storage, int]
    prepared_bytes: int


def plan(schedule: Schedule, dims: Mapping[str, int], limit: int | None = None) -> MemoryPlan:
    """Assign an offset to every temporary; deterministic.

    Raises MemoryBudgetError if the arena needs more than `limit` bytes.
    """
    lifetimes = find_lifetimes(schedule)
    sizes = {s: evaluate(s.type.nbytes, dims) for s in lifetimes}
    shared = find_shared(schedule, sizes)
    blocks, members = make_blocks(lifetimes, sizes, shared)
    live = live_bytes(blocks, -len(schedule.prepare), len(set(schedule.phases())))
    bound = max(live, default=0)
    places = pack(blocks, bound)
    arena = max((at + b.size for at, b in zip(places, blocks)), default=0)
    if limit is not None and arena > limit:
        raise _over_budget(schedule, dims, arena, bound, live, limit)
    prepared, prepared_bytes = _place_prepared(schedule, dims)
    return MemoryPlan(
        {s: places[members[s]] for s in lifetimes}, sizes, lifetimes, shared, arena, bound,
        tuple(live[len(schedule.prepare) :]), prepared, prepared_bytes,
    )  # fmt: skip


# ------------------------------------------------------------------------ lifetimes


def with_phases(schedule: Schedule) -> list[tuple[int, KernelCall]]:
    """Every call with its phase; the prepare part comes before phase 0, one phase a call."""
    before = [(i - len(schedule.prepare), call) for i, call in enumerate(schedule.prepare)]
    return before + list(zip(schedule.phases(), schedule.calls))


def find_lifetimes(schedule: Schedule) -> dict[Storage, tuple[int, int]]:
    """The first and last phase in which each temporary is touched, in order of first use."""
    found: dict[Storage, tuple[int, int]] = {}
    for phase, call in with_phases(schedule):
        for storage in call.arguments:
            if storage.role == TEMPORARY:
                found[storage] = (found.get(storage, (phase, phase))[0], phase)
    return found


def find_shared(schedule: Schedule, sizes: Mapping[Storage, int]) -> dict[Storage, Storage]:
    """The results that reuse the memory of an operand.

    The operand must be a temporary of the same size that lives before this phase and that no
    other call touches in it or later; the result must not have been touched before.
    """
    calls = with_phases(schedule)
    touching: dict[Storage, list[tuple[int, KernelCall]]] = {}
    for phase, call in calls:
        for storage in dict.fromkeys(call.arguments):
            touching.setdefault(storage, []).append((phase, call))
    shared: dict[Storage, Storage] = {}
    for phase, call in calls:
        taken: set[Storage] = set()
        for written, read in call.in_place:
            if written not in sizes or read not in sizes or written in shared or read in taken:
                continue
            mine, uses = touching[written], touching[read]
            first = mine[0][1] is call and all(p > phase or c is call for p, c in mine)
            last = uses[-1][1] is call and len(uses) > 1 and uses[-2][0] < phase
            if first and last and sizes[written] == sizes[read]:
                shared[written] = read
                taken.add(read)
    return shared


def make_blocks(
    lifetimes: Mapping[Storage, tuple[int, int]],
    sizes: Mapping[Storage, int],
    shared: Mapping[Storage, Storage],
) -> tuple[list[LiveBlock], dict[Storage, int]]:
    """The byte ranges to place, one for storages that share; and the range of each storage."""
    members: dict[Storage, int] = {}
    blocks: list[LiveBlock] = []
    for storage, (first, last) in lifetimes.items():
        if storage in shared:
            mine = members[shared[storage]]
            blocks[mine] = blocks[mine]._replace(last=last)
        else:
            mine = len(blocks)
            blocks.append(LiveBlock(round_up(sizes[storage]), first, last))
        members[storage] = mine
    return blocks, members


def live_bytes(blocks: list[LiveBlock], start: int, stop: int) -> list[int]:
    """The bytes alive in every phase from `start` on, up to `stop`."""
    change = [0] * (stop - start + 1)
    for block in blocks:
        change[block.first - start] += block.size
        change[block.last + 1 - start] -= block.size
    total, result = 0, []
    for step in change[:-1]:
        total += step
        result.append(total)
    return result


# ------------------------------------------------------------------------ the rest


def _place_prepared(schedule: Schedule, dims: Mapping[str, int]) -> tuple[dict[Storage, int], int]:
    offsets: dict[Storage, int] = {}
    end = 0
    for _, call in with_phases(schedule):
        for storage in call.arguments:
            if storage.role == PREPARED and storage not in offsets:
                offsets[storage] = end
                end += round_up(evaluate(storage.type.nbytes, dims))
    return offsets, end


def _over_budget(
    schedule: Schedule, dims: Mapping[str, int], arena: int, bound: int, live: list[int], limit: int
) -> MemoryBudgetError:
    """The error, with the call at the peak and the temporaries that are alive there."""
    phase = live.index(bound) - len(schedule.prepare)
    call = next(c for p, c in with_phases(schedule) if p == phase)
    origin: Origin | None = call.nodes[-1].origin if call.nodes else None
    alive = [(s, e) for s, e in find_lifetimes(schedule).items() if e[0] <= phase <= e[1]]
    alive.sort(key=lambda entry: -evaluate(entry[0].type.nbytes, dims))
    rows = tuple(
        (
            f"{evaluate(s.type.nbytes, dims) / 1e6:.3f} MB",
            f"{s.name} {s.type}",
            s.node.origin if s.node else None,
        )
        for s, _ in alive[:5]
    )
    return MemoryBudgetError(
        f"{schedule.name}: the arena needs {arena:,} bytes, {limit:,} are allowed"
        f" ({bound:,} are alive at once in {call.kernel.name})",
        operands=rows,
        origin=origin,
        hint=f"smaller batches, or memory={arena} or more",
    )
