"""The self-test of a library: reproducible inputs and the outputs recorded on this machine.

Numbers come from a 32-bit mixing function of (seed, index), with the "lowbias32" constants of
C. Wellons (2018), so that a library needs no stored inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.errors import RuntimeCheckError
from graphc.export.interface import Entry, Interface
from graphc.ir.dims import evaluate
from graphc.ir.types import Array, DType

RECORDED_CALLS = 2  # of every function, one after the other
KEPT_ELEMENTS = 24  # elements of every output
INTEGER_LIMITS = (7, 2, 1)  # integers are below one of these: the first that every check lets pass


@dataclass(frozen=True, eq=False)
class RecordedCall:
    """One recorded call: for every output, positions and the values there."""

    positions: tuple[Array, ...]
    values: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """The calls of every entry in order, and below what its integers are."""

    calls: Mapping[Entry, tuple[RecordedCall, ...]]
    limits: Mapping[Entry, int]


def record(interface: Interface) -> Recording:
    """Call every function in this process; parameters and random streams are put back."""
    saved = [np.array(p.memory) for p in interface.parameters]
    streams = [e.function.rng.copy() for e in interface.entries]
    try:
        return _record(interface)
    finally:
        for parameter, value in zip(interface.parameters, saved):
            parameter.value = value
        for entry, stream in zip(interface.entries, streams):
            entry.function.rng[:] = stream


def _record(interface: Interface) -> Recording:
    calls, limits = {}, {}
    for number, entry in enumerate(interface.entries):
        limits[entry] = _limit(entry, number)
        done = []
        for i in range(RECORDED_CALLS):
            arrays = inputs(entry, number, i, limits[entry])
            done.append(_kept(entry.function.run(arrays, entry.sample)))
        calls[entry] = tuple(done)
    return Recording(calls, limits)


def _limit(entry: Entry, number: int) -> int:
    """The largest bound of integers that the function's checks let pass; a failed call changes
    nothing."""
    if not any(a.type.dtype.is_integer for a in entry.inputs):
        return 1
    parameters = list(entry.function.parameters.values())
    for limit in INTEGER_LIMITS:
        saved, stream = [np.array(p.memory) for p in parameters], entry.function.rng.copy()
        try:
            entry.function.run(inputs(entry, number, 0, limit), entry.sample)
        except RuntimeCheckError:
            continue
        for parameter, value in zip(parameters, saved):
            parameter.value = value
        entry.function.rng[:] = stream
        return limit
    return 1


def inputs(entry: Entry, number: int, call: int, limit: int) -> list[Array]:
    """The arrays of one call."""
    found = []
    for i, argument in enumerate(entry.inputs):
        shape = tuple(evaluate(s, entry.sample) for s in argument.type.shape)
        count = int(np.prod(shape, dtype=np.int64))
        values = samples(argument.type.dtype, count, seed(number, call, i), limit)
        found.append(values.reshape(shape))
    return found


def seed(number: int, call: int, argument: int) -> int:
    """A number for every input of every call."""
    return 10_000 * (number + 1) + 100 * call + argument


def samples(dtype: DType, count: int, seed: int, limit: int) -> Array:
    """`count` numbers: floats in [-1, 1) (16-bit ones in [0.5, 1)), integers in [0, limit)."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    if dtype.kind == "b":
        return (h & np.uint32(1)).astype(np.bool_)
    if dtype.is_integer:
        return (h % np.uint32(limit)).astype(dtype.numpy)
    if dtype.bits == 16:
        bits = (
            0x3800 + (h >> np.uint32(22))
            if dtype.name == "float16"
            else 0x3F00 + (h >> np.uint32(25))
        )
        return bits.astype(np.uint16).view(dtype.numpy)
    unit = (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)
    return unit.astype(dtype.numpy)


def _kept(outputs: list[Array]) -> RecordedCall:
    flat = [np.ascontiguousarray(o).reshape(-1) for o in outputs]
    positions = [
        np.unique(np.linspace(0, max(f.size - 1, 0), KEPT_ELEMENTS).astype(np.int64)) for f in flat
    ]
    positions = [p if f.size else p[:0] for p, f in zip(positions, flat)]
    return RecordedCall(tuple(positions), tuple(f[p] for f, p in zip(flat, positions)))
