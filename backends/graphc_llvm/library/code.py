"""Functions of a library as LLVM text, line by line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.export.interface import STATUSES, Entry
from graphc.ir.ops.base import Array
from graphc_llvm.library.layout import MAGIC
from graphc_llvm.text import identifier

STATUS = {name: i for i, name in enumerate(STATUSES)}


class Code:
    """Lines of one function that returns a status."""

    def __init__(self, name: str, parameters: Sequence[str], linkage: str = "") -> None:
        head = f"define {linkage} signext i32 @{name}({', '.join(parameters)}) nounwind {{"
        self.lines = [head.replace("  ", " "), "entry:"]
        self._numbers = 0

    def line(self, text: str) -> None:
        """An instruction without result."""
        self.lines.append(f"  {text}")

    def define(self, hint: str, text: str) -> str:
        """The result of an instruction."""
        self._numbers += 1
        name = f"%{hint}.{self._numbers}"
        self.line(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Begin a block."""
        self.lines.append(f"{name}:")

    def at(self, pointer: str, offset: int, hint: str = "at") -> str:
        """An address some bytes further."""
        return self.define(hint, f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def load(self, type: str, pointer: str, offset: int, hint: str = "value") -> str:
        """What is stored some bytes further."""
        return self.define(hint, f"load {type}, ptr {self.at(pointer, offset)}")

    def store(self, type: str, value: object, pointer: str, offset: int) -> None:
        """Store some bytes further."""
        self.line(f"store {type} {value}, ptr {self.at(pointer, offset)}")

    def copy(self, target: str, source: str, count: int) -> None:
        """Copy bytes."""
        self.line(
            f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)"
        )

    def fail_if(self, condition: str, status: int | str) -> None:
        """Return a status where a condition holds."""
        self._numbers += 1
        bad, good = f"fail.{self._numbers}", f"go.{self._numbers}"
        self.line(f"br i1 {condition}, label %{bad}, label %{good}")
        self.label(bad)
        self.line(f"ret i32 {status}")
        self.label(good)

    def fail_if_null(self, *pointers: str) -> None:
        """Return NULL where a pointer is."""
        for pointer in pointers:
            self.fail_if(self.define("null", f"icmp eq ptr {pointer}, null"), STATUS["NULL"])

    def fail_if_not_ready(self, magic: int) -> None:
        """Return NULL or NOT_READY unless the workspace has been initialised."""
        self.fail_if_null("%workspace")
        found = self.load("i64", "%workspace", MAGIC, "magic")
        self.fail_if(self.define("odd", f"icmp ne i64 {found}, {magic}"), STATUS["NOT_READY"])

    def end(self, status: int | str = 0) -> str:
        """Return, and the text."""
        self.line(f"ret i32 {status}")
        return "\n".join([*self.lines, "}"])


def dim_name(name: str) -> str:
    """The argument that holds a dim."""
    return f"%dim.{identifier(name)}"


def internal_symbol(entry: Entry) -> str:
    """What the names of an entry's kernels and parts begin with."""
    return f"{entry.symbol}.code"


def any_bit(array: Array) -> bool:
    """Whether an array has a byte that is not 0."""
    return bool(np.ascontiguousarray(array).reshape(-1).view(np.uint8).any())


def escape(raw: bytes) -> str:
    """Bytes as they stand in LLVM's c"..." strings."""
    plain = range(32, 127)
    return "".join(chr(b) if b in plain and b not in b'"\\' else f"\\{b:02X}" for b in raw)


def numbers(raw: bytes) -> str:
    """Many bytes in the same notation, fast."""
    return "\\" + raw.hex("\\") if raw else ""
