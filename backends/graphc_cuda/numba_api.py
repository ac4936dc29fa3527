"""numba-CUDA: the meaning of generated kernels for numba, and their PTX.

This is the only module that imports numba. It uses of it, and a successor has to offer:
types (`types`), functions with own typing and own LLVM code (`extending.intrinsic`), functions
that kernels call (`cuda.jit(device=True)`), the compiler of one kernel for given types
(`compile_cuda`) and that of NVVM for several modules (`compile_ir`). What the names of the
language mean stands in `numba_scalar` and `numba_memory`, without numba.

PTX is made without contraction of products and sums, without fast mathematics, and without
checks of bounds or division: what a kernel computes is what its text says, bit by bit.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from inspect import Parameter, Signature
from types import ModuleType
from typing import Any

from graphc.errors import BackendError
from graphc.installed import install_hint
from graphc_cuda.device.program import DeviceFunction, DeviceKernel, Program
from graphc_cuda.numba_meaning import ELEMENT_BYTES, VECTOR_BYTES, Meaning
from graphc_cuda.numba_memory import ACCESSES, MEMORY, POSITIONS, THREADS
from graphc_cuda.numba_names import TYPES, global_names
from graphc_cuda.numba_scalar import SCALARS, SIGNS
from graphc_cuda.numba_value import memory_name
from graphc_cuda.nvptx.function_text import identifier
from graphc_cuda.nvptx.statements import dynamic_shared_bytes
from graphc_cuda.print_numba import SPECIALS, numba_text

OLDEST = 0, 30  # of numba-cuda
INSTALL = install_hint("cuda-numba", "numba-cuda[cu13]")

try:
    from numba import cuda
    from numba.cuda import compiler, types
    from numba.cuda.core import errors
    from numba.cuda.cudadrv import nvrtc, nvvm
    from numba.cuda.extending import intrinsic
    from numba.cuda.typing import signature
except ImportError as error:
    raise BackendError(f"numba-CUDA cannot be imported: {error}", hint=INSTALL) from error

NUMBA_TYPES: dict[str, Any] = {
    "bool": types.boolean,
    **dict(zip(TYPES, (types.int8, types.int16, types.int32, types.int64, types.uint8,
                       types.uint16, types.uint32, types.uint64, types.float32, types.float64))),
}  # fmt: skip
SHORT_NAMES = {numba_type: name for name, numba_type in NUMBA_TYPES.items()}


# ------------------------------------------------------- names of the language


def _short(numba_type: Any) -> str:
    """The short name of a type."""
    if isinstance(numba_type, types.IntegerLiteral):
        return f"={numba_type.literal_value}"
    if isinstance(numba_type, types.CPointer):
        return f"*{SHORT_NAMES[numba_type.dtype]}"
    if isinstance(numba_type, types.NumberClass):
        return f":{SHORT_NAMES[numba_type.dtype]}"
    return SHORT_NAMES[types.unliteral(numba_type)]


def _type(short: str) -> Any:
    """The type of a short name."""
    if short[0] == "=":
        return types.literal(int(short[1:]))
    if short[0] == "*":
        return types.CPointer(NUMBA_TYPES[short[1:]])
    return types.NumberClass(NUMBA_TYPES[short[1:]]) if short[0] == ":" else NUMBA_TYPES[short]


def _result(results: Sequence[str]) -> Any:
    found = [_type(name) for name in results]
    if len(found) == 1:
        return found[0]
    return types.Tuple(found) if found else types.none


def _function(name: str, meaning: Meaning) -> Any:
    """A function of the language, as numba takes it."""

    def define(_: Any, *operands: Any) -> Any:
        chosen = None if meaning.literal is None else operands[meaning.literal]
        if chosen is not None and not isinstance(chosen, types.IntegerLiteral):
            raise errors.RequireLiteralValue(f"{name}: a number must stand in the text")
        typing = meaning.rule([_short(x) for x in operands])

        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            made = meaning.code(builder, typing, args)
            if not typing.results:
                return context.get_dummy_value()
            several = len(typing.results) > 1
            return context.make_tuple(builder, sig.return_type, made) if several else made

        return signature(_result(typing.results), *map(_type, typing.operands)), code

    kind = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [Parameter(f"x{i}", kind) for i in range(meaning.count + 1)]
    define.__name__ = name
    define.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(define)


def _cuda() -> ModuleType:
    """The name `cuda`: numba resolves what a module holds when it compiles."""
    module = ModuleType("cuda")
    values = {name: _function(name, meaning) for name, meaning in THREADS.items()}
    for name, meaning in MEMORY.items():
        memory = ModuleType(name)
        vars(memory)["array"] = _function("array", meaning)
        values[name] = memory
    vars(module).update(values, jit=_jit)
    return module


def _jit(function: Any = None, *, device: bool = False) -> Any:
    """Mark a function that kernels call; a kernel stays as it is until it is compiled."""
    return cuda.jit(device=True) if device else function


LANGUAGE: dict[str, Any] = {
    "cuda": _cuda(),
    **{name: _function(name, meaning) for name, meaning in SIGNS.items()},
    **{f"read_{name}": _function(name, meaning) for name, meaning in POSITIONS.items()},
    "inf": math.inf,
    "nan": math.nan,
    **{name: NUMBA_TYPES[name] for name in TYPES},
    **{name: _function(name, meaning) for name, meaning in (SCALARS | ACCESSES).items()},
}


# ----------------------------------------------------------------------- PTX

COORDINATES = {text: f"read_{name}" for name, text in SPECIALS.items()}
# indices are not negative: division needs no care for signs; shifts may go beyond the width
OPERATORS = {
    ast.FloorDiv: "index_quotient",
    ast.Mod: "index_remainder",
    ast.LShift: "shift_left",
    ast.RShift: "shift_right",
}
SHARED_VARIABLE = re.compile(
    r'^(@"shared[.\d]*") = internal addrspace\(3\) global \[(\d+) x (\w+)\].*$', re.MULTILINE
)
ENVIRONMENT = re.compile(r"^.*\.global .*NumbaEnv.*;\n", re.MULTILINE)
BLOCK = re.compile(r"(\.maxntid \d+), 1, 1")
DYNAMIC, BYTES = '@"dynamic_shared"', "[0 x i8]"
OPTIONS = {"opt": 3, "fma": False}  # else NVVM makes one operation of a product and a sum


def numba_ptx(program: Program, capability: tuple[int, int]) -> str:
    """All kernels of a program as one text of PTX, whose entries have the kernels' names."""
    check_installed()
    names = global_names(program)
    defined = load_text(numba_text(program), program.name)
    for function in program.functions:
        make_callable(defined[names.functions[function]], function, capability)
    modules: list[str] = []
    entries: dict[str, str] = {}
    for kernel in program.kernels:
        entry, texts = compile_kernel(defined[names.kernels[kernel]], kernel, capability)
        entries[entry] = identifier(kernel.name)
        modules += [text for text in texts if text not in modules]
    arch = nvrtc.get_arch_option(*capability, "")
    ptx: str = nvvm.compile_ir(modules, arch=arch, **OPTIONS).decode().strip("\x00\n ")
    return _tidy(ptx, entries) + "\n"


