"""The memory layout of a library's workspace.

header                 magic, bytes, version of the parameters          (64 bytes)
one block a function   prepared version, bound flag, team, sizes, ctx
state                  random streams, parameters: what is saved and loaded
prepared               what depends on parameters alone, for each function
arena                  shared by all functions: one call at a time runs in a workspace
scratch                for each thread
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from graphc.compiler.memory.plan import MemoryPlan
from graphc.errors import UnsupportedError
from graphc.export.interface import MAX_TRIED_SIZES, Entry, Interface
from graphc.ir.dims import Dim, MinSize, Size, evaluate
from graphc.ir.schedule import ALIGNMENT, PREPARED, Storage, round_up
from graphc.ir.storage import ParameterStorage
from graphc_llvm.emit_program import ProgramFunctions
from graphc_llvm.emit_schedule import ContextLayout
from graphc_llvm.library.frozen import Constants
from graphc_llvm.runtime.barrier import TEAM_BYTES

MAGIC, BYTES, VERSION = 0, 8, 16  # in the header
PREPARED_VERSION, BOUND, TEAM = 0, 8, ALIGNMENT  # in a function's block
TABLES = TEAM + TEAM_BYTES
RANDOM_BYTES = 16  # u32 seed low, high, step low, high
STATE_HEADER = 16  # of saved values: the fingerprint, 0


@dataclass(frozen=True, eq=False)
class FunctionTables:
    """A function's tables: offsets from the start of the workspace."""

    entry: Entry
    pieces: ProgramFunctions
    plan: MemoryPlan
    base: int
    sizes: int
    ctx: int
    prepared: Mapping[Storage, int]
    random: int | None
    scratch_bytes: int

    @property
    def team(self) -> int:
        """Where threads meet."""
        return self.base + TEAM

    @property
    def is_generic(self) -> bool:
        """Whether sizes are arguments."""
        return bool(self.entry.dims)


@dataclass(frozen=True, eq=False)
class WorkspaceLayout:
    """Offsets and bytes of everything."""

    blocks: tuple[FunctionTables, ...]
    parameters: Mapping[ParameterStorage, int]
    state: int
    state_bytes: int
    arena: int
    arena_bytes: int
    scratch: int
    scratch_bytes: int  # of one thread
    total: int
    constants: Constants


class _Places:
    """Gives out bytes one after the other, each range on a boundary."""

    def __init__(self, at: int) -> None:
        self.at = at

    def take(self, count: int) -> int:
        """Where so many bytes are."""
        start, self.at = self.at, round_up(self.at + count)
        return start


def lay_out(
    interface: Interface, pieces: Mapping[Entry, ProgramFunctions], constants: Constants
) -> WorkspaceLayout:
    """Lay out the workspace, with all dims at their maxima."""
    places = _Places(ALIGNMENT)
    tables = {entry: _place_tables(places, pieces[entry].layout) for entry in interface.entries}
    state = places.at
    drawing = [e for e in interface.entries if e.function.program.schedule.rng is not None]
    first = places.take(RANDOM_BYTES * len(drawing))
    randoms = {entry: first + RANDOM_BYTES * i for i, entry in enumerate(drawing)}
    stored = [p for p in interface.parameters if p not in interface.frozen]
    parameters: dict[ParameterStorage, int] = {p: places.take(p.memory.nbytes) for p in stored}
    state_bytes = places.at - state
    blocks = []
    for entry in interface.entries:
        plan = entry.function.program.plan(entry.maxima)
        _check_monotone(entry, plan)
        prepared = _place_prepared(places, entry, constants)
        scratch = pieces[entry].layout.scratch_bytes(entry.maxima)
        rest = plan, *tables[entry], prepared, randoms.get(entry), scratch
        blocks.append(FunctionTables(entry, pieces[entry], *rest))
    arena_bytes = round_up(max((b.plan.arena_bytes for b in blocks), default=0))
    scratch_bytes = round_up(max((b.scratch_bytes for b in blocks), default=0))
    arena = places.take(arena_bytes)
    scratch = places.take(scratch_bytes * interface.threads)
    return WorkspaceLayout(
        tuple(blocks), parameters, state, state_bytes, arena, arena_bytes, scratch, scratch_bytes,
        places.at, constants,
    )  # fmt: skip


def _place_tables(places: _Places, layout: ContextLayout) -> tuple[int, int, int]:
    """Where a function's block, its sizes and its ctx are."""
    counts = TABLES, 8 * (layout.scratch_at + 1), 8 * layout.count
    base, sizes, ctx = map(places.take, counts)
    return base, sizes, ctx


def _place_prepared(places: _Places, entry: Entry, constants: Constants) -> dict[Storage, int]:
    """Where the values are that a function prepares, but for those that are constants."""
    made = (s for call in entry.function.program.schedule.prepare for s in call.writes)
    own = dict.fromkeys(s for s in made if s.role == PREPARED and s not in constants.prepared)
    return {s: places.take(evaluate(s.type.nbytes, entry.maxima)) for s in own}


def _check_monotone(entry: Entry, plan: MemoryPlan) -> None:
    """Raise unless every temporary is largest where the dims are: offsets hold for all sizes."""
    for storage, most in plan.sizes.items():
        size = storage.type.nbytes
        if not is_monotone(size) and not _never_above(size, most, entry):
            raise UnsupportedError(
                f"export: {storage.name} {storage.type} of {entry.function.name} may be larger"
                " for smaller dims: its memory cannot be laid out at the maxima",
                origin=storage.node.origin if storage.node is not None else None,
                hint="export with fixed sizes: export(..., dims={...})",
            )


def is_monotone(size: Size) -> bool:
    """Whether a size can be seen not to fall when a dim grows."""
    if isinstance(size, int):
        return True
    atoms = [a for monomial, _ in size.terms for a in monomial if not isinstance(a, Dim)]
    return all(c > 0 for monomial, c in size.terms if monomial) and all(
        all(map(is_monotone, a.sizes))
        if isinstance(a, MinSize)
        else isinstance(a.denominator, int) and a.denominator > 0 and is_monotone(a.numerator)
        for a in atoms
    )


def _never_above(size: Size, most: int, entry: Entry) -> bool:
    """Whether a size stays within its value at the maxima, by trying all."""
    ranges = [range(d.min, (d.max or 0) + 1) for d in entry.dims]
    if math.prod(map(len, ranges)) > MAX_TRIED_SIZES:
        return False
    names = [d.name for d in entry.dims]
    return all(
        evaluate(size, dict(zip(names, values)) | dict(entry.fixed)) <= most
        for values in itertools.product(*ranges)
    )
