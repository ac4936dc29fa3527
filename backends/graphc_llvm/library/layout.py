"""Where everything is in a library's workspace.

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

from graphc.compiler.memory.plan import MemoryPlan, round_up
from graphc.errors import UnsupportedError
from graphc.export.interface import ALIGNMENT, TRIED, Entry, Interface
from graphc.ir.dims import Dim, Least, Size, evaluate
from graphc.ir.schedule import PREPARED, Storage
from graphc.ir.storage import Stored
from graphc_llvm.library.frozen import Constants
from graphc_llvm.program import Pieces
from graphc_llvm.runtime.barrier import TEAM_BYTES

MAGIC, BYTES, VERSION = 0, 8, 16  # in the header
PREPARED_VERSION, BOUND, TEAM, TABLES = 0, 8, 64, 64 + TEAM_BYTES  # in a function's block
RANDOM_BYTES = 16  # u32 seed low, high, step low, high
STATE_HEADER = 16  # of saved values: the fingerprint, 0


@dataclass(frozen=True, eq=False)
class Block:
    """A function's tables: offsets from the start of the workspace."""

    entry: Entry
    pieces: Pieces
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
class Workspace:
    """Offsets and bytes of everything."""

    blocks: tuple[Block, ...]
    parameters: Mapping[Stored, int]
    state: int
    state_bytes: int
    arena: int
    arena_bytes: int
    scratch: int
    scratch_bytes: int  # of one thread
    total: int
    constants: Constants


def lay_out(
    interface: Interface, pieces: Mapping[Entry, Pieces], constants: Constants
) -> Workspace:
    """Give everything its place; all dims at their maxima."""
    at = ALIGNMENT
    bases: dict[Entry, tuple[int, int, int]] = {}
    for entry in interface.entries:
        layout = pieces[entry].layout
        sizes = at + round_up(TABLES)
        ctx = sizes + round_up(8 * (layout.scratch_at + 1))
        bases[entry] = at, sizes, ctx
        at = ctx + round_up(8 * layout.count)
    state, randoms = at, {}
    for entry in interface.entries:
        if entry.function.program.schedule.rng is not None:
            randoms[entry] = at
            at += RANDOM_BYTES
    at = round_up(at)
    parameters: dict[Stored, int] = {}
    for parameter in interface.parameters:
        if parameter in interface.frozen:
            continue
        parameters[parameter] = at
        at = round_up(at + parameter.memory.nbytes)
    state_bytes = at - state
    blocks = []
    for entry in interface.entries:
        program, maxima = entry.function.program, entry.maxima
        plan = program.plan(maxima)
        _check_monotone(entry, plan)
        prepared: dict[Storage, int] = {}
        for call in program.schedule.prepare:
            for storage in call.writes:
                known = storage in prepared or storage in constants.prepared
                if storage.role == PREPARED and not known:
                    prepared[storage] = at
                    at = round_up(at + evaluate(storage.type.nbytes, maxima))
        scratch = pieces[entry].layout.scratch_bytes(maxima)
        base, sizes, ctx = bases[entry]
        blocks.append(
            Block(
                entry, pieces[entry], plan, base, sizes, ctx, prepared, randoms.get(entry), scratch
            )
        )
    arena, arena_bytes = at, round_up(max((b.plan.arena_bytes for b in blocks), default=0))
    scratch_bytes = round_up(max((b.scratch_bytes for b in blocks), default=0))
    scratch = arena + arena_bytes
    total = scratch + scratch_bytes * interface.threads
    return Workspace(
        tuple(blocks), parameters, state, state_bytes, arena, arena_bytes, scratch, scratch_bytes,
        total, constants,
    )  # fmt: skip


def _check_monotone(entry: Entry, plan: MemoryPlan) -> None:
    """Raise unless every temporary is largest where the dims are: offsets hold for all sizes."""
    for storage, most in plan.sizes.items():
        size = storage.type.nbytes
        if not grows(size) and not _never_above(size, most, entry):
            raise UnsupportedError(
                f"export: {storage.name} {storage.type} of {entry.function.name} may be larger"
                " for smaller dims: its memory cannot be laid out at the maxima",
                origin=storage.node.origin if storage.node is not None else None,
                hint="export with fixed sizes: export(..., dims={...})",
            )


def grows(size: Size) -> bool:
    """Whether a size can be seen not to fall when a dim grows."""
    if isinstance(size, int):
        return True
    atoms = [a for monomial, _ in size.terms for a in monomial if not isinstance(a, Dim)]
    return all(c > 0 for monomial, c in size.terms if monomial) and all(
        all(map(grows, a.sizes))
        if isinstance(a, Least)
        else isinstance(a.denominator, int) and a.denominator > 0 and grows(a.numerator)
        for a in atoms
    )


def _never_above(size: Size, most: int, entry: Entry) -> bool:
    """Whether a size stays within its value at the maxima, by trying all."""
    ranges = [range(d.min, (d.max or 0) + 1) for d in entry.dims]
    if math.prod(map(len, ranges)) > TRIED:
        return False
    names = [d.name for d in entry.dims]
    return all(
        evaluate(size, dict(zip(names, values)) | dict(entry.fixed)) <= most
        for values in itertools.product(*ranges)
    )
