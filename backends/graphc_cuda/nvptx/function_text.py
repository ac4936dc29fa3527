"""LLVM text of one function: names, blocks, instructions."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir.types import DType, float32
from graphc_cuda.device.program import GLOBAL, LOCAL, SHARED

POINTERS = {GLOBAL: "ptr addrspace(1)", SHARED: "ptr addrspace(3)", LOCAL: "ptr"}


def type_text(dtype: DType) -> str:
    """The LLVM type of a value; the 16-bit floats are their bits."""
    if dtype.kind == "b":
        return "i1"
    if dtype.is_float and dtype.bits > 16:
        return "float" if dtype == float32 else "double"
    return f"i{dtype.bits}"


def literal_text(value: Any, dtype: DType) -> str:
    """A constant; integers wrap around, floats are rounded to their type."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.is_integer:
        wrapped = int(value) % 2**dtype.bits
        return str(wrapped - 2**dtype.bits if wrapped >= 2 ** (dtype.bits - 1) else wrapped)
    with np.errstate(all="ignore"):
        rounded = float(np.float32(value)) if dtype == float32 else float(value)
    if math.isfinite(rounded):
        digits, exponent, power = repr(rounded).partition("e")
        return f"{digits}{'' if '.' in digits else '.0'}{exponent}{power}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"


def identifier(name: str) -> str:
    """A name that LLVM and PTX take without quotes."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    return f"_{plain}" if plain[0].isdigit() else plain


@dataclass
class Names:
    """Names that are taken, each with how often it was asked for."""

    taken: dict[str, int] = field(default_factory=dict)

    def fresh(self, hint: str) -> str:
        """A name that nobody has: the hint, or the hint and a number."""
        count = self.taken.get(hint, 0)
        self.taken[hint] = count + 1
        return self.fresh(f"{hint}.{count}") if count else hint


@dataclass
class ModuleText:
    """What the functions of a module share: helpers, globals, and what loops are told."""

    helpers: dict[str, None] = field(default_factory=dict)  # names, in order of first use
    variables: list[str] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    metadata: list[str] = field(default_factory=list)

    def helper(self, name: str) -> str:
        """The symbol of a function of `helpers.py`, which will be printed."""
        self.helpers.setdefault(name)
        return f"@{name}"

    def loop(self, unroll: int) -> str:
        """What the last branch of a loop carries: how often the body is repeated."""
        if unroll == 0:
            return ""
        number = len(self.metadata)
        wish = '"llvm.loop.unroll.disable"' if unroll == 1 else None
        wish = wish or f'"llvm.loop.unroll.count", i32 {unroll}'
        self.metadata.append(f"!{number} = distinct !{{!{number}, !{number + 1}}}")
        self.metadata.append(f"!{number + 1} = !{{!{wish}}}")
        return f", !llvm.loop !{number}"


class FunctionText:
    """The lines of a function. What is written after the end of a block is never reached."""

    def __init__(self, module: ModuleText) -> None:
        self.module = module
        self.names = Names({"entry": 1})
        self.first: list[str] = []  # what every thread does first
        self.lines: list[str] = []
        self.label = "entry"
        self._is_open = True

    def comment(self, text: str) -> None:
        """Write a line for the reader."""
        self.lines.append(f"  ; {' '.join(text.split())}")

    def effect(self, instruction: str) -> None:
        """Write an instruction without a result."""
        if not self._is_open:
            self.start(self.names.fresh("unreachable"))
        self.lines.append(f"  {instruction}")

    def define(self, hint: str, expression: str) -> str:
        """Write an instruction; the name of its result."""
        name = f"%{self.names.fresh(identifier(hint))}"
        self.effect(f"{name} = {expression}")
        return name

    def define_first(self, hint: str, expression: str) -> str:
        """The same at the beginning of the function."""
        name = f"%{self.names.fresh(identifier(hint))}"
        self.first.append(f"  {name} = {expression}")
        return name

    def labels(self, *hints: str) -> list[str]:
        """Unused names of blocks."""
        return [self.names.fresh(hint) for hint in hints]

    def start(self, label: str) -> None:
        """Start a block."""
        self.lines.append(f"{label}:")
        self.label, self._is_open = label, True

    def branch(self, label: str, metadata: str = "") -> None:
        """End the block with a jump, unless it has ended."""
        if self._is_open:
            self.end(f"br label %{label}{metadata}")

    def branch_if(self, condition: str, chosen: str, other: str) -> None:
        """End the block with a choice."""
        self.end(f"br i1 {condition}, label %{chosen}, label %{other}")

    def end(self, instruction: str) -> None:
        """End the block."""
        self.effect(instruction)
        self._is_open = False

    def finished(self, head: str, last: str) -> str:
        """The text of the function: `last` returns where nothing else has."""
        if self._is_open:
            self.end(last)
        return "\n".join([f"{head} {{", "entry:", *self.first, *self.lines, "}"])
