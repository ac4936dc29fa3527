"""Device programs to machine code by the direct route, kept on disk by content."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
from graphc_cuda.print_nvptx import nvptx_text
from graphc_cuda.ptx import PTX_VERSION, compile_to_ptx
from graphc_cuda.register_limit import KernelShape, fit_registers


@dataclass(frozen=True)
class CompiledProgram:
    """What to load, and what is known of each kernel (nothing where the driver assembles)."""

    code: MachineCode
    assembled: Assembled

    def resources(self, kernel: DeviceKernel) -> KernelResources | None:
        """What a kernel takes."""
        return self.assembled.kernels.get(self.code.entries[kernel.name])


def compile_program(
    program: Program, capability: tuple[int, int], cache: DiskCache | None = None
) -> CompiledProgram:
    """The machine code of a program, one module; from the cache (GRAPHC_CACHE) if it is there."""
    text = nvptx_text(program, capability)
    kept = cache or disk_cache()
    compilers = PTX_VERSION, llvmlite.__version__, assembler_identity()
    key = content_key("cuda", text, repr(capability), *compilers, compiler_bytes("graphc_cuda"))
    entry = kept.get(key)
    if entry is None:
        entry = _compile(text, program, capability)
        kept.put(key, entry)
    entries = {k.name: identifier(k.name) for k in program.kernels}
    shared = {k.name: size for k in program.kernels if (size := dynamic_shared_bytes(k))}
    return CompiledProgram(MachineCode(entry.image, entries, shared), _from_entry(entry))


def kernel_occupancy(
    kernel: DeviceKernel, resources: KernelResources, capability: tuple[int, int]
) -> Occupancy:
    """How many blocks of a kernel a multiprocessor holds."""
    return occupancy(
        capability, kernel.block, resources.registers, max(resources.shared, kernel.shared_bytes)
    )


def _compile(text: str, program: Program, capability: tuple[int, int]) -> CacheEntry:
    ptx = compile_to_ptx(text, capability)
    if ".extern .func" in ptx:
        missing = ptx[ptx.index(".extern .func") :].split(";")[0]
        raise VerifyError(f"the module calls what nobody defines: {' '.join(missing.split())}")
    shapes = [KernelShape(identifier(k.name), k.block, k.shared_bytes) for k in program.kernels]
    made = fit_registers(ptx, shapes, capability, lambda text: assemble(text, capability))
    kernels = {name: asdict(facts) for name, facts in made.kernels.items()}
    is_cubin = made.cubin is not None
    image = ptx.encode() + b"\0" if made.cubin is None else made.cubin
    return CacheEntry(image, {"cubin": is_cubin, "kernels": kernels})


def _from_entry(entry: CacheEntry) -> Assembled:
    kernels: dict[str, dict[str, Any]] = entry.metadata["kernels"]
    facts = {name: KernelResources(**each) for name, each in kernels.items()}
    return Assembled(entry.image if entry.metadata["cubin"] else None, facts)
