"""Parameters that never change, and what depends on them alone, as constants of a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from graphc.export.interface import Entry, Interface
from graphc.ir.dims import evaluate
from graphc.ir.schedule import PARAMETER, PREPARED, KernelCall, Storage, every_call
from graphc.ir.storage import ParameterStorage, stored
from graphc.ir.types import Array
from graphc_llvm.stepwise import StepwiseProgram
from graphc_llvm.target import Target, host_target, make_target


@dataclass(frozen=True, eq=False)
class Constants:
    """Frozen parameters that the code still reads, and prepared values that are known."""

    parameters: frozenset[ParameterStorage]
    prepared: Mapping[Storage, Array]


def find_constants(interface: Interface, target: Target) -> Constants:
    """Evaluate the functions' prepare parts now, with the bits that they would have there.

    (Near the same where a target has multiply-add and this machine has none.)
    """
    prepared: dict[Storage, Array] = {}
    read: set[ParameterStorage] = set()
    for entry in interface.entries:
        schedule = entry.function.program.schedule
        calls = schedule.calls
        if _is_known(schedule.prepare, interface.frozen):
            prepared |= _prepare(entry, compatible_host_target(target))
        else:
            calls = (*schedule.prepare, *calls)
        read |= _parameters(calls)
    return Constants(interface.frozen & read, prepared)


def _parameters(calls: tuple[KernelCall, ...]) -> set[ParameterStorage]:
    storages = {s for c in (*calls, *every_call(calls)) for s in c.arguments}
    return {stored(s.node) for s in storages if s.role == PARAMETER and s.node is not None}


def _is_known(prepare: tuple[KernelCall, ...], frozen: frozenset[ParameterStorage]) -> bool:
    """Whether all that is prepared depends on frozen parameters alone, and on no dim."""
    made = [s for c in prepare for s in c.writes if s.role == PREPARED]
    sized = any(not isinstance(size, int) for s in made for size in s.type.shape)
    return bool(frozen and made) and not sized and _parameters(prepare) <= frozen


def compatible_host_target(target: Target) -> Target:
    """A target that runs here and rounds products as another one does, where there is one."""
    here = host_target()
    if here.has_fma and not target.has_fma and here.isa in ("avx2", "avx512"):
        return replace(make_target("baseline"), triple=here.triple)
    return here


def _prepare(entry: Entry, target: Target) -> dict[Storage, Array]:
    program, dims = entry.function.program, entry.sample
    steps = StepwiseProgram(program, target, dims)
    shapes = [tuple(evaluate(s, dims) for s in i.type.shape) for i in program.schedule.inputs]
    inputs = [
        np.zeros(shape, i.type.dtype.numpy) for shape, i in zip(shapes, program.schedule.inputs)
    ]
    steps.bind(inputs, entry.function.rng.copy())
    for part in steps.parts[: len(program.schedule.prepare)]:
        part(steps.ctx.ctypes.data, 0, 1)
    return {s: steps.value(s) for s in steps.arrays if s.role == PREPARED}
