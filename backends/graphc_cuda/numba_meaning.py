"""What the names of generated kernels mean in LLVM, for numba: rules of types and code.

Types have short names: `f32`, `u8`, `bool`, a pointer to elements `*f32`, a whole number that
stands in the text `=4`. A `Meaning` says for types of operands which types it takes and gives
(none, one or several), and then makes its code with llvmlite's builder, in the dialect of NVVM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
SHARED_SPACE = 3
ELEMENT_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}
VECTOR_BYTES = 16  # what one access moves at most


@dataclass(frozen=True)
class Typing:
    """The types of operands and results, and the element type or number that a form depends on."""

    operands: tuple[str, ...]
    results: tuple[str, ...]
    form: Any = None


Rule = Callable[[Sequence[str]], Typing]
Code = Callable[["ir.IRBuilder", Typing, Sequence[Any]], Any]  # a value, several or None


@dataclass(frozen=True)
class Meaning:
    """What a name means: how many operands it takes, the rule of their types, and its code.

    `literal` is the operand that must be a number in the text, if there is one.
    """

    count: int
    rule: Rule
    code: Code
    literal: int | None = None


def bits(name: str) -> int:
    """The width of a type."""
    return 1 if name == "bool" else int(name[1:])


def llvm_type(name: str) -> Any:
    """The type of a value in LLVM."""
    if name[0] == "f":
        return F32 if name == "f32" else F64
    return ir.IntType(bits(name))


# --------------------------------------------------------------------- rules


def fixed(results: str, *operands: str) -> Rule:
    """Always the same types."""
    typing = Typing(operands, tuple(results.split()))
    return lambda _: typing


def float_rule(types: Sequence[str]) -> Typing:
    """float64 if any operand is, else float32."""
    name = "f64" if "f64" in types else "f32"
    return Typing((name,) * len(types), (name,), name)


def integer_rule(types: Sequence[str]) -> Typing:
    """The type that all integers have; where they differ, int64."""
    found = {t for t in types if t[0] != "="} or {"i64"}
    (name,) = found if len(found) == 1 and len(types) == len(found) else (_wider(found),)
    return Typing((name,) * len(types), (name,), name)


def _wider(names: set[str]) -> str:
    if len(names) == 1:
        return next(iter(names))
    return "u64" if "u64" in names and names <= {"u8", "u16", "u32", "u64"} else "i64"


def unliteral(name: str) -> str:
    """The type of a value, also of a number in the text."""
    return "i64" if name[0] == "=" else name


# ---------------------------------------------------------------------- code


def call_llvm(b: ir.IRBuilder, name: str, result: Any, args: Sequence[Any]) -> Any:
    """Call a function of LLVM, NVVM or libdevice by its name."""
    function = b.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(result, [a.type for a in args])
        function = ir.Function(b.module, kind, name)
    return b.call(function, args)


def assembly(b: ir.IRBuilder, text: str, constraint: str, result: Any, args: Sequence[Any]) -> Any:
    """PTX without effects."""
    return b.asm(ir.FunctionType(result, [a.type for a in args]), text, constraint, args, False)


def effect(b: ir.IRBuilder, text: str, constraint: str, result: Any, args: Sequence[Any]) -> Any:
    """PTX that touches memory or other threads: all threads that meet stay together."""
    kind = ir.FunctionType(result, [a.type for a in args])
    memory = f"{constraint},~{{memory}}".lstrip(",")
    return b.call(ir.InlineAsm(kind, text, memory, True), args, attrs=("convergent",))


def register(name: str) -> str:
    """The letter of a register in constraints of inline PTX."""
    if name[0] == "f":
        return "f" if name == "f32" else "d"
    return {16: "h", 32: "r", 64: "l"}[bits(name)]
