"""Print device programs as LLVM text for the NVPTX target of llvmlite.

Names are those of the user; equal programs give equal text. Rounding is that of IEEE 754, and
nothing is called that the module does not define.
"""

from __future__ import annotations

from graphc_cuda.device.program import Program
from graphc_cuda.nvptx.function_text import ModuleText, Names, identifier
from graphc_cuda.nvptx.helpers import helper_texts
from graphc_cuda.nvptx.statements import function_text, kernel_text

TRIPLE = "nvptx64-nvidia-cuda"
LAYOUT = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"


def nvptx_text(program: Program, capability: tuple[int, int]) -> str:
    """The LLVM module of a program for a compute capability such as (9, 0)."""
    taken = [f.name for f in program.functions] + [k.name for k in program.kernels]
    module = ModuleText(names=Names({identifier(name): 1 for name in taken}))
    functions = [function_text(f, module) for f in program.functions]
    kernels = [kernel_text(k, module) for k in program.kernels]
    major, minor = capability
    head = [
        f"; {program.name} for sm_{major}{minor}",
        f'target datalayout = "{LAYOUT}"',
        f'target triple = "{TRIPLE}"',
    ]
    variables = ["\n".join(module.variables)] if module.variables else []
    metadata = ["\n".join(module.metadata)] if module.metadata else []
    parts = ["\n".join(head), *variables, *helper_texts(module.helpers), *functions, *kernels]
    return "\n\n".join([*parts, *metadata]) + "\n"
