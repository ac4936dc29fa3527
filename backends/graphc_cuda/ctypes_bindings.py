"""The calls of `driver` on libcuda by ctypes: for exported libraries, which need no packages.

It looks like the module cuda.bindings.driver as far as `driver` uses it: calls return a tuple, the
status first; structures and constants have the same names.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from types import SimpleNamespace
from typing import Any

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
OUT = "out"  # an argument that the call fills
HANDLE, ADDRESS, SIZE, WORD, NUMBER = c_void_p, c_uint64, c_size_t, c_uint, c_int

# Every call: what it is called in the library, and its arguments.
CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "cuInit": ("cuInit", (WORD,)),
    "cuDriverGetVersion": ("cuDriverGetVersion", ((OUT, NUMBER),)),
    "cuGetErrorName": ("cuGetErrorName", (NUMBER, (OUT, c_char_p))),
    "cuGetErrorString": ("cuGetErrorString", (NUMBER, (OUT, c_char_p))),
    "cuDeviceGetCount": ("cuDeviceGetCount", ((OUT, NUMBER),)),
    "cuDeviceGet": ("cuDeviceGet", ((OUT, NUMBER), NUMBER)),
    "cuDeviceGetAttribute": ("cuDeviceGetAttribute", ((OUT, NUMBER), NUMBER, NUMBER)),
    "cuDeviceTotalMem": ("cuDeviceTotalMem_v2", ((OUT, SIZE), NUMBER)),
    "cuDevicePrimaryCtxRetain": ("cuDevicePrimaryCtxRetain", ((OUT, HANDLE), NUMBER)),
    "cuDevicePrimaryCtxRelease": ("cuDevicePrimaryCtxRelease_v2", (NUMBER,)),
    "cuCtxSetCurrent": ("cuCtxSetCurrent", (HANDLE,)),
    "cuMemGetInfo": ("cuMemGetInfo_v2", ((OUT, SIZE), (OUT, SIZE))),
    "cuMemAlloc": ("cuMemAlloc_v2", ((OUT, ADDRESS), SIZE)),
    "cuMemFree": ("cuMemFree_v2", (ADDRESS,)),
    "cuMemHostAlloc": ("cuMemHostAlloc", ((OUT, HANDLE), SIZE, WORD)),
    "cuMemFreeHost": ("cuMemFreeHost", (HANDLE,)),
    "cuPointerGetAttribute": ("cuPointerGetAttribute", ((OUT, NUMBER), NUMBER, ADDRESS)),
    "cuMemcpyHtoDAsync": ("cuMemcpyHtoDAsync_v2", (ADDRESS, HANDLE, SIZE, HANDLE)),
    "cuMemcpyDtoHAsync": ("cuMemcpyDtoHAsync_v2", (HANDLE, ADDRESS, SIZE, HANDLE)),
    "cuMemcpyDtoDAsync": ("cuMemcpyDtoDAsync_v2", (ADDRESS, ADDRESS, SIZE, HANDLE)),
    "cuMemsetD32Async": ("cuMemsetD32Async", (ADDRESS, WORD, SIZE, HANDLE)),
    "cuMemsetD8Async": ("cuMemsetD8Async", (ADDRESS, ctypes.c_ubyte, SIZE, HANDLE)),
    "cuStreamCreate": ("cuStreamCreate", ((OUT, HANDLE), WORD)),
    "cuStreamDestroy": ("cuStreamDestroy_v2", (HANDLE,)),
    "cuStreamSynchronize": ("cuStreamSynchronize", (HANDLE,)),
    "cuStreamWaitEvent": ("cuStreamWaitEvent", (HANDLE, HANDLE, WORD)),
    "cuEventCreate": ("cuEventCreate", ((OUT, HANDLE), WORD)),
    "cuEventDestroy": ("cuEventDestroy_v2", (HANDLE,)),
    "cuEventRecord": ("cuEventRecord", (HANDLE, HANDLE)),
    "cuEventQuery": ("cuEventQuery", (HANDLE,)),
    "cuEventElapsedTime": ("cuEventElapsedTime", ((OUT, c_float), HANDLE, HANDLE)),
    "cuModuleUnload": ("cuModuleUnload", (HANDLE,)),
    "cuModuleGetFunction": ("cuModuleGetFunction", ((OUT, HANDLE), HANDLE, c_char_p)),
    "cuFuncSetAttribute": ("cuFuncSetAttribute", (HANDLE, NUMBER, NUMBER)),
    "cuLaunchKernel": ("cuLaunchKernel", (HANDLE, *[WORD] * 7, HANDLE, HANDLE, HANDLE)),
    "cuGraphCreate": ("cuGraphCreate", ((OUT, HANDLE), WORD)),
    "cuGraphInstantiate": ("cuGraphInstantiateWithFlags", ((OUT, HANDLE), HANDLE, c_uint64)),
    "cuGraphLaunch": ("cuGraphLaunch", (HANDLE, HANDLE)),
    "cuGraphExecDestroy": ("cuGraphExecDestroy", (HANDLE,)),
    "cuGraphDestroy": ("cuGraphDestroy", (HANDLE,)),
}


class KernelParameters(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS"""

    _fields_ = (
        ("func", c_void_p),
        *((word, c_uint) for word in ("gridDimX", "gridDimY", "gridDimZ")),
        *((word, c_uint) for word in ("blockDimX", "blockDimY", "blockDimZ")),
        ("sharedMemBytes", c_uint),
        *((word, c_void_p) for word in ("kernelParams", "extra", "kern", "ctx")),
    )


