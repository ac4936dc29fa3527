"""An NVIDIA GPU behind the protocol of `device_api`.

`open_gpu` says with numbers why a GPU cannot be used, before anything is compiled for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from graphc.errors import BackendError
from graphc_cuda.device.program import Program
from graphc_cuda.device_api import DeviceFacts, MachineCode, Memory
from graphc_cuda.driver import WITHOUT_GPU, Driver, DriverCallError, dotted
from graphc_cuda.driver_launch import Handle
from graphc_cuda.foreign_array import foreign_array
from graphc_cuda.gpu_graph import GpuExecutable
from graphc_cuda.gpu_memory import GpuMemory
from graphc_cuda.gpu_queue import GpuQueue
from graphc_cuda.launch import LaunchPlan, Region

LEAST_CAPABILITY = (8, 0)
VECTOR_BYTES = 16  # that kernels read and write at once


def open_gpu(index: int = 0, driver: Driver | None = None) -> Gpu:
    """The GPU of a number; raises BackendError where there is none that graphc can use."""
    driver = driver or Driver()
    count = driver.count()
    if count == 0:
        raise BackendError("cuda: there is a driver, but no GPU", hint=WITHOUT_GPU)
    if not 0 <= index < count:
        last = f"GPUs are 0 to {count - 1}" if count > 1 else "there is only GPU 0"
        raise BackendError(f"cuda: there is no GPU {index}: {last}")
    facts = _facts(driver, index)
    if facts.capability < LEAST_CAPABILITY:
        raise BackendError(
            f"cuda: GPU {index} ({facts.name}) has compute capability {dotted(facts.capability)},"
            f" graphc needs {dotted(LEAST_CAPABILITY)} or more",
            hint=WITHOUT_GPU,
        )
    return Gpu(GpuQueue(driver, index), facts)


def _facts(driver: Driver, index: int) -> DeviceFacts:
    device = driver.device(index)
    major, minor, multiprocessors, shared = (
        driver.attribute(device, word)
        for word in (
            "COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR", "MULTIPROCESSOR_COUNT",
            "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
        )
    )  # fmt: skip
    name, total = driver.name(device), driver.total_bytes(device)
    return DeviceFacts(name, index, (major, minor), driver.version, multiprocessors, total, shared)


class Gpu:
    """A GPU with the context that this process has there."""

    def __init__(self, queue: GpuQueue, facts: DeviceFacts) -> None:
        self._queue = queue
        self.facts = facts

    def free_bytes(self) -> int:
        """Bytes that can still be allocated."""
        self._queue.use()
        return self._queue.driver.memory()[0]

    def allocate(self, nbytes: int) -> GpuMemory:
        """New memory."""
        self._queue.use()
        return GpuMemory(self._queue, self._queue.driver.allocate(nbytes), nbytes)

    def borrow(self, array: object) -> GpuMemory | None:
        """The memory of an array of another library that lies on this device, well aligned."""
        self._queue.use()
        found = foreign_array(array, int(self._queue.stream))
        if found is None or found.nbytes == 0 or found.address % VECTOR_BYTES:
            return None
        if self._queue.driver.owner(found.address) != self.facts.index:
            return None
        if found.stream is not None:
            self._queue.follow_foreign(found.stream)
        return GpuMemory(self._queue, found.address, found.nbytes, owner=found.owner)

    def load(self, program: Program, modules: Sequence[MachineCode]) -> GpuCode:
        """The kernels of a program."""
        self._queue.use()
        return GpuCode(self._queue, program, modules)

    def synchronize(self) -> None:
        """Wait for everything; can be interrupted."""
        self._queue.synchronize()

    def release(self) -> None:
        """Give everything back; what was allocated has been given back before."""
        self._queue.release()


class GpuCode:
    """The modules of a program."""

    def __init__(self, queue: GpuQueue, program: Program, modules: Sequence[MachineCode]) -> None:
        self._queue = queue
        self._modules: list[Handle] = []
        self._functions: dict[str, tuple[Handle, int]] = {}
        try:
            for code in modules:
                self._load(code)
        except BackendError:
            self.release()
            raise
        missing = [k.name for k in program.kernels if k.name not in self._functions]
        assert not missing, f"no machine code for {', '.join(missing)}"

    def _load(self, code: MachineCode) -> None:
        module = self._queue.driver.load(code.image)
        self._modules.append(module)
        for name, symbol in code.entries.items():
            function, shared = self._queue.driver.function(module, symbol), code.shared.get(name, 0)
            if shared:
                self._queue.driver.allow_shared(function, shared)
            self._functions[name] = (function, shared)

    def instantiate(self, plan: LaunchPlan, memories: Mapping[Region, Memory]) -> GpuExecutable:
        """A plan on memory."""
        self._queue.use()
        return GpuExecutable(self._queue, plan, self._functions, memories)

    def release(self) -> None:
        """Give the modules back."""
        self._queue.drain()
        while self._modules:
            with suppress(DriverCallError):
                self._queue.driver.unload(self._modules.pop())
