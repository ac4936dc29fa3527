"""A data set on the device: each step takes its rows there, and leaves its outputs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.types import Array, DType, bool_, int32, int64, uint8, uint32
from graphc_cuda.dependencies import find_edges
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    THREAD,
    Assign,
    DeviceArray,
    DeviceKernel,
    Get,
    If,
    Literal,
    Op,
    Program,
    Put,
    Value,
    Variable,
)
from graphc_cuda.device_api import Code, Device, Executable, Memory
from graphc_cuda.launch import KernelNode, LaunchPlan, Place, Region
from graphc_cuda.machine_code import program_code

DATA, ORDER, STEP = "data", "order", "step"
BLOCK = 256


class EpochData:
    """The arrays of an epoch on a device.

    `inputs` are the memories of a step's inputs by region, `arrays` what their rows are taken from,
    `batch` of them for each step, and at most `most` rows between one `begin` and the next.
    """

    def __init__(
        self,
        device: Device,
        route: str,
        inputs: Mapping[Region, Memory],
        arrays: Mapping[Region, Array],
        most: int,
        batch: int,
    ) -> None:
        self._owned: list[Memory] = []
        self._code: Code | None = None
        self._taking: Executable | None = None
        try:
            memories = dict(inputs)
            self._order = memories[Region(ORDER)] = self._space(device, 8 * most)
            self._step = memories[Region(STEP)] = self._space(device, 8)
            for region, array in arrays.items():
                memory = memories[Region(DATA, region.number)] = self._space(device, array.nbytes)
                if array.nbytes:
                    memory.upload(np.ascontiguousarray(array))
            plan = plan_taking(arrays, most, batch)
            code = program_code(plan.program, route, device.facts.capability)
            self._code = device.load(plan.program, [code])
            self._taking = self._code.instantiate(plan, memories)
        except BaseException:
            self.release()
            raise

    def _space(self, device: Device, nbytes: int) -> Memory:
        memory = device.allocate(max(1, nbytes))
        self._owned.append(memory)
        return memory

    @property
    def nbytes(self) -> int:
        """What it takes on the device."""
        return sum(memory.nbytes for memory in self._owned)

    def begin(self, order: Array) -> None:
        """Take these rows from now on."""
        self._order.upload(np.ascontiguousarray(order, np.int64))
        self._step.upload(np.zeros(1, np.int64))

    def take(self) -> None:
        """Put the rows of the next step where its inputs are."""
        assert self._taking is not None
        self._taking.launch()

    def release(self) -> None:
        """Give everything back."""
        if self._taking is not None:
            self._taking.release()
        if self._code is not None:
            self._code.release()
        for memory in self._owned:
            memory.release()
        self._owned = []


def data_bytes(arrays: Mapping[Region, Array], most: int) -> int:
    """What a data set takes on the device."""
    return sum(a.nbytes for a in arrays.values()) + 8 * most


def plan_taking(arrays: Mapping[Region, Array], count: int, batch: int) -> LaunchPlan:
    """Launches that take the rows of one step, and count it."""
    order = DeviceArray("order", int64, count)
    step = DeviceArray("step", int64, 1)
    shared = [Place(Region(ORDER), 0, order.nbytes), Place(Region(STEP), 0, 8)]
    nodes = [
        _take_rows(region, array, (order, step), shared, batch)
        for region, array in arrays.items()
        if array[:1].nbytes
    ]
    nodes.append(KernelNode(_next_step(step), 1, (shared[1],)))
    regions = {p.region: p.size for n in nodes for p in n.arguments}
    kernels = tuple(n.kernel for n in nodes)
    program = Program("epoch", (), kernels)
    return LaunchPlan("epoch", program, tuple(nodes), find_edges(nodes), (), len(nodes), regions)


def _take_rows(
    region: Region,
    array: Array,
    tables: tuple[DeviceArray, DeviceArray],
    shared: Sequence[Place],
    batch: int,
) -> KernelNode:
    """One thread for each word of the rows."""
    order, step = tables
    row_bytes = array[:1].nbytes
    word = uint32 if row_bytes % 4 == 0 else uint8
    words = row_bytes // word.itemsize
    data = DeviceArray("data", word, array.shape[0] * words)
    out = DeviceArray("rows", word, batch * words)
    point = Variable(int32, "point", is_index=True)
    row = _index("floordiv", point, _number(words))
    column = _index("mod", point, _number(words))
    first = _index("mul", Get(int64, step, _number(0)), _number(batch, int64), int64)
    at = _index("add", first, _wide(row), int64)
    place = _index("mul", Get(int64, order, at), _number(words, int64), int64)
    value = Get(word, data, _index("add", place, _wide(column), int64))
    start = _index("add", _index("mul", BLOCK_INDEX, _number(BLOCK)), THREAD)
    inside = Op(bool_, "lt", (point, _number(batch * words)))
    body = (Assign(point, start), If(inside, (Put(out, point, value),)))
    kernel = DeviceKernel(
        f"take_rows_{region.number}", (data, order, step, out), body, BLOCK, frozenset((out,))
    )
    places = (
        Place(Region(DATA, region.number), 0, data.nbytes), *shared, Place(region, 0, out.nbytes)
    )  # fmt: skip
    return KernelNode(kernel, -(-batch * words // BLOCK), places)


def _next_step(step: DeviceArray) -> DeviceKernel:
    """Count a step; by one thread."""
    first = Op(bool_, "eq", (THREAD, _number(0)))
    more = Op(int64, "add", (Get(int64, step, _number(0)), _number(1, int64)))
    body = (If(first, (Put(step, _number(0), more),)),)
    return DeviceKernel("next_step", (step,), body, 32, frozenset((step,)))


def _number(value: int, dtype: DType = int32) -> Literal:
    return Literal(dtype, value, is_index=True)


def _index(function: str, x: Value, y: Value, dtype: DType = int32) -> Op:
    return Op(dtype, function, (x, y), is_index=True)


def _wide(x: Value) -> Op:
    return Op(int64, "convert", (x,), is_index=True)