class FillParameters(ctypes.Structure):
    """CUDA_MEMSET_NODE_PARAMS"""

    _fields_ = (
        ("dst", c_uint64),
        ("pitch", c_size_t),
        ("value", c_uint),
        ("elementSize", c_uint),
        ("width", c_size_t),
        ("height", c_size_t),
    )


class CtypesBindings:
    """libcuda as a module of calls; raises RuntimeError where there is none."""

    CUDA_KERNEL_NODE_PARAMS = KernelParameters
    CUDA_MEMSET_NODE_PARAMS = FillParameters
    CUresult = int
    CUstream = int
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=97,
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT=16,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=75,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=76,
    )
    CUpointer_attribute = SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL=9)
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUevent_flags = SimpleNamespace(CU_EVENT_DEFAULT=0, CU_EVENT_DISABLE_TIMING=2)
    CUjit_option = SimpleNamespace(CU_JIT_ERROR_LOG_BUFFER=5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES=6)

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise RuntimeError(str(error)) from None

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if name not in CALLS:
            raise AttributeError(name)
        symbol, arguments = CALLS[name]
        function = self._function(symbol)
        function.argtypes = [
            POINTER(each[1]) if isinstance(each, tuple) else each for each in arguments
        ]

        def call(*given: Any) -> tuple[Any, ...]:
            values = iter(given)
            results = [each[1]() if isinstance(each, tuple) else None for each in arguments]
            status = function(*(next(values) if r is None else ctypes.byref(r) for r in results))
            return status, *(r.value for r in results if r is not None)

        setattr(self, name, call)
        return call

    def _function(self, symbol: str) -> Any:
        try:
            return getattr(self._library, symbol)
        except AttributeError:
            raise RuntimeError(f"function {symbol} is not found") from None

    def cuDeviceGetName(self, length: int, device: int) -> tuple[int, bytes]:  # noqa: N802
        """What a device is called."""
        text = ctypes.create_string_buffer(length)
        return self._function("cuDeviceGetName")(text, length, device), text.value

    def cuModuleLoadDataEx(  # noqa: N802
        self, image: bytes, count: int, options: list[int], values: list[Any]
    ) -> tuple[int, int | None]:
        """A module; values that are bytearrays are filled."""
        module = c_void_p()
        words = (c_int * count)(*options)
        logs = [(c_char_p * 0).from_buffer(v) if isinstance(v, bytearray) else v for v in values]
        places = [ctypes.addressof(v) if isinstance(v, ctypes.Array) else v for v in logs]
        slots = (c_void_p * count)(*places)
        load = self._function("cuModuleLoadDataEx")
        return load(ctypes.byref(module), image, c_uint(count), words, slots), module.value

    def cuGraphAddKernelNode(  # noqa: N802
        self, graph: int, after: list[int], count: int, parameters: KernelParameters
    ) -> tuple[int, int | None]:
        """A node that launches a kernel."""
        return self._add("cuGraphAddKernelNode_v2", graph, after, parameters)

    def cuGraphAddMemsetNode(  # noqa: N802
        self, graph: int, after: list[int], count: int, parameters: FillParameters, context: int
    ) -> tuple[int, int | None]:
        """A node that fills."""
        return self._add("cuGraphAddMemsetNode", graph, after, parameters, c_void_p(context))

    def cuGraphExecKernelNodeSetParams(  # noqa: N802
        self, executable: int, node: int, parameters: KernelParameters
    ) -> tuple[int]:
        """Other arguments for a node."""
        change = self._function("cuGraphExecKernelNodeSetParams_v2")
        return (change(c_void_p(executable), c_void_p(node), ctypes.byref(parameters)),)

    def cuGraphExecMemsetNodeSetParams(  # noqa: N802
        self, executable: int, node: int, parameters: FillParameters, context: int
    ) -> tuple[int]:
        """Another place for a node."""
        change = self._function("cuGraphExecMemsetNodeSetParams")
        handles = (c_void_p(executable), c_void_p(node))
        return (change(*handles, ctypes.byref(parameters), c_void_p(context)),)

    def _add(
        self, symbol: str, graph: int, after: list[int], parameters: ctypes.Structure, *more: Any
    ) -> tuple[int, int | None]:
        node, before = c_void_p(), (c_void_p * len(after))(*after)
        given = ctypes.byref(node), c_void_p(graph), before, c_size_t(len(after))
        return self._function(symbol)(*given, ctypes.byref(parameters), *more), node.value
