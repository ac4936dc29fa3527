"""A library's object code and everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import llvmlite

from graphc.export.budget import check_ram
from graphc.export.interface import Interface
from graphc.export.selftest import Recording
from graphc.ir.schedule import KernelCall, every_call
from graphc.ir.storage import ParameterStorage
from graphc_llvm.emit_program import emit_together, module_text
from graphc_llvm.ir_builder import identifier
from graphc_llvm.library.api import Api
from graphc_llvm.library.calls import Calls
from graphc_llvm.library.code import any_bit, internal_symbol
from graphc_llvm.library.frozen import find_constants
from graphc_llvm.library.image import needed_symbols, section_bytes
from graphc_llvm.library.link import library_suffix, link
from graphc_llvm.library.objects import compile_objects, stack_bytes
from graphc_llvm.library.selftest import selftest_text
from graphc_llvm.library.state import State
from graphc_llvm.library.windows import support_text
from graphc_llvm.library.workspace_layout import STATE_HEADER, WorkspaceLayout, lay_out
from graphc_llvm.target import Target

SQRT = Path(__file__).parent / "sqrt.ll"


@dataclass(frozen=True, eq=False)
class Built:
    """Object files by name, the symbols that C may use, where everything is, bytes of sections."""

    objects: dict[str, bytes]
    symbols: list[str]
    workspace: WorkspaceLayout
    target: Target
    text: str
    sections: dict[str, int]
    stored: dict[ParameterStorage, int]
    stack_bytes: int
    needs: list[str]
    support: bytes | None  # an object file that only a shared library gets

    @property
    def state_bytes(self) -> int:
        """Bytes of saved values."""
        return STATE_HEADER + self.workspace.state_bytes

    @property
    def facts(self) -> dict[str, object]:
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
            "stack_bytes": self.stack_bytes,
            "sections": self.sections,
            "needs": self.needs,
        }  # fmt: skip


def build(
    interface: Interface, target: Target, embedded: bool, recording: Recording | None,
    max_ram: int | None,
) -> Built:  # fmt: skip
    """Emit and compile everything."""
    given = {
        internal_symbol(e): (e.function.program, None if e.dims else dict(e.fixed))
        for e in interface.entries
    }
    pieces = dict(zip(interface.entries, emit_together(given, target)))
    workspace = lay_out(interface, pieces, find_constants(interface, target))
    check_ram(interface, workspace, max_ram, target.is_small)
    api = Api(interface, workspace, size_type(target), embedded)
    programs = module_text(list(pieces.values()), target, freestanding=True)
    parts = [_internal(programs, interface), _api_text(api)]
    if not target.has_double and "@llvm.sqrt." in programs:
        parts.append(SQRT.read_text(encoding="utf-8"))
    texts = {interface.name: "\n\n".join([*parts, ""])}
    symbols = api.symbols
    if recording is not None:
        test = f"{interface.name}_selftest"
        texts[test] = selftest_text(interface, workspace, api.size, embedded, recording, target)
        symbols = [*symbols, test]
    apart, support = f"{interface.name}.support", support_text(target.triple)
    modules = texts | ({apart: support} if support else {})
    made = compile_objects(modules, target, lambda name: _source_of(interface, name))
    images = [made.images[name] for name in texts]
    embedded_bytes: dict[ParameterStorage, int] = {
        p: p.memory.nbytes for p in interface.parameters if embedded and any_bit(p.memory)
    }
    return Built(
        dict(zip(texts, images)), symbols, workspace, target, texts[interface.name],
        section_bytes(images[0]), embedded_bytes,
        max(stack_bytes(texts, made.frames, s) for s in symbols),
        sorted({s for i in images for s in needed_symbols(i) if s not in symbols}),
        made.images.get(apart),
    )  # fmt: skip


def _source_of(interface: Interface, symbol: str) -> str | None:
    """What the user wrote that became a kernel."""
    for entry in interface.entries:
        schedule = entry.function.program.schedule
        for call in every_call((*schedule.prepare, *schedule.calls)):
            if symbol.startswith(f"{internal_symbol(entry)}.{identifier(call.kernel.name)}"):
                return f"{call.kernel.name} ({', '.join(dict.fromkeys(_lines(call)))})"
    return None


def _lines(call: KernelCall) -> list[str]:
    """The ops that a call computes, with the user's lines."""
    return [f"{node.op.name} at {node.origin}" for node in call.nodes]


def link_library(folder: Path, built: Built) -> tuple[list[str], str | None]:
    """Link the object files in a folder: the library's name and what is beside it, or why not."""
    suffix = library_suffix(built.target.triple)
    if suffix is None:
        return [], f"{built.target.triple} gets no shared library: link the archive"
    first = next(iter(built.objects))
    objects = [folder / f"{name}.o" for name in built.objects]
    if built.support is not None:
        objects.append(folder / ".support.o")
        objects[-1].write_bytes(built.support)
    result, triple = folder / f"{first}{suffix}", built.target.triple
    note = link(objects, result, triple, built.symbols, built.stack_bytes)
    made = [result.name, f"{first}.lib"] if suffix == ".dll" else [result.name]
    return ([], note) if note else (made, None)


def size_type(target: Target) -> str:
    """C's size_t."""
    return "i32" if target.is_small else "i64"


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
