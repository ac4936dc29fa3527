"""Where everything of a library is: in one block of device memory, and in its saved state.

The saved state is that of libraries for CPUs: a header, random streams, parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.export.interface import Entry, Interface
from graphc.ir.graph import Node
from graphc.ir.ops.leaf import Constant
from graphc.ir.schedule import Storage, round_up
from graphc.ir.storage import ParameterStorage, stored
from graphc.ir.types import Array
from graphc_cuda.launch import (
    CONSTANT,
    INPUT,
    OUTPUT,
    PARAMETER,
    PREPARED,
    RNG,
    STATUS,
    LaunchPlan,
    Region,
)
from graphc_cuda.plan_launches import plan_launches

DEVICE_ALIGNMENT = 256
STATE_HEADER = 16  # the fingerprint, and room
RANDOM_BYTES = 16  # seed and step


@dataclass(frozen=True)
class Value:
    """Bytes of the block: an input, an output."""

    offset: int
    bytes: int


@dataclass(frozen=True)
class Kept:
    """Bytes of the block that come from a file, or go into the saved state."""

    offset: int
    bytes: int
    stored: int  # there


@dataclass(frozen=True, eq=False)
class FunctionLayout:
    """One function: its launches, and where its regions are in the block."""

    entry: Entry
    plan: LaunchPlan
    regions: Mapping[Region, int]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    stream: int  # of random numbers, in the saved state

    @property
    def status(self) -> int | None:
        """Where a failed check is told."""
        has_checks = bool(self.entry.function.program.schedule.checks)
        return self.regions[Region(STATUS)] if has_checks else None

    @property
    def random(self) -> int | None:
        """Where seed and step are."""
        return self.regions.get(Region(RNG))


@dataclass(frozen=True, eq=False)
class DeviceLayout:
    """Everything."""

    functions: tuple[FunctionLayout, ...]
    parameters: Mapping[ParameterStorage, Kept]
    constants: Mapping[Node, Kept]
    device_bytes: int
    state_bytes: int
    weights_bytes: int

    @property
    def staging_bytes(self) -> int:
        """What one call sends or receives, whichever is more."""
        found = [0]
        for f in self.functions:
            found.append(sum(v.bytes for v in f.inputs) + RANDOM_BYTES)
            found.append(sum(v.bytes for v in f.outputs) + RANDOM_BYTES)
        return max(found)


@dataclass
class _Places:
    """Gives out bytes one after the other."""

    at: int = 0
    alignment: int = DEVICE_ALIGNMENT

    def take(self, nbytes: int) -> int:
        """Where so many bytes are."""
        start = self.at
        self.at += -(-nbytes // self.alignment) * self.alignment
        return start


def lay_out(interface: Interface) -> DeviceLayout:
    """Lay out a library whose dims all have one size."""
    plans = {e: plan_launches(e.function.program, e.fixed) for e in interface.entries}
    block, state = _Places(), round_up(RANDOM_BYTES * len(interface.random_names))
    parameters: dict[ParameterStorage, Kept] = {}
    for parameter in interface.parameters:
        nbytes = parameter.memory.nbytes
        parameters[parameter] = Kept(block.take(nbytes), nbytes, STATE_HEADER + state)
        state += round_up(nbytes)
    weights = STATE_HEADER + state
    constants: dict[Node, Kept] = {}
    for entry in interface.entries:
        for storage in entry.function.program.schedule.constants:
            node = node_of(storage)
            if node not in constants:
                nbytes = value_of(node).nbytes
                constants[node] = Kept(block.take(nbytes), nbytes, weights)
                weights += round_up(nbytes)
    prepared = {e: block.take(plan.regions.get(Region(PREPARED), 0)) for e, plan in plans.items()}
    functions, most = [], block.at
    for entry, plan in plans.items():
        places = _Places(block.at)
        regions = _regions(entry, plan, places, parameters, constants, prepared[entry])
        functions.append(_function(entry, plan, regions, _stream(interface, entry)))
        most = max(most, places.at)
    total = STATE_HEADER + state
    return DeviceLayout(tuple(functions), parameters, constants, most, total, weights)


def node_of(storage: Storage) -> Node:
    """The node of a storage that holds a value of the graph."""
    assert storage.node is not None
    return storage.node


def value_of(node: Node) -> Array:
    """What a constant is, as memory holds it."""
    assert isinstance(node.op, Constant)
    return np.ascontiguousarray(node.op.value)


def _stream(interface: Interface, entry: Entry) -> int:
    """Where the random stream of a function is in the saved state."""
    names = interface.random_names
    return STATE_HEADER + RANDOM_BYTES * names.index(entry.name) if entry.name in names else 0


def _regions(
    entry: Entry,
    plan: LaunchPlan,
    places: _Places,
    parameters: Mapping[ParameterStorage, Kept],
    constants: Mapping[Node, Kept],
    prepared: int,
) -> dict[Region, int]:
    schedule = entry.function.program.schedule
    found: dict[Region, int] = {}
    for region, nbytes in plan.regions.items():
        if region.role == PARAMETER:
            node = node_of(schedule.parameters[region.number])
            found[region] = parameters[stored(node)].offset
        elif region.role == CONSTANT:
            found[region] = constants[node_of(schedule.constants[region.number])].offset
        elif region.role == PREPARED:
            found[region] = prepared
        else:
            found[region] = places.take(nbytes)
    return found


def _function(
    entry: Entry, plan: LaunchPlan, regions: Mapping[Region, int], stream: int
) -> FunctionLayout:
    schedule, graph = entry.function.program.schedule, entry.function.graph
    numbers = {s.node: i for i, s in enumerate(schedule.inputs)}
    inputs = [Region(INPUT, numbers[n]) if n in numbers else None for n in graph.inputs]
    outputs = [Region(OUTPUT, i) for i in range(len(schedule.outputs))]

    def values(found: Sequence[Region | None]) -> tuple[Value, ...]:
        """What is not there has no bytes."""
        there = [r if r is not None and r in regions else None for r in found]
        return tuple(
            Value(0, 0) if r is None else Value(regions[r], plan.regions[r]) for r in there
        )

    return FunctionLayout(entry, plan, regions, values(inputs), values(outputs), stream)


def weights_of(interface: Interface, layout: DeviceLayout) -> bytes:
    """The file of weights: the state as it is now, then constants."""
    data = bytearray(layout.weights_bytes)
    data[:8] = interface.fingerprint.to_bytes(8, "little")
    for f in layout.functions:
        if f.random is not None:
            data[f.stream : f.stream + RANDOM_BYTES] = f.entry.function.rng.tobytes()
    for parameter, kept in layout.parameters.items():
        data[kept.stored : kept.stored + kept.bytes] = parameter.memory.tobytes()
    for node, kept in layout.constants.items():
        data[kept.stored : kept.stored + kept.bytes] = value_of(node).tobytes()
    return bytes(data)
