"""Compiled code bound to memory of this process."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from graphc.forked import forget_after_fork
from graphc.ir.types import Array, DType, bfloat16
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.barrier import ASK_OFFSET, TEAM_BYTES
from graphc_llvm.runtime.description import ARENA, SCRATCH, SIZES, TEAM, Description, OutputSlot
from graphc_llvm.runtime.memory import Workspace, aligned_bytes
from graphc_llvm.runtime.session import LoadedCode
from graphc_llvm.runtime.support import support

RELEASE_SECONDS = 20e-6  # longer steps let other Python threads run
WAIT_SECONDS = 100e-6  # longer steps wait for workers that are asleep


class BoundCode:
    """The tables that native code reads to run one compiled body.

    `storages` are the arrays behind parameters, constants and prepared values, by slot; they are
    used in place. `random` is (slot, u32[4]: seed low, high, step low, high), where nothing is
    drawn without a slot; the step counts successful calls. `watches` are int64 arrays of one
    element: when one changes, calls go to the slow path until `mark_fresh`. `bumps` are such
    arrays, incremented by every step.
    """

    def __init__(
        self,
        library: LoadedCode,
        description: Description,
        storages: Mapping[int, Array] | None = None,
        *,
        random: tuple[int | None, Array] | None = None,
        watches: Sequence[Array] = (),
        bumps: Sequence[Array] = (),
    ) -> None:
        self.description = description
        self.body = library[description.symbol]
        self._library = library
        self._storages: dict[int, Array] = {}
        self._memory: tuple[Array, Array] | None = None
        self.table = structs.VariantStruct()
        self.ctx = np.zeros(description.slots, np.uintp)
        self.team = aligned_bytes(TEAM_BYTES, zero=True)
        self.sizes = np.array(description.sizes, np.int64)
        self.random = None if random is None else random[1]
        self.watches, self.bumps = tuple(watches), tuple(bumps)
        self.ctx[SIZES], self.ctx[TEAM] = self.sizes.ctypes.data, self.team.ctypes.data
        for slot, array in (storages or {}).items():
            self.set_storage(slot, array)
        if random is not None:
            assert random[1].dtype == np.uint32
            assert random[1].shape == (4,)
            if random[0] is not None:
                self.set_storage(random[0], random[1])
        self._fill_table()
        self._let_ask()
        forget_after_fork(self)

    @property
    def address(self) -> int:
        """Where the native table lies."""
        return structs.address(self.table)

    @property
    def status(self) -> int:
        """The failure of the last call; NO_FAILURE for none."""
        return int(self.team[:4].view(np.uint32)[0])

    @property
    def stale(self) -> bool:
        """Whether a watched version has changed since `mark_fresh`."""
        return any(row.seen != int(w[0]) for row, w in zip(self._watch_table, self.watches))

    @property
    def versions(self) -> list[int]:
        """The present versions of what is watched."""
        return [int(skips_nan[0]) for skips_nan in self.watches]

    def mark_fresh(self, versions: Sequence[int] | None = None) -> None:
        """Mark prepared values as made of these versions of what is watched (None: the present)."""
        for row, seen in zip(self._watch_table, versions or self.versions):
            row.seen = seen

    def set_storage(self, slot: int, array: Array) -> None:
        """Use an array's memory for a slot; nobody may be running this."""
        assert array.flags.c_contiguous
        self._storages[slot] = array
        self.ctx[slot] = array.ctypes.data

    def place(self, workspace: Workspace | None) -> None:
        """Bind a workspace, or none for now; nobody may be running this."""
        # Kept alive from here: the function may get another arena while this is not bound.
        self._memory = None if workspace is None else (workspace.arena, workspace.scratch)
        for slot, memory in zip((ARENA, SCRATCH), self._memory or (None, None)):
            self.ctx[slot] = 0 if memory is None else memory.ctypes.data

    def forget(self) -> None:
        """Reset the barrier state after a fork."""
        self.team[:] = 0
        self._let_ask()

    def _let_ask(self) -> None:
        """Set the interrupt callback that long loops poll."""
        native = support()
        if native is not None:
            self.team[ASK_OFFSET : ASK_OFFSET + 8].view(np.uint64)[0] = native.signals

    def _fill_table(self) -> None:
        d, table = self.description, self.table
        table.body, table.ctx, table.team = self.body, self.ctx.ctypes.data, self.team.ctypes.data
        table.threads, table.flags = d.threads, _flags(d.seconds)
        self._input_table = (structs.InputStruct * len(d.inputs))()
        self._shapes = [np.array(i.shape, np.int64) for i in d.inputs]
        for row, given, shape in zip(self._input_table, d.inputs, self._shapes):
            row.slot, row.kind = given.slot, _kind(given.dtype)
            row.itemsize, row.axes, row.shape = given.dtype.itemsize, shape.size, shape.ctypes.data
        self._output_table = (structs.OutputStruct * len(d.outputs))()
        self._makers = [_scalar(o) if o.shape == () else _maker(o) for o in d.outputs]
        for out, result, make in zip(self._output_table, d.outputs, self._makers):
            out.slot = result.slot
            if isinstance(make, np.ndarray):
                out.scalar, out.storage = id(make), make.ctypes.data
            else:
                out.make = id(make)
        table.arguments, table.inputs = len(d.inputs), structs.address(self._input_table)
        table.outputs, table.output_table = len(d.outputs), structs.address(self._output_table)
        self._fill_structure()
        table.random = None if self.random is None else self.random.ctypes.data
        self._watch_table = (structs.WatchStruct * len(self.watches))()
        for row, skips_nan in zip(self._watch_table, self.watches):
            row.where = skips_nan.ctypes.data
        self.mark_fresh()
        table.watches, table.watch_table = len(self.watches), structs.address(self._watch_table)
        self._bump_table = structs.pointers([b.ctypes.data for b in self.bumps])
        table.bumps, table.bump_table = len(self.bumps), structs.address(self._bump_table)

    def _fill_structure(self) -> None:
        structure = self.description.structure
        self.table.structure = structs.STRUCTURES[structure.kind]
        if structure.kind == "custom":
            self.table.extra = id(structure.build)
        elif structure.kind == "dict":
            self._keys = structs.pointers([id(key) for key in structure.keys])
            self.table.extra = structs.address(self._keys)


def _kind(dtype: DType) -> int:
    # No buffer says that it holds bfloat16: those arrays take the slow path.
    return -1 if dtype == bfloat16 else structs.KINDS[dtype.kind]


def _flags(seconds: float) -> int:
    return (structs.RELEASE_GIL if seconds > RELEASE_SECONDS else 0) | (
        structs.WAIT_FOR_SLEEPERS if seconds > WAIT_SECONDS else 0
    )


def _scalar(output: OutputSlot) -> Array:
    return np.zeros((), output.dtype.numpy)


def _maker(output: OutputSlot) -> functools.partial[Array]:
    return functools.partial(np.empty, output.shape, output.dtype.numpy)
