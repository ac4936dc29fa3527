"""The LLVM text that numba makes of a program, for this machine's processor.

numba writes the dialect of NVVM: pointers with types, and PTX for what has no other name. Here
pointers lose their types, and PTX becomes functions that do what its manual says.
"""

from __future__ import annotations

import re

from graphc_cuda import numba_api
from graphc_cuda.device.program import Program
from graphc_cuda.numba_names import global_names
from graphc_cuda.print_numba import numba_text

CAPABILITY = (9, 0)
_SPACE = r"(?: addrspace\(\d\))?"
_POINTER = re.compile(
    rf"(?:i\d+|float|double|ptr|\{{[^{{}}*]*\}}|\[[^\[\]*]*\]|<[^<>*]*>){_SPACE}\*"
)
_LEFT_OUT = re.compile(r'^(!|target |; |@"llvm.used"|@"_ZN08NumbaEnv).*\n', re.MULTILINE)
_ASSEMBLY = re.compile(r'(\S+) asm\s+(?:sideeffect )?"([^"]*)", "[^"]*"\(([^()]*)\)')
_ROUNDING = {"rmi": "floor", "rpi": "ceil", "rzi": "trunc", "rni": "rint"}
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
    """One module with all kernels, by their own names."""
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
        text = text.replace(entry, name)
    helpers: dict[str, str] = {}
    text = _ASSEMBLY.sub(lambda m: _helper_call(m, helpers), text)
    assert " asm " not in text, "this processor knows no PTX"
    return _once_declared(text) + "".join(helpers.values())


def _opaque(module: str) -> str:
    """The same module without the types of pointers, and without what only a GPU needs."""
    text = re.sub(r", !\w+ !\d+", "", _LEFT_OUT.sub("", module))
    before = ""
    while text != before:
        before, text = text, _POINTER.sub("ptr", text)
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
    name = f"@host.{instruction.split(' ')[0]}"
    kind = operands.split(" ")[0]
    if name not in helpers:
        body = _body(instruction.split(" ")[0].split("."), result, kind)
        helpers[name] = (
            f"define internal {result} {name}({kind} %x) {{{body}  ret {result} %result\n}}\n"
        )
    return f"{result} {name}({operands})"


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
        case ["cvt", "rn", "bf16", "f32"]:
            return _BFLOAT
        case ["cvt", "rz", "f32", "f64"]:
            return _TOWARDS_ZERO
        case ["cvt", "rn", "f16", "f64"]:
            return _NARROW
        case ["cvt", "rn", "f16", "f32"]:
            return "\n  %half = fptrunc float %x to half\n  %result = bitcast half %half to i16\n"
        case ["cvt", "f32", "f16"]:
            return "\n  %half = bitcast i16 %x to half\n  %result = fpext half %half to float\n"
    raise AssertionError(parts)
