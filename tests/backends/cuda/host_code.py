"""Run printed LLVM text on this machine's processor, one thread of the GPU after the other.

The text is that of the GPU, but for address spaces, the numbers of threads, barriers (threads run
alone: only for kernels that need none) and the few helpers that are instructions of the GPU.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphc.ir.types import Array

_BFLOAT = """
  %bits = bitcast float %x to i32
  %upper = lshr i32 %bits, 16
  %odd = and i32 %upper, 1
  %half = add i32 %bits, 32767
  %moved = add i32 %half, %odd
  %rounded = lshr i32 %moved, 16
  %quiet = or i32 %upper, 64
  %is_nan = fcmp uno float %x, %x
  %result = select i1 %is_nan, i32 %quiet, i32 %rounded
  %narrow = trunc i32 %result to i16
  ret i16 %narrow
"""
_PACK = """
  %a = {low}
  %b = {high}
  %first = zext i16 %a to i32
  %second = zext i16 %b to i32
  %upper = shl i32 %second, 16
  %word = or i32 %first, %upper
  ret i32 %word
"""
_TF32 = """
  %bits = bitcast float %x to i32
  %size = and i32 %bits, 2147483647
  %is_finite = icmp ult i32 %size, 2139095040
  %is_nan = icmp ugt i32 %size, 2139095040
  %half = select i1 %is_finite, i32 4096, i32 0
  %moved = add i32 %bits, %half
  %cut = and i32 %moved, -8192
  %result = select i1 %is_nan, i32 2147483647, i32 %cut
  ret i32 %result
"""
_HALF = """
  %near.{0} = fptrunc float %{0} to half
  %bits.{0} = bitcast half %near.{0} to i16
"""
_PACK_HALF = _HALF.format("low") + _HALF.format("high") + _PACK.format(
    low="add i16 %bits.low, 0", high="add i16 %bits.high, 0"
)  # fmt: skip
_PACK_BFLOAT = _PACK.format(
    low="call i16 @host.bf16(float %low)", high="call i16 @host.bf16(float %high)"
)
_INSTRUCTIONS = {
    "f32.to.bf16": _BFLOAT, "round.tf32": _TF32, "pack.f16": _PACK_HALF, "pack.bf16": _PACK_BFLOAT,
}  # fmt: skip
MOST_SHARED = 228 * 1024  # bytes, of what is asked for at launch
_NUMBERS = {"tid": "thread", "ctaid": "block", "nctaid": "blocks"}
_LEFT_OUT = re.compile(r"^  call void @llvm.nvvm.(barrier|bar.warp).*\n", re.MULTILINE)
_READ = re.compile(r"call range\([^)]*\) i32 @llvm.nvvm.read.ptx.sreg.(\w+).x\(\)")
_BODY = r"(define internal \w+ @{}\([^)]*\) [^\n]*{{\n).*?(^}}$)"


def host_text(text: str) -> str:
    """The same module for this machine."""
    text = re.sub(r"^target .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r" addrspace\(\d\)", "", text.replace("ptx_kernel ", ""))
    text = text.replace("external global [0 x i8]", f"internal global [{MOST_SHARED} x i8] undef")
    text = _READ.sub(lambda m: f"load i32, ptr @number.{_NUMBERS[m[1]]}", _LEFT_OUT.sub("", text))
    for name, body in _INSTRUCTIONS.items():
        pattern = re.compile(_BODY.format(re.escape(name)), re.MULTILINE | re.DOTALL)
        text = pattern.sub(lambda m, body=body: m[1] + body.strip("\n") + "\n" + m[2], text)
    if "@host.bf16" in text:
        text += f"define internal i16 @host.bf16(float %x) {{{_BFLOAT}}}\n"
    numbers = [f"@number.{name} = global i32 0\n" for name in _NUMBERS.values()]
    assert "llvm.nvvm" not in text, re.findall(r"@llvm.nvvm[\w.]*", text)
    return text + "".join(numbers)


class HostCode:
    """The kernels of a module, compiled for this machine."""

    def __init__(self, text: str) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(host_text(text))
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=1,
            jit=True,
        )
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        self.engine: Any = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        address = self.engine.get_global_value_address
        self.numbers = {
            name: ctypes.c_int32.from_address(address(f"number.{name}"))
            for name in _NUMBERS.values()
        }

    def run(self, name: str, *arrays: Array, block: int = 1, blocks: int = 1) -> None:
        """Run a kernel: every thread of every block, each to its end."""
        assert all(a.flags.c_contiguous for a in arrays)
        kinds = [ctypes.c_void_p] * len(arrays)
        kernel = ctypes.CFUNCTYPE(None, *kinds)(self.engine.get_function_address(name))
        addresses = [a.ctypes.data for a in arrays]
        self.numbers["blocks"].value = blocks
        for self.numbers["block"].value, self.numbers["thread"].value in np.ndindex(blocks, block):
            kernel(*addresses)
