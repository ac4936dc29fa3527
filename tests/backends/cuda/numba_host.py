"""The LLVM text that numba makes of a program, for this machine's processor.

numba writes the dialect of NVVM: pointers with types, and PTX for what has no other name. Here
pointers lose their types, and PTX becomes functions that do what its manual says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphc.ir.types import Array
from graphc_cuda.device.program import Program
from graphc_cuda.numba_names import global_names
from graphc_cuda.print_numba import numba_text
from tests.backends.cuda.host_threads import HostThreads

CAPABILITY = (9, 0)
_SPACE = r"(?: addrspace\(\d\))?"
_POINTER = re.compile(
    rf"(?:i\d+|float|double|ptr|\{{[^{{}}*]*\}}|\[[^\[\]*]*\]|<[^<>*]*>){_SPACE}\*"
)
_LEFT_OUT = re.compile(r'^(!|target |; |@"llvm.used"|@"_ZN08NumbaEnv).*\n', re.MULTILINE)
_ASSEMBLY = re.compile(r'(\{[^{}]*\}|\S+) asm\s+(?:sideeffect )?"([^"]*)", "[^"]*"\(([^()]*)\)')
_ROUNDING = {"rmi": "floor", "rpi": "ceil", "rzi": "trunc", "rni": "rint"}
_REGISTER = re.compile(r'call i32 @"llvm.nvvm.read.ptx.sreg.(\w+).x"\(\)')
_SHUFFLE = """
define internal {i32, i1} @host.shuffle.pair(i32 %mask, i32 %by, i32 %value, i32 %lane, i32 %last) {
  %moved = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 %mask, i32 %value, i32 %lane, i32 %last)
  %pair = insertvalue {i32, i1} { i32 0, i1 true }, i32 %moved, 0
  ret {i32, i1} %pair
}
"""
_HALF = """
  %half = fptrunc float %x to half
  %result = bitcast half %half to i16
"""
_PACK = """
define internal i32 @ptx.pack.{0}(float %low, float %high) {{
  %a = call i16 @ptx.{0}(float %low)
  %b = call i16 @ptx.{0}(float %high)
  %first = zext i16 %a to i32
  %second = zext i16 %b to i32
  %upper = shl i32 %second, 16
  %word = or i32 %first, %upper
  ret i32 %word
}}
"""
_TENSOR_FLOAT = """
  %bits = bitcast float %x to i32
  %size = and i32 %bits, 2147483647
  %is_finite = icmp ult i32 %size, 2139095040
  %is_nan = icmp ugt i32 %size, 2139095040
  %half = select i1 %is_finite, i32 4096, i32 0
  %moved = add i32 %bits, %half
  %cut = and i32 %moved, -8192
  %result = select i1 %is_nan, i32 2147483647, i32 %cut
"""
_LOAD = """
define internal {{ i32, i32, i32, i32 }} @ptx.load{0}(i64 %place) {{
  %pointer = inttoptr i64 %place to ptr
  %pairs = call {{ i32, i32, i32, i32 }} @host.load{0}(ptr %pointer)
  ret {{ i32, i32, i32, i32 }} %pairs
}}
"""
_NAMES = (
    ", ".join(f"i32 %a{i}" for i in range(6)) + ", " + ", ".join(f"float %c{i}" for i in range(4))
)
_CASTS = "\n".join(f"  %h{i} = bitcast i32 %a{i} to <2 x half>" for i in range(6))
_HALVES = re.sub(r"i32 %a", "<2 x half> %h", _NAMES)
_HALF_PRODUCT = f"""
define internal {{ float, float, float, float }} @ptx.mma_f16({_NAMES}) {{
{_CASTS}
  %sums = call {{ float, float, float, float }} @host.mma_f16({_HALVES})
  ret {{ float, float, float, float }} %sums
}}
"""
_COPY = """
define internal void {name}(i64 %to, i64 %from) {{
  %target = inttoptr i64 %to to ptr
  %source = inttoptr i64 %from to ptr
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 {size}, i1 false)
  ret void
}}
"""
_BFLOAT = """
  %bits = bitcast float %x to i32
  %upper = lshr i32 %bits, 16
  %odd = and i32 %upper, 1
  %half = add i32 %odd, 32767
  %moved = add i32 %bits, %half
  %rounded = lshr i32 %moved, 16
  %quiet = or i32 %upper, 64
  %is_nan = fcmp uno float %x, %x
  %chosen = select i1 %is_nan, i32 %quiet, i32 %rounded
  %result = trunc i32 %chosen to i16
