"""The CUDA driver, call by call: the only module that knows cuda-bindings.

Handles (streams, events, modules, graphs, nodes) are passed on as they come. Addresses are ints.
Every failure is a GraphcError that says what was asked and what the driver answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from graphc.errors import BackendError, MemoryBudgetError
from graphc.installed import install_hint
from graphc_cuda.driver_launch import Handle, Launch

OLDEST_DRIVER = (12, 0)  # its graphs take kernels by the structure that is used here
WITHOUT_GPU = 'target="cuda-simulate" runs the same kernels without a GPU'
_LOG_BYTES = 16384
_OUT_OF_MEMORY, _NO_DEVICE, _NOT_READY = 2, 100, 600


class DriverCallError(BackendError):
    """A call that the driver refused; `status` is its number."""

    def __init__(self, message: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Driver:
    """The driver of this machine, initialised.

    `bindings` makes what stands in for cuda-bindings; it raises RuntimeError where there is no
    driver.
    """

    def __init__(self, bindings: Callable[[], Any] | None = None) -> None:
        self._start(bindings or _cuda_bindings)

    def _start(self, bindings: Callable[[], Any]) -> None:
        try:
            self._cuda = bindings()
            status = int(self._cuda.cuInit(0)[0])
            version = int(self._cuda.cuDriverGetVersion()[1])
        except BackendError:
            raise
        except RuntimeError as error:
            raise BackendError(
                f"cuda: there is no NVIDIA driver: {error}", hint=WITHOUT_GPU
            ) from None
        self.version = (version // 1000, version % 1000 // 10)
        if self.version < OLDEST_DRIVER:
            raise BackendError(
                f"cuda: the driver is for CUDA {dotted(self.version)}, graphc needs one for"
                f" {dotted(OLDEST_DRIVER)} or newer",
                hint="install a newer NVIDIA driver",
            )
        if status == _NO_DEVICE:
            raise BackendError("cuda: there is a driver, but no GPU", hint=WITHOUT_GPU)
        self._check("cuInit", status)

    # -- calls ------------------------------------------------------------------------

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What a call returns: nothing, a value, or a tuple of values."""
        try:
            status, *values = getattr(self._cuda, name)(*arguments)
        except RuntimeError as error:
            raise BackendError(
                f"cuda: {name}: {error} (driver for CUDA {dotted(self.version)})",
                hint="install a newer NVIDIA driver",
            ) from None
        self._check(name, int(status))
        return values[0] if len(values) == 1 else tuple(values)

    def _check(self, name: str, status: int) -> None:
        if status:
            raise DriverCallError(f"cuda: {name}: {self.describe(status)}", status)

    def describe(self, status: int) -> str:
        """The name of a status and what it means."""
        try:
            code = self._cuda.CUresult(status)
        except ValueError:
            return f"status {status}"
        texts = [self._cuda.cuGetErrorName(code), self._cuda.cuGetErrorString(code)]
        known = [t.decode() for failed, t in texts if not int(failed) and t]
        return ": ".join(known) or f"status {status}"

    # -- devices and contexts ------------------------------------------------------------

    def count(self) -> int:
        """How many devices there are."""
        return int(self._ask("cuDeviceGetCount"))

    def device(self, index: int) -> Handle:
        """A device by its number."""
        return self._ask("cuDeviceGet", index)

    def name(self, device: Handle) -> str:
        """What it is called."""
        return bytes(self._ask("cuDeviceGetName", 128, device)).split(b"\0")[0].decode()

    def attribute(self, device: Handle, word: str) -> int:
        """One of the driver's numbers, by the name that follows CU_DEVICE_ATTRIBUTE_."""
        kind = getattr(self._cuda.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{word}")
        return int(self._ask("cuDeviceGetAttribute", kind, device))

    def total_bytes(self, device: Handle) -> int:
        """All of its memory."""
        return int(self._ask("cuDeviceTotalMem", device))

    def retain(self, device: Handle) -> Handle:
        """The context that all libraries in this process share."""
        return self._ask("cuDevicePrimaryCtxRetain", device)

    def drop(self, device: Handle) -> None:
        """Undo `retain`."""
        self._ask("cuDevicePrimaryCtxRelease", device)

    def use(self, context: Handle) -> None:
        """Make it the context of this thread."""
        self._ask("cuCtxSetCurrent", context)

    # -- memory ---------------------------------------------------------------------------

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = self._ask("cuMemGetInfo")
        return int(free), int(total)

    def allocate(self, nbytes: int) -> int:
        """The address of new memory on the device."""
        try:
            return int(self._ask("cuMemAlloc", max(nbytes, 1)))
        except DriverCallError as error:
            if error.status != _OUT_OF_MEMORY:
                raise
        free, total = self.memory()
        raise MemoryBudgetError(
            f"cuda: {nbytes:,} bytes were asked for, {free:,} of {total:,} bytes are free",
            hint="smaller batches, or gx.compile(..., memory=...) to compute values again",
        )

    def free(self, address: int) -> None:
        """Give memory back."""
        self._ask("cuMemFree", address)

    def pin(self, nbytes: int) -> int:
        """The address of new memory of the host that the device can copy from and to."""
        return int(self._ask("cuMemHostAlloc", max(nbytes, 1), 0))

    def unpin(self, address: int) -> None:
        """Give memory of the host back."""
        self._ask("cuMemFreeHost", address)

    def owner(self, address: int) -> int | None:
        """The device on which an address is; None for one that is on no device."""
        kind = self._cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        try:
            return int(self._ask("cuPointerGetAttribute", kind, address))
        except DriverCallError:
            return None

    def copy_in(self, to: int, host: int, nbytes: int, stream: Handle) -> None:
        """From the host's pinned memory to the device."""
        self._ask("cuMemcpyHtoDAsync", to, host, nbytes, stream)

    def copy_out(self, host: int, address: int, nbytes: int, stream: Handle) -> None:
        """From the device to the host's pinned memory."""
        self._ask("cuMemcpyDtoHAsync", host, address, nbytes, stream)

    def copy_within(self, to: int, address: int, nbytes: int, stream: Handle) -> None:
        """From the device to the device."""
        self._ask("cuMemcpyDtoDAsync", to, address, nbytes, stream)

    def fill(self, address: int, value: int, nbytes: int, stream: Handle) -> None:
        """Repeat a uint32."""
        value, unit = _fill_unit(value, nbytes)
        call = "cuMemsetD32Async" if unit == 4 else "cuMemsetD8Async"
        self._ask(call, address, value, nbytes // unit, stream)

    # -- streams and events -----------------------------------------------------------------

    def stream(self) -> Handle:
        """A new stream, which waits for no other one by itself."""
        return self._ask("cuStreamCreate", self._cuda.CUstream_flags.CU_STREAM_NON_BLOCKING)

    def foreign_stream(self, number: int) -> Handle:
        """A stream of another library; 1 and 2 are the default ones."""
        return self._cuda.CUstream(number)

    def event(self, timed: bool = False) -> Handle:
        """A new event."""
        flags = self._cuda.CUevent_flags
        kind = flags.CU_EVENT_DEFAULT if timed else flags.CU_EVENT_DISABLE_TIMING
        return self._ask("cuEventCreate", kind)

    def record(self, event: Handle, stream: Handle) -> None:
        """Let the event stand for everything in the stream so far."""
        self._ask("cuEventRecord", event, stream)

    def wait(self, stream: Handle, event: Handle) -> None:
        """Let what follows in the stream wait for the event."""
        self._ask("cuStreamWaitEvent", stream, event, 0)

    def has_happened(self, event: Handle) -> bool:
        """Whether everything that the event stands for is done."""
        status = int(self._cuda.cuEventQuery(event)[0])
        if status != _NOT_READY:
            self._check("cuEventQuery", status)
        return status == 0

    def seconds(self, start: Handle, end: Handle) -> float:
        """The time between two timed events that have happened."""
        return float(self._ask("cuEventElapsedTime", start, end)) / 1e3

    def finish(self, stream: Handle) -> None:
        """Wait for a stream; cannot be interrupted."""
        self._ask("cuStreamSynchronize", stream)

    def destroy_event(self, event: Handle) -> None:
        """Give it back."""
        self._ask("cuEventDestroy", event)

    def destroy_stream(self, stream: Handle) -> None:
        """Give it back."""
        self._ask("cuStreamDestroy", stream)

    # -- code -----------------------------------------------------------------------------

    def load(self, image: bytes) -> Handle:
        """A module from a cubin, or from PTX, which the driver compiles."""
        options = self._cuda.CUjit_option
        log = bytearray(_LOG_BYTES)
        names = [
            options.CU_JIT_ERROR_LOG_BUFFER, options.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ]  # fmt: skip
        try:
            # PTX is a C string: without its end the driver reads on
            return self._ask("cuModuleLoadDataEx", image + b"\0", 2, names, [log, _LOG_BYTES])
        except DriverCallError as error:
            text = bytes(log).split(b"\0")[0].decode(errors="replace").strip()
            raise DriverCallError(
                f"{error.message} (driver for CUDA {dotted(self.version)})"
                + (f"\n{text}" if text else ""),
                error.status,
                hint="code for a newer CUDA needs a newer driver",
            ) from None

    def unload(self, module: Handle) -> None:
        """Give a module back."""
        self._ask("cuModuleUnload", module)

    def function(self, module: Handle, symbol: str) -> Handle:
        """A kernel of a module."""
        return self._ask("cuModuleGetFunction", module, symbol.encode())

    def allow_shared(self, function: Handle, nbytes: int) -> None:
        """Let launches of a kernel ask for so much shared memory."""
        kind = self._cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._ask("cuFuncSetAttribute", function, kind, nbytes)

    def launch(self, launch: Launch, stream: Handle) -> None:
        """Launch a kernel."""
        shape = (launch.grid, 1, 1, launch.block, 1, 1)
        slots = launch.slots.ctypes.data
        self._ask("cuLaunchKernel", launch.function, *shape, launch.shared, stream, slots, 0)

    # -- graphs ---------------------------------------------------------------------------

    def graph(self) -> Handle:
        """A new graph without nodes."""
        return self._ask("cuGraphCreate", 0)

    def add_kernel(self, graph: Handle, after: Sequence[Handle], launch: Launch) -> Handle:
        """A node that launches a kernel when those before it are done."""
        parameters = self._kernel_parameters(launch)
        return self._ask("cuGraphAddKernelNode", graph, list(after), len(after), parameters)

    def add_fill(
        self,
        graph: Handle,
        after: Sequence[Handle],
        fill: tuple[int, int, int],
        context: Handle,
    ) -> Handle:
        """A node that fills (address, value, bytes) when those before it are done."""
        parameters = self._fill_parameters(*fill)
        nodes = list(after)
        return self._ask("cuGraphAddMemsetNode", graph, nodes, len(nodes), parameters, context)

    def capture(self, stream: Handle, queue: Callable[[], None]) -> Handle:
        """What is queued on a stream meanwhile, as a graph: nothing of it runs."""
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        self._ask("cuStreamBeginCapture", stream, mode)
        try:
            queue()
        finally:  # a stream that is left in capture takes nothing else
            graph = self._ask("cuStreamEndCapture", stream)
        return graph

    def add_child(self, graph: Handle, after: Sequence[Handle], child: Handle) -> Handle:
        """A node that runs a copy of another graph when those before it are done."""
        return self._ask("cuGraphAddChildGraphNode", graph, list(after), len(after), child)

    def change_child(self, executable: Handle, node: Handle, child: Handle) -> None:
        """Let a node run a graph of the same form instead."""
        self._ask("cuGraphExecChildGraphNodeSetParams", executable, node, child)

    def forget_graph(self, graph: Handle) -> None:
        """Give back a graph that was never instantiated."""
        self._ask("cuGraphDestroy", graph)

    def instantiate(self, graph: Handle) -> Handle:
        """The graph in a form that can be launched."""
        return self._ask("cuGraphInstantiate", graph, 0)

    def change_kernel(self, executable: Handle, node: Handle, launch: Launch) -> None:
        """Give a node other arguments."""
        parameters = self._kernel_parameters(launch)
        self._ask("cuGraphExecKernelNodeSetParams", executable, node, parameters)

    def change_fill(
        self, executable: Handle, node: Handle, fill: tuple[int, int, int], context: Handle
    ) -> None:
        """Let a node fill another place."""
        parameters = self._fill_parameters(*fill)
        self._ask("cuGraphExecMemsetNodeSetParams", executable, node, parameters, context)

    def launch_graph(self, executable: Handle, stream: Handle) -> None:
        """Launch all nodes."""
        self._ask("cuGraphLaunch", executable, stream)

    def destroy_graph(self, graph: Handle, executable: Handle) -> None:
        """Give both forms back."""
        self._ask("cuGraphExecDestroy", executable)
        self._ask("cuGraphDestroy", graph)

    def _kernel_parameters(self, launch: Launch) -> Any:
        found = self._cuda.CUDA_KERNEL_NODE_PARAMS()
        found.func = launch.function
        found.gridDimX, found.gridDimY, found.gridDimZ = launch.grid, 1, 1
        found.blockDimX, found.blockDimY, found.blockDimZ = launch.block, 1, 1
        found.sharedMemBytes = launch.shared
        found.kernelParams = launch.slots.ctypes.data
        return found

    def _fill_parameters(self, address: int, value: int, nbytes: int) -> Any:
        found = self._cuda.CUDA_MEMSET_NODE_PARAMS()
        value, unit = _fill_unit(value, nbytes)
        found.dst, found.value, found.elementSize = address, value, unit
        found.width, found.height, found.pitch = nbytes // unit, 1, 0
        return found


def _cuda_bindings() -> Any:
    try:
        return import_module("cuda.bindings.driver")
    except ImportError as error:
        raise BackendError(
            f"cuda: cuda-bindings is missing: {error}", hint=install_hint("cuda", "cuda-bindings")
        ) from None


def _fill_unit(value: int, nbytes: int) -> tuple[int, int]:
    """What to repeat and its bytes: 4, or 1 where the end is no multiple of 4."""
    if nbytes % 4 == 0:
        return value, 4
    assert value == (value & 255) * 0x01010101, f"{nbytes} bytes of {value:#x}"
    return value & 255, 1


def dotted(version: tuple[int, int]) -> str:
    """A version as people write it."""
    return f"{version[0]}.{version[1]}"
