"""What this machine has for GPUs, what is missing, and what for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from graphc.errors import BackendError
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.driver import Driver, dotted
from graphc_cuda.gpu import open_gpu
from graphc_cuda.library.cublaslt import find_library
from graphc_cuda.library.cublaslt import version as version_of

_TOOLS = {
    "ptxas": "machine code is made by nvJitLink or the driver, without numbers in reports",
    "nvdisasm": 'source("sass") needs it, or cuobjdump',
}
_PACKAGES = {
    "cuda-bindings": "the driver is called by ctypes",
    "numba-cuda": 'gpu_compiler="numba" needs it',
    "greenlet": 'target="cuda-simulate:threads" needs it',
}


def surroundings() -> Iterator[tuple[str, str]]:
    """GPUs, driver, tools and packages, as names and what there is to say."""
    yield from _gpus()
    for tool, without in _TOOLS.items():
        path = find_tool(tool)
        yield tool, f"missing: {without}" if path is None else str(path)
    library = find_library()
    found = "missing: products are graphc's own kernels" if library is None else library
    yield "cuBLASLt", found if library is None else f"{version_of(library)}, {library}"
    for package, without in _PACKAGES.items():
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, f"missing: {without}"


def _gpus() -> Iterator[tuple[str, str]]:
    try:
        driver = Driver()
        count = driver.count()
    except BackendError as error:
        yield "GPU", error.message
        return
    yield "driver", f"for CUDA {dotted(driver.version)}"
    for index in range(count):
        yield f"GPU {index}", _describe(index)


def _describe(index: int) -> str:
    """A GPU in a line, or why it cannot be used."""
    try:
        gpu = open_gpu(index)
    except BackendError as error:
        return error.message
    facts, free = gpu.facts, gpu.free_bytes()
    gpu.release()
    return (
        f"{facts.name}, compute capability {dotted(facts.capability)},"
        f" {facts.multiprocessors} multiprocessors,"
        f" {free / 1e9:.1f} of {facts.total_bytes / 1e9:.1f} GB free"
    )
