"""PTX of device programs by LLVM: the direct route, without any package of NVIDIA's."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphc.errors import VerifyError
from graphc_cuda.device.program import Program
from graphc_cuda.print_nvptx import TRIPLE, nvptx_text

# Drivers from CUDA 11.8 on take it; it knows sm_90. Newer GPUs run what was made for sm_90.
PTX_VERSION = "ptx78"
NEWEST = (9, 0)


def ptx_of(program: Program, capability: tuple[int, int]) -> str:
    """The PTX of a program for a compute capability such as (9, 0)."""
    return compile_to_ptx(nvptx_text(program, capability), capability)


def compile_to_ptx(text: str, capability: tuple[int, int]) -> str:
    """The PTX of an LLVM module, optimised; raises VerifyError where LLVM refuses it."""
    import llvmlite.binding as llvm

    machine = _machine(min(capability, NEWEST))
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise VerifyError(f"LLVM refuses a module: {error}") from None
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    assembly: str = machine.emit_assembly(module)
    return assembly


@cache
def _machine(capability: tuple[int, int]) -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    major, minor = capability
    target = llvm.Target.from_triple(TRIPLE)
    return target.create_target_machine(
        cpu=f"sm_{major}{minor}", features=f"+{PTX_VERSION}", opt=3, codemodel="default"
    )
