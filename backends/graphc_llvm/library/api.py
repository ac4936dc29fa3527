"""The functions of a library as LLVM text: what C calls, around the compiled programs.

The header that `graphc.export.header` writes says what each of them does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graphc.export.interface import STATUSES, Interface
from graphc.ir.schedule import ALIGNMENT
from graphc.ir.types import Array
from graphc_llvm.blocks import BlockBuilder
from graphc_llvm.library.code import Code, escape, numbers
from graphc_llvm.library.workspace_layout import VERSION, WorkspaceLayout


@dataclass
class Api:
    """What the texts of all functions share: names, constants, the layout of the workspace.

    `size` is the LLVM type of C's size_t.
    """

    interface: Interface
    workspace: WorkspaceLayout
    size: str
    embedded: bool
    constants: dict[str, str] = field(default_factory=dict)  # text of a constant -> its name

    @property
    def name(self) -> str:
        """What every symbol begins with."""
        return self.interface.name

    @property
    def magic(self) -> int:
        """What an initialised workspace begins with."""
        return self.interface.fingerprint

    @property
    def symbols(self) -> list[str]:
        """The functions that C may call."""
        words = ["workspace_bytes", "state_bytes", "init", "load", "save", "status_text",
                 "get_parameter", "set_parameter"]  # fmt: skip
        for block in self.workspace.blocks:
            word = block.entry.symbol.removeprefix(f"{self.name}_")
            words += [f"{word}_bind", f"{word}_part", word]
            if block.random is not None:
                words += [f"{word}_set_random", f"{word}_get_random"]
        return [f"{self.name}_{word}" for word in words]

    def data(self, array: Array, hint: str) -> str:
        """The name of a constant with an array's bytes."""
        raw = np.ascontiguousarray(array).tobytes()
        text = f'internal constant [{len(raw)} x i8] c"{numbers(raw)}", align {ALIGNMENT}'
        return self.constants.setdefault(text, f"@{self.name}.{hint}.{len(self.constants)}")

    def string(self, text: str) -> str:
        """The name of a C string."""
        raw = text.encode() + b"\0"
        body = f'private unnamed_addr constant [{len(raw)} x i8] c"{escape(raw)}"'
        return self.constants.setdefault(body, f"@{self.name}.text.{len(self.constants)}")

    def wide(self, code: Code, name: str) -> str:
        """A size_t argument as i64."""
        return (
            name
            if self.size == "i64"
            else code.effect_value("wide", f"zext {self.size} {name} to i64")
        )

    def new_version(self, code: Code) -> str:
        """Note that parameters have changed."""
        old = code.load("i64", "%workspace", VERSION, "version")
        new = code.effect_value("newer", f"add i64 {old}, 1")
        code.store("i64", new, "%workspace", VERSION)
        return new

    def status_text(self) -> str:
        """What a status means."""
        texts = dict(enumerate(STATUSES.values()))
        for block in self.workspace.blocks:
            texts |= block.entry.checks
        code = BlockBuilder(f"{self.name}_status_text", ["i32 signext %status"], result="ptr")
        cases = "\n".join(f"    i32 {i}, label %status.{i}" for i in texts)
        code.effect(f"switch i32 %status, label %unknown [\n{cases}\n  ]")
        shown = {f"status.{i}": self.string(text) for i, text in texts.items()}
        code.start("unknown")
        code.ret(self.string("unknown status"))
        for label, text in shown.items():
            code.start(label)
            code.ret(text)
        return code.finished()
