"""What a runner asks of a device: an NVIDIA GPU (`gpu`) and the simulator both answer.

    device = find_device(0)                      a Device
    memories = {region: device.allocate(size) for region, size in plan.regions.items()}
    memories[region].upload(array)               in order with launches
    code = device.load(plan.program, modules)    the simulator runs the program itself
    step = code.instantiate(plan, memories)      one CUDA graph
    step.launch()                                does not wait
    memories[region].download(array)             waits for what was launched before

Whatever is asked of one device happens in the order in which it was asked, as seen by launches and
downloads. One thread at a time may use a device: a runner holds its lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from graphc.ir.types import Array
from graphc_cuda.device.program import Program
from graphc_cuda.launch import LaunchPlan, Region


@dataclass(frozen=True)
class DeviceFacts:
    """A device in numbers; `capability` and `driver` are (major, minor)."""

    name: str
    index: int
    capability: tuple[int, int]
    driver: tuple[int, int]
    multiprocessors: int
    total_bytes: int
    shared_bytes: int  # that one block may ask for at launch


@dataclass(frozen=True)
class MachineCode:
    """Kernels that are loaded together: a cubin, or PTX that the driver compiles.

    `entries` gives the symbol of each kernel by the name that it has in the program, `shared`
    the bytes of shared memory that kernels want at launch, where they want any.
    """

    image: bytes
    entries: Mapping[str, str]
    shared: Mapping[str, int] = field(default_factory=dict)


class Memory(Protocol):
    """Bytes on the device, at a multiple of 256; what they hold at first is not defined."""

    @property
    def nbytes(self) -> int:
        """How many there are."""
        ...

    def upload(self, array: Array, offset: int = 0) -> None:
        """Write the bytes of a C-ordered array, which may change as soon as this returns."""
        ...

    def download(self, array: Array, offset: int = 0) -> None:
        """Read bytes into a C-ordered array, after everything that was launched before."""
        ...

    def copy(self, source: Memory, offset: int = 0) -> None:
        """Write all bytes of other memory of the same device."""
        ...

    def window(self, offset: int, nbytes: int) -> Memory:
        """A part of it that shares its bytes; not to be released."""
        ...

    def release(self) -> None:
        """Give it back, after everything that uses it; a second time does nothing."""
        ...


class Executable(Protocol):
    """A launch plan on given memory."""

    @property
    def plan(self) -> LaunchPlan:
        """What it runs."""
        ...

    def prepare(self) -> None:
        """Run the launches that depend on parameters alone."""
        ...

    def launch(self) -> None:
        """Run all nodes of the plan; returns early unless the host decides about loops."""
        ...

    def rebind(self, memories: Mapping[Region, Memory]) -> None:
        """Use other memory for some regions from the next launch on."""
        ...

    def profile(self) -> list[float]:
        """Run the nodes one by one; the seconds that each took on the device."""
        ...

    def release(self) -> None:
        """Give it back; the memory stays."""
        ...


class Code(Protocol):
    """Kernels on the device."""

    def instantiate(self, plan: LaunchPlan, memories: Mapping[Region, Memory]) -> Executable:
        """The plan on memory of at least `plan.regions` bytes for every region."""
        ...

    def release(self) -> None:
        """Give it back, after all that were instantiated from it."""
        ...


class Device(Protocol):
    """A device that runs launch plans."""

    @property
    def facts(self) -> DeviceFacts:
        """What it is."""
        ...

    def free_bytes(self) -> int:
        """Bytes that can still be allocated."""
        ...

    def allocate(self, nbytes: int) -> Memory:
        """New memory; raises MemoryBudgetError where there is too little."""
        ...

    def borrow(self, array: object) -> Memory | None:
        """The memory of a C-ordered array that lies on this device, which lives as long; or None.

        Takes what has `__cuda_array_interface__` or speaks DLPack.
        """
        ...

    def load(self, program: Program, modules: Sequence[MachineCode]) -> Code:
        """The kernels of a program; raises BackendError where machine code is refused."""
        ...

    def synchronize(self) -> None:
        """Wait for everything; can be interrupted."""
        ...