def check_installed() -> None:
    """Refuse what cannot compile kernels: numba's own `numba.cuda`, old versions, no libraries."""
    if getattr(cuda, "implementation", "") != "NVIDIA":
        raise BackendError("numba.cuda is not that of the package numba-cuda", hint=INSTALL)
    found = version("numba-cuda")
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise BackendError(f"numba-cuda {found} is too old: {wanted} is needed", hint=INSTALL)
    try:
        nvvm.NVVM()
        nvrtc.get_supported_ccs()
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BackendError(f"numba-CUDA lacks a library of CUDA: {reason}", hint=INSTALL) from error


def load_text(text: str, name: str) -> dict[str, Any]:
    """Run a printed text with numba's meaning of the language; what it defines, by name."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    tree = ast.fix_missing_locations(_Calls().visit(tree))
    defined = dict(LANGUAGE)
    exec(compile(tree, f"<{name}>", "exec"), defined)
    return defined


class _Calls(ast.NodeTransformer):
    """What numba knows only of its own module, or gives another meaning, becomes a call."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        name = OPERATORS.get(type(node.op))
        if name is None:
            return node
        return ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = COORDINATES.get(ast.unparse(node))
        return node if name is None else ast.Call(ast.Name(name, ast.Load()), [], [])


def _compile_types(
    function: Any, result: Any, arguments: tuple[Any, ...], capability: tuple[int, int]
) -> Any:
    """Compile a function of Python for given types, up to modules of NVVM."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compiler.compile_cuda(
            function, result, arguments, nvvm_options=OPTIONS, cc=capability,
            forceinline=result is not types.void,
        )  # fmt: skip


def make_callable(dispatcher: Any, function: DeviceFunction, capability: tuple[int, int]) -> None:
    """Compile a function for the types it has; left to itself, numba would ask a GPU first."""
    parameters = tuple(NUMBA_TYPES[memory_name(p.dtype)] for p in function.parameters)
    result = NUMBA_TYPES[memory_name(function.result.dtype)]
    made = _compile_types(dispatcher.py_func, result, parameters, capability)
    made.target_context.insert_user_function(made.entry_point, made.fndesc, [made.library])
    dispatcher.overloads[parameters] = made
    dispatcher.disable_compile()


def compile_kernel(
    function: Any, kernel: DeviceKernel, capability: tuple[int, int]
) -> tuple[str, list[str]]:
    """The entry of a kernel and the modules of NVVM that make it up."""
    arguments = tuple(types.CPointer(NUMBA_TYPES[memory_name(a.dtype)]) for a in kernel.arrays)
    made = _compile_types(function, types.void, arguments, capability)
    entry = made.library.get_function(made.fndesc.llvm_func_name)
    compiler.kernel_fixup(entry, False)
    nvvm.set_launch_bounds(entry, kernel.block)
    texts = [str(text) for text in made.library.llvm_strs]
    return entry.name, [_at_launch(t) for t in texts] if dynamic_shared_bytes(kernel) else texts


def _at_launch(module: str) -> str:
    """Shared memory of a size that the launch names: too much for static variables."""
    places: dict[str, str] = {}
    offset = 0
    for name, count, element in SHARED_VARIABLE.findall(module):
        kind = f"[{count} x {element}]"
        start = f"{BYTES}, {BYTES} addrspace(3)* {DYNAMIC}, i64 0, i64 {offset}"
        places[f"{kind} addrspace(3)* {name}"] = (
            f"{kind} addrspace(3)* bitcast (i8 addrspace(3)* getelementptr ({start}) "
            f"to {kind} addrspace(3)*)"
        )
        offset += int(count) * ELEMENT_BYTES[element]
        offset += -offset % VECTOR_BYTES
    module = SHARED_VARIABLE.sub("", module)
    for place, text in places.items():
        module = module.replace(f"{place} to", f"{text} to")
    return f"{module}\n{DYNAMIC} = external addrspace(3) global {BYTES}, align {VECTOR_BYTES}\n"


def _tidy(ptx: str, entries: dict[str, str]) -> str:
    """Names and directives as the direct route writes them, without what only numba needs."""
    ptx = BLOCK.sub(r"\1", ENVIRONMENT.sub("", ptx))
    found = re.compile("|".join(map(re.escape, sorted(entries, key=len, reverse=True))))
    return found.sub(lambda match: entries[match.group()], ptx)
