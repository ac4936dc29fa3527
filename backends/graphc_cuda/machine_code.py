"""Device programs to machine code by either route, kept on disk by content."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import llvmlite

from graphc.compiler.cache import CacheEntry, DiskCache, content_key, disk_cache
from graphc.errors import VerifyError
from graphc.ir.fingerprint import compiler_bytes
from graphc_cuda.assemble import Assembled, KernelResources, assemble, assembler_identity
from graphc_cuda.device.program import DeviceKernel, Program
from graphc_cuda.device_api import MachineCode
from graphc_cuda.nvptx.function_text import identifier
from graphc_cuda.nvptx.statements import dynamic_shared_bytes
from graphc_cuda.occupancy import Occupancy, occupancy
from graphc_cuda.print_numba import numba_text
from graphc_cuda.print_nvptx import nvptx_text
from graphc_cuda.ptx import PTX_VERSION, compile_to_ptx, ptx_of
from graphc_cuda.register_limit import KernelShape, fit_registers
from graphc_cuda.step_code import NVPTX, TEXT


@dataclass(frozen=True)
class CompiledProgram:
    """What to load, and what is known of each kernel (nothing where the driver assembles)."""

    code: MachineCode
    assembled: Assembled

    def resources(self, kernel: DeviceKernel) -> KernelResources | None:
        """What a kernel takes."""
        return self.assembled.kernels.get(self.code.entries[kernel.name])


def compile_program(
    program: Program,
    capability: tuple[int, int],
    cache: DiskCache | None = None,
    route: str = NVPTX,
) -> CompiledProgram:
    """The machine code of a program, one module; from the cache (GRAPHC_CACHE) if it is there.

    `route` is the way to PTX: LLVM's NVPTX target or numba-CUDA.
    """
    text = nvptx_text(program, capability) if route == NVPTX else numba_text(program)
    kept = cache or disk_cache()
    compilers = _versions(route), assembler_identity(), compiler_bytes("graphc_cuda")
    key = content_key("cuda", route, text, repr(capability), *compilers)
    entry = kept.get(key)
    if entry is None:
        ptx = compile_to_ptx(text, capability) if route == NVPTX else _by_numba(program, capability)
        entry = _assembled(ptx, program, capability, route)
        kept.put(key, entry)
    entries = {k.name: _entry_name(k, route) for k in program.kernels}
    shared = {k.name: size for k in program.kernels if (size := dynamic_shared_bytes(k))}
    return CompiledProgram(MachineCode(entry.image, entries, shared), _from_entry(entry))


def program_code(program: Program, route: str, capability: tuple[int, int]) -> MachineCode:
    """What a device loads: machine code, or the text that the simulator runs."""
    if route == TEXT:
        return MachineCode(numba_text(program).encode(), {})
    return compile_program(program, capability, route=route).code


def ptx_by(route: str, program: Program, capability: tuple[int, int]) -> str:
    """The PTX of a program by a route."""
    return ptx_of(program, capability) if route == NVPTX else _by_numba(program, capability)


def _by_numba(program: Program, capability: tuple[int, int]) -> str:
    from graphc_cuda.numba_api import numba_ptx

    return numba_ptx(program, capability)


def _entry_name(kernel: DeviceKernel, route: str) -> str:
    return identifier(kernel.name) if route == NVPTX else kernel.name


def _versions(route: str) -> str:
    """What else the PTX of a route depends on."""
    if route == NVPTX:
        return f"{PTX_VERSION} {llvmlite.__version__}"
    try:
        return " ".join(version(name) for name in ("numba", "numba-cuda", "nvidia-nvvm"))
    except PackageNotFoundError:
        return "numba"


def kernel_occupancy(
    kernel: DeviceKernel, resources: KernelResources, capability: tuple[int, int]
) -> Occupancy:
    """How many blocks of a kernel a multiprocessor holds."""
    return occupancy(
        capability, kernel.block, resources.registers, max(resources.shared, kernel.shared_bytes)
    )


def _assembled(ptx: str, program: Program, capability: tuple[int, int], route: str) -> CacheEntry:
    if ".extern .func" in ptx:
        missing = ptx[ptx.index(".extern .func") :].split(";")[0]
        raise VerifyError(f"the module calls what nobody defines: {' '.join(missing.split())}")
    shapes = [KernelShape(_entry_name(k, route), k.block, k.shared_bytes) for k in program.kernels]
    made = fit_registers(ptx, shapes, capability, lambda text: assemble(text, capability))
    kernels = {name: asdict(facts) for name, facts in made.kernels.items()}
    is_cubin = made.cubin is not None
    image = ptx.encode() + b"\0" if made.cubin is None else made.cubin
    return CacheEntry(image, {"cubin": is_cubin, "kernels": kernels})


def _from_entry(entry: CacheEntry) -> Assembled:
    kernels: dict[str, dict[str, Any]] = entry.metadata["kernels"]
    facts = {name: KernelResources(**each) for name, each in kernels.items()}
    return Assembled(entry.image if entry.metadata["cubin"] else None, facts)
