"""A device of the host's memory that runs kernels as numba-CUDA text, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.errors import MemoryBudgetError
from graphc.ir.types import Array
from graphc_cuda.device.program import DeviceArray, Program
from graphc_cuda.device_api import DeviceFacts, MachineCode, Memory
from graphc_cuda.launch import (
    PARAMETER,
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    LibraryNode,
    Node,
    Place,
    Region,
)
from graphc_cuda.print_numba import numba_text
from graphc_cuda.simulate import VECTOR, simulate

_UNDEFINED = 0xFF  # bytes that nobody has written: NaN, or -1
_BOUNDARY = 256
FACTS = DeviceFacts("simulated GPU", 0, (9, 0), (13, 0), 132, 1 << 37, 232448)


class SimulatedMemory:
    """Bytes of the host."""

    def __init__(self, data: Array) -> None:
        self.data = data

    @property
    def nbytes(self) -> int:
        """How many there are."""
        return self.data.nbytes

    def upload(self, array: Array, offset: int = 0) -> None:
        """Write the bytes of an array."""
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.data[offset : offset + flat.size] = flat

    def download(self, array: Array, offset: int = 0) -> None:
        """Read bytes into an array."""
        flat = array.reshape(-1).view(np.uint8)
        flat[:] = self.data[offset : offset + flat.size]

    def copy(self, source: Memory, offset: int = 0) -> None:
        """Write all bytes of other memory."""
        assert isinstance(source, SimulatedMemory)
        self.data[offset : offset + source.nbytes] = source.data

    def window(self, offset: int, nbytes: int) -> SimulatedMemory:
        """A part that shares its bytes."""
        assert 0 <= offset <= offset + nbytes <= self.nbytes
        return SimulatedMemory(self.data[offset : offset + nbytes])

    def release(self) -> None:
        """Nothing is kept apart from the object."""


class SimulatedDevice:
    """A device without hardware; `check` looks for accesses that no barrier orders."""

    facts = FACTS

    def __init__(self, executor: str = VECTOR, check: bool = True, seed: int = 0) -> None:
        self.executor, self.check, self.seed = executor, check, seed

    def free_bytes(self) -> int:
        """As much as a GPU has."""
        return self.facts.total_bytes

    def allocate(self, nbytes: int) -> SimulatedMemory:
        """Memory that holds nothing of use."""
        try:
            raw = np.full(nbytes + _BOUNDARY, _UNDEFINED, np.uint8)
        except MemoryError as error:
            text = f"cuda-simulate: {nbytes} bytes are more than this machine gives"
            raise MemoryBudgetError(text) from error
        start = -raw.ctypes.data % _BOUNDARY
        return SimulatedMemory(raw[start : start + nbytes])

    def borrow(self, array: object) -> None:
        """Nothing lies here that is not ours."""

    def load(self, program: Program, modules: Sequence[MachineCode]) -> SimulatedCode:
        """The text of a program; it stands where a GPU has its machine code, or is made."""
        text = modules[0].image.decode() if modules else numba_text(program)
        return SimulatedCode(self, text)

    def synchronize(self) -> None:
        """Nothing runs on its own."""


class SimulatedCode:
    """The text of all kernels."""

    def __init__(self, device: SimulatedDevice, text: str) -> None:
        self.device, self.text = device, text

    def instantiate(
        self, plan: LaunchPlan, memories: Mapping[Region, Memory]
    ) -> SimulatedExecutable:
        """A plan on memory."""
        return SimulatedExecutable(self, plan, memories)

    def release(self) -> None:
        """Nothing is loaded."""


class SimulatedExecutable:
    """A plan whose nodes run in order."""

    def __init__(
        self, code: SimulatedCode, plan: LaunchPlan, memories: Mapping[Region, Memory]
    ) -> None:
        self.code, self.plan = code, plan
        self.memories: dict[Region, SimulatedMemory] = {}
        self.rebind(memories)

    def rebind(self, memories: Mapping[Region, Memory]) -> None:
        """Use other memory for some regions."""
        for region, memory in memories.items():
            assert isinstance(memory, SimulatedMemory)
            assert memory.nbytes >= self.plan.regions[region], region
            self.memories[region] = memory

    def prepare(self) -> None:
        """Run what depends on parameters alone."""
        self._run_all(self.plan.prepare)

    def launch(self) -> None:
        """Run all nodes; parameters stay as they were where that is interrupted."""
        saved = {r: np.array(self.memories[r].data) for r in self._written_parameters()}
        try:
            self._run_all(self.plan.nodes)
        except BaseException:
            for region, data in saved.items():
                self.memories[region].data[:] = data
            raise

    def profile(self) -> list[float]:
        """What takes long here says nothing about a GPU."""
        self.launch()
        return [0.0] * len(self.plan.nodes)

    def release(self) -> None:
        """Nothing is bound."""

    def _written_parameters(self) -> set[Region]:
        written = (p for n in self.plan.nodes for p in n.writes)
        return {p.region for p in written if p.region.role == PARAMETER}

    def _run_all(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self._run(node)

    def _run(self, node: Node) -> None:
        match node:
            case KernelNode():
                self._launch(node)
            case FillNode():
                self._bytes(node.place).view(np.uint32)[:] = node.value
            case LibraryNode(product=product, arguments=places):
                a, b, c = (
                    self._bytes(p).view(m.dtype.numpy) for p, m in zip(places, product.matrices)
                )
                biases = (self._bytes(p).view(c.dtype) for p in places[4:])
                product.multiply(a, b, c, *biases)
            case DynamicLoop():
                self._loop(node)

    def _launch(self, node: KernelNode) -> None:
        arrays = [self._view(p, a) for p, a in zip(node.arguments, node.kernel.arrays)]
        device = self.code.device
        simulate(
            self.code.text, node.kernel.name, node.grid, node.kernel.block, arrays,
            seed=device.seed, executor=device.executor, check=device.check,
        )  # fmt: skip

    def _loop(self, loop: DynamicLoop) -> None:
        most = loop.most
        if loop.count is not None:
            most = max(0, min(most, int(self._bytes(loop.count).view(np.int64)[0])))
        self._run_all(loop.before)
        done = 0
        while done < most and (not loop.conditions or self._bytes(loop.conditions[done])[0]):
            self._run_all(loop.iteration(done, most))
            done += 1
        if loop.after:
            self._run_all(loop.after[done])

    def _bytes(self, place: Place) -> Array:
        return self.memories[place.region].data[place.offset : place.offset + place.size]

    def _view(self, place: Place, array: DeviceArray) -> Array:
        data = self._bytes(place)
        view: Array = data[: array.nbytes].view(array.dtype.numpy)
        return view
