"""Functions of a library as LLVM text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.export.interface import STATUSES, Entry
from graphc.ir.types import Array
from graphc_llvm.blocks import BlockBuilder
from graphc_llvm.ir_builder import identifier
from graphc_llvm.library.workspace_layout import MAGIC

STATUS = {name: i for i, name in enumerate(STATUSES)}


class Code(BlockBuilder):
    """Writes one function that returns a status."""

    def __init__(self, name: str, parameters: Sequence[str]) -> None:
        super().__init__(name, parameters, result="signext i32")

    def at(self, pointer: str, offset: int, hint: str = "at") -> str:
        """The address at a byte offset."""
        return self.effect_value(hint, f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def load(self, type: str, pointer: str, offset: int, hint: str = "value") -> str:
        """Load from a byte offset."""
        return self.effect_value(hint, f"load {type}, ptr {self.at(pointer, offset)}")

    def store(self, type: str, value: object, pointer: str, offset: int) -> None:
        """Store at a byte offset."""
        self.effect(f"store {type} {value}, ptr {self.at(pointer, offset)}")

    def copy(self, target: str, source: str, count: int | str) -> None:
        """Copy bytes."""
        self.effect(
            f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)"
        )

    def fail_if(self, condition: str, status: int | str) -> None:
        """Return a status where a condition holds."""
        bad, good = self.labels("fail", "go")
        self.branch_if(condition, bad, good)
        self.start(bad)
        self.ret(status)
        self.start(good)

    def fail_if_null(self, *pointers: str) -> None:
        """Return NULL where a pointer is."""
        for pointer in pointers:
            self.fail_if(self.effect_value("null", f"icmp eq ptr {pointer}, null"), STATUS["NULL"])

    def fail_if_not_ready(self, magic: int) -> None:
        """Return NULL or NOT_READY unless the workspace has been initialised."""
        self.fail_if_null("%workspace")
        found = self.load("i64", "%workspace", MAGIC, "magic")
        self.fail_if(self.effect_value("odd", f"icmp ne i64 {found}, {magic}"), STATUS["NOT_READY"])


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
