"""A library's object code and everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite

from graphc.export.interface import Interface
from graphc.export.selftest import Recording
from graphc.tensor import Parameter
from graphc_llvm.library.api import Api
from graphc_llvm.library.calls import Calls
from graphc_llvm.library.code import any_bit, internal_symbol
from graphc_llvm.library.layout import STATE_HEADER, Workspace, lay_out
from graphc_llvm.library.link import library_suffix, link
from graphc_llvm.library.objects import compile_object, section_bytes
from graphc_llvm.library.selftest import selftest_text
from graphc_llvm.library.state import State
from graphc_llvm.program import emit_pieces, module_text
from graphc_llvm.target import Target


@dataclass(frozen=True, eq=False)
class Built:
    """Object files by name, the symbols that C may use, where everything is, bytes of sections."""

    objects: dict[str, bytes]
    symbols: list[str]
    workspace: Workspace
    target: Target
    text: str
    sections: dict[str, int]
    stored: dict[Parameter, int]

    @property
    def state_bytes(self) -> int:
        """Bytes of saved values."""
        return STATE_HEADER + self.workspace.state_bytes

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of code and memory."""
        w, t = self.workspace, self.target
        return {
            "llvmlite": llvmlite.__version__,
            "target": {
                "triple": t.triple, "cpu": t.cpu, "features": t.features, "isa": t.isa,
                "fma": t.has_fma,
            },
            "workspace": {
                "bytes": w.total, "state_bytes": self.state_bytes, "arena_bytes": w.arena_bytes,
                "scratch_bytes": w.scratch_bytes,
            },
            "sections": self.sections,
        }  # fmt: skip


def build(
    interface: Interface, target: Target, embedded: bool, recording: Recording | None
) -> Built:
    """Emit and compile everything."""
    pieces = {}
    for entry in interface.entries:
        sizes = None if entry.dims else dict(entry.fixed)
        program = entry.function.program
        pieces[entry] = emit_pieces(program, target, sizes, internal_symbol(entry))
    workspace = lay_out(interface, pieces)
    api = Api(interface, workspace, size_type(target), embedded)
    programs = module_text(list(pieces.values()), target, freestanding=True)
    text = "\n\n".join([_internal(programs, interface), _api_text(api), ""])
    image = compile_object(text, target, interface.name)
    objects, symbols = {interface.name: image}, api.symbols
    if recording is not None:
        test = selftest_text(interface, workspace, api.size, embedded, recording, target)
        objects[f"{interface.name}_selftest"] = compile_object(test, target, "the self-test")
        symbols = [*symbols, f"{interface.name}_selftest"]
    stored = {p: p.memory.nbytes for p in interface.parameters if embedded and any_bit(p.memory)}
    return Built(objects, symbols, workspace, target, text, section_bytes(image), stored)


def link_library(folder: Path, built: Built) -> tuple[str | None, str | None]:
    """Link the object files in a folder: the library's name, or why there is none."""
    suffix = library_suffix(built.target.triple)
    if suffix is None:
        return None, f"{built.target.triple} has no shared libraries: link the archive"
    first = next(iter(built.objects))
    objects = [folder / f"{name}.o" for name in built.objects]
    note = link(objects, folder / f"{first}{suffix}", built.target.triple, built.symbols)
    return (None, note) if note else (f"{first}{suffix}", None)


def size_type(target: Target) -> str:
    """C's size_t."""
    architecture = target.triple.split("-")[0]
    small = architecture.startswith(("thumb", "armv", "wasm32", "riscv32", "i386", "i686"))
    return "i32" if small else "i64"


def _internal(text: str, interface: Interface) -> str:
    """The programs with nothing visible from outside."""
    for entry in interface.entries:
        for part in ("prepare", "part"):
            head = f"define void @{internal_symbol(entry)}_{part}("
            text = text.replace(head, head.replace("define", "define internal"))
    return text


def _api_text(api: Api) -> str:
    """All functions that C calls, and their constants."""
    functions = [*State(api).functions(), api.status_text()]
    for block in api.workspace.blocks:
        functions += Calls(api, block).functions()
    declared = [
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
    ]
    constants = [f"{name} = {text}" for text, name in api.constants.items()]
    return "\n\n".join([*functions, "\n".join([*declared, *constants])])