"""
_TOWARDS_ZERO = """
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %there = call double @llvm.fabs.f64(double %back)
  %here = call double @llvm.fabs.f64(double %x)
  %beyond = fcmp ogt double %there, %here
  %bits = bitcast float %near to i32
  %less = sub i32 %bits, 1
  %chosen = select i1 %beyond, i32 %less, i32 %bits
  %result = bitcast i32 %chosen to float
"""
# this processor narrows in two steps: the first rounds to odd
_NARROW = (
    _TOWARDS_ZERO.replace("%result", "%cut")
    + """
  %cut_back = fpext float %cut to double
  %is_exact = fcmp ueq double %cut_back, %x
  %odd = or i32 %chosen, 1
  %sticky = select i1 %is_exact, i32 %chosen, i32 %odd
  %single = bitcast i32 %sticky to float
  %near_half = fptrunc float %single to half
  %result = bitcast half %near_half to i16
"""
)


def numba_host_text(program: Program) -> str:
    """One module with all kernels, by their own names; imports numba, which may be missing."""
    from graphc_cuda import numba_api

    names = global_names(program)
    defined = numba_api.load_text(numba_text(program), program.name)
    for function in program.functions:
        numba_api.make_callable(defined[names.functions[function]], function, CAPABILITY)
    modules: dict[str, None] = {}
    entries: dict[str, str] = {}
    for kernel in program.kernels:
        found = defined[names.kernels[kernel]]
        entry, texts = numba_api.compile_kernel(found, kernel, CAPABILITY)
        entries[f'@"{entry}"'] = f"@{kernel.name}"
        modules |= dict.fromkeys(texts)
    text = "\n".join(map(_opaque, modules))
    for entry, name in entries.items():
        text = text.replace(f"define void {entry}", f"define ptx_kernel void {name}")
    text = _meeting(text)
    helpers: dict[str, str] = {}
    text = _ASSEMBLY.sub(lambda m: _helper_call(m, helpers), text)
    assert " asm " not in text, "this processor knows no PTX"
    return _once_declared(text) + "".join(helpers.values())


def _opaque(module: str) -> str:
    """The same module without the types of pointers, and without what only a GPU needs."""
    text = re.sub(r", !\w+ !\d+", "", _LEFT_OUT.sub("", module + "\n"))
    before = ""
    while text != before:
        before, text = text, _POINTER.sub("ptr", text)
    return text


def _meeting(text: str) -> str:
    """What threads do together by the names of the direct route, and addresses in 64 bits."""
    text = re.sub(r'^declare .*@"llvm.nvvm.*\n', "", text, flags=re.MULTILINE)
    text = _REGISTER.sub(r"call range(i32 0, 1) i32 @llvm.nvvm.read.ptx.sreg.\1.x()", text)
    text = text.replace('@"llvm.nvvm.barrier0"()', "@llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")
    text = text.replace('@"llvm.nvvm.bar.warp.sync"(', "@llvm.nvvm.bar.warp.sync(")
    text = re.sub(r" addrspace\(\d\)", "", text)
    text = re.sub(r"addrspacecast ptr (\S+) to ptr", r"bitcast ptr \1 to ptr", text)
    if "llvm.nvvm.shfl.sync.i32" in text:
        text = text.replace('@"llvm.nvvm.shfl.sync.i32"(', "@host.shuffle.pair(") + _SHUFFLE
    addresses = re.findall(r"(\S+) = ptrtoint ptr \S+ to i32", text)
    text = re.sub(r"(= ptrtoint ptr \S+) to i32", r"\1 to i64", text)
    for address in addresses:
        text = re.sub(rf"i32 {re.escape(address)}(?=[,)])", f"i64 {address}", text)
    return text


def _once_declared(text: str) -> str:
    """Declarations that several modules have stand once, and none of what is defined."""
    kept: dict[str, None] = {}
    for line in text.splitlines():
        if not line.startswith("declare "):
            continue
        kept[line] = None
    rest = "\n".join(line for line in text.splitlines() if not line.startswith("declare "))
    wanted = [d for d in kept if not _is_defined(d, rest)]
    return rest + "\n" + "\n".join(wanted) + "\n"


def _is_defined(declaration: str, text: str) -> bool:
    name = re.search(r"@(\"[^\"]+\"|[\w.$]+)", declaration)
    assert name is not None
    pattern = rf"^define [^\n]*{re.escape(name[0])}\("
    return re.search(pattern, text, re.MULTILINE) is not None


def _helper_call(match: re.Match[str], helpers: dict[str, str]) -> str:
    """The call of a function that does what an instruction does."""
    result, instruction, operands = match.groups()
    parts = instruction.split(" ")[0].split(".")
    if parts[:2] == ["cp", "async"]:
        return _copy(instruction, operands, helpers)
    if parts[0] in ("mma", "ldmatrix") or {"bf16x2", "f16x2"} & {*parts}:
        return _of_warps(parts, operands, helpers)
    name = f"@ptx.{'.'.join(parts)}"
    kind = operands.split(" ")[0]
    if name not in helpers:
        body = _body(parts, result, kind)
        head = f"define internal {result} {name}({kind} %x) {{"
        helpers[name] = f"{head}{body}  ret {result} %result\n}}\n"
    return f"{result} {name}({operands})"


def _copy(instruction: str, operands: str, helpers: dict[str, str]) -> str:
    """Copies that happen at once."""
    size = instruction.rstrip(";").rsplit(" ", 1)[1] if operands else "0"
    name = f"@ptx.copy.{size}"
    if not operands:
        helpers[name] = f"define internal void {name}() {{\n  ret void\n}}\n"
    else:
        helpers[name] = _COPY.format(name=name, size=size)
    return f"void {name}({operands})"


def _of_warps(parts: list[str], operands: str, helpers: dict[str, str]) -> str:
    """Products of matrices, their loads, and the packing of what they multiply."""
    if parts[0] == "ldmatrix":
        transposed = int("trans" in parts)
        helpers[f"load{transposed}"] = _LOAD.format(transposed)
        return f"{{ i32, i32, i32, i32 }} @ptx.load{transposed}({operands})"
    if parts[0] == "mma":
        helpers["mma_f16"] = _HALF_PRODUCT
        name = "@ptx.mma_f16" if "f16" in parts else f"@host.mma_{parts[7]}"
        return f"{{ float, float, float, float }} {name}({operands})"
    kind = parts[2].removesuffix("x2")
    helpers["bf16"] = f"define internal i16 @ptx.bf16(float %x) {{{_BFLOAT}  ret i16 %result\n}}\n"
    helpers["f16"] = f"define internal i16 @ptx.f16(float %x) {{{_HALF}  ret i16 %result\n}}\n"
    helpers[f"pack.{kind}"] = _PACK.format(kind)
    return f"i32 @ptx.pack.{kind}({operands})"


def _body(parts: list[str], result: str, kind: str) -> str:
    match parts:
        case ["abs", wide]:
            return f"\n  %result = call {kind} @llvm.fabs.{wide}({kind} %x)\n"
        case ["cvt", "rzi", number, wide] if number[0] in "su":
            sign = "s" if number[0] == "s" else "u"
            function = f"@llvm.fpto{sign}i.sat.{result}.{wide}"
            return f"\n  %result = call {result} {function}({kind} %x)\n"
        case ["cvt", form, wide, _] if form in _ROUNDING:
            return f"\n  %result = call {kind} @llvm.{_ROUNDING[form]}.{wide}({kind} %x)\n"
        case ["cvta", *_]:
            return f"\n  %result = add {kind} %x, 0\n"
        case ["cvt", "rn", "bf16", "f32"]:
            return _BFLOAT
        case ["cvt", "rz", "f32", "f64"]:
            return _TOWARDS_ZERO
        case ["cvt", "rn", "f16", "f64"]:
            return _NARROW
        case ["cvt", "rn", "f16", "f32"]:
            return _HALF
        case ["cvt", "rna", "tf32", "f32"]:
            return _TENSOR_FLOAT
        case ["cvt", "f32", "f16"]:
            return "\n  %half = bitcast i16 %x to half\n  %result = fpext half %half to float\n"
    raise AssertionError(parts)


class NumbaThreads:
    """The kernels of a program as numba makes them, a module for each; launched like others."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made: dict[str, HostThreads] = {}

    def launch(self, name: str, grid: int, block: int, arrays: Sequence[Array]) -> None:
        """Run a kernel on flat arrays."""
        if name not in self.made:
            (kernel,) = (k for k in self.program.kernels if k.name == name)
            alone = Program(self.program.name, self.program.functions, (kernel,))
            self.made[name] = HostThreads(numba_host_text(alone))
        self.made[name].launch(name, grid, block, arrays)
