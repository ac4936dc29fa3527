"""Whole programs that need no library: a compiled function with a driver in LLVM text.

The driver holds the content of every storage, runs the function's steps and writes every storage
to standard output through the system call of Linux.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.ir.dims import evaluate
from graphc.ir.ops.leaf import Constant
from graphc.ir.schedule import CONSTANT, INPUT, PARAMETER, RNG, Storage
from graphc_llvm.emit_program import EmittedProgram, emit_program
from graphc_llvm.runtime.description import ARENA, SCRATCH, SIZES, TEAM
from graphc_llvm.runtime.session import compile_text
from graphc_llvm.target import Target

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class System:
    """How Linux on one architecture is asked to write (fd, bytes, count) and to exit (code).

    Both are machine code of functions of the C calling convention.
    """

    write: bytes
    exit: bytes
    emulator: str
    linkers: tuple[str, ...]


def _words(*words: int) -> bytes:
    return b"".join(w.to_bytes(4, "little") for w in words)


SYSTEMS = {
    "aarch64": System(
        _words(0xD2800808, 0xD4000001, 0xD65F03C0),  # mov x8, 64; svc 0; ret
        _words(0xD2800BA8, 0xD4000001),
        "qemu-aarch64",
        ("ld.lld", "aarch64-linux-gnu-ld"),
    ),
    "riscv64": System(
        _words(0x04000893, 0x00000073, 0x00008067),  # li a7, 64; ecall; ret
        _words(0x05D00893, 0x00000073),
        "qemu-riscv64",
        ("ld.lld", "riscv64-linux-gnu-ld"),
    ),
    "x86_64": System(
        bytes.fromhex("b8010000000f05c3"),  # mov eax, 1; syscall; ret
        bytes.fromhex("b83c0000000f05"),
        "qemu-x86_64",
        ("ld.lld", "x86_64-linux-gnu-ld"),
    ),
}

DRIVER = """\
define void @graphc_write(i64 %fd, ptr %data, i64 %count) noinline prologue {write} {{
  ret void
}}
define void @graphc_exit(i64 %code) noinline prologue {exit} {{
  ret void
}}
declare void @{symbol}_prepare(ptr, i64, i64)
declare void @{symbol}_part(ptr, i64, i64)

define void @_start() "stackrealign" {{
entry:
  call void @{symbol}_prepare(ptr @ctx, i64 0, i64 1)
  br label %step
step:
  %i = phi i64 [ 0, %entry ], [ %next, %again ]
  call void @{symbol}_part(ptr @ctx, i64 0, i64 1)
  %status = load i32, ptr @team
  %fine = icmp eq i32 %status, -1
  br i1 %fine, label %again, label %fail
again:
  %old = load i64, ptr {counter}
  %new = add i64 %old, 1
  store i64 %new, ptr {counter}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {steps}
  br i1 %more, label %step, label %done
done:
{writes}
  call void @graphc_exit(i64 0)
  unreachable
fail:
  call void @graphc_exit(i64 1)
  unreachable
}}

@unused = internal global [2 x i64] zeroinitializer
"""


def missing_tools(target: Target) -> str | None:
    """Why programs for a target cannot be linked and run here; None if they can."""
    system = SYSTEMS[target.triple.split("-")[0]]
    if not any(map(shutil.which, system.linkers)):
        return f"needs one of {', '.join(system.linkers)}"
    if _emulator(system) is None:
        return f"needs {system.emulator}"
    return None


def initial_content(step: Any, inputs: Sequence[Array], storage: Storage) -> Array | None:
    """What a storage of ctx holds before the first step; None for nothing in particular."""
    node = storage.node
    if storage.role == RNG:
        rng: Array = step.rng
        return rng
    if storage.role == INPUT:
        return inputs[step.graph.inputs.index(node)]
    if storage.role == PARAMETER:
        assert node is not None
        memory: Array = step.parameters[node.name].memory
        return memory
    if storage.role == CONSTANT:
        assert node is not None
        assert isinstance(node.op, Constant)
        return node.op.value
    return None


class Standalone:
    """A compiled function for another machine, and its storages after some steps."""

    def __init__(
        self, step: Any, target: Target, inputs: Sequence[Array], dims: dict[str, int], steps: int
    ) -> None:
        self.step, self.target, self.inputs, self.dims = step, target, inputs, dims
        self.module: EmittedProgram = emit_program(step.program, target, dims, freestanding=True)
        self.code = compile_text(self.module.text, target)
        self.steps = steps

    def run(self, folder: Path) -> dict[Storage, Array]:
        """Link, run, and read back every storage."""
        system = SYSTEMS[self.target.triple.split("-")[0]]
        program = folder / "program"
        self._link(system, folder, program)
        command = [str(_emulator(system)), str(program)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=300)
        found, at = {}, 0
        for storage in self.module.layout.slots:
            count = self._bytes(storage)
            content = done.stdout[at : at + count]
            found[storage] = np.frombuffer(content, storage.type.dtype.numpy)
            at += count
        assert at == len(done.stdout)
        return found

    def _link(self, system: System, folder: Path, program: Path) -> None:
        files = {"function.o": self.code, "driver.o": compile_text(self._driver(), self.target)}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        linker = next(filter(None, map(shutil.which, system.linkers)))
        objects = [str(folder / name) for name in files]
        subprocess.run([linker, "-static", "-o", str(program), *objects], check=True)

    def _bytes(self, storage: Storage) -> int:
        return int(evaluate(storage.type.nbytes, self.dims))

    def _driver(self) -> str:
        system, layout = SYSTEMS[self.target.triple.split("-")[0]], self.module.layout
        plan = self.step.program.plan(self.dims)
        names = {SIZES: "sizes", ARENA: "arena", SCRATCH: "scratch", TEAM: "team"}
        lines = [
            _global("sizes", 8, np.array(layout.sizes(self.dims, plan), np.int64)),
            _global("arena", plan.arena_bytes),
            _global("scratch", layout.scratch_bytes(self.dims)),
            _global("team", 192, np.full(4, 255, np.uint8)),
        ]
        writes, counter = [], "@unused"
        for storage, slot in layout.slots.items():
            names[slot] = f"slot{slot}"
            content = initial_content(self.step, self.inputs, storage)
            lines.append(_global(names[slot], self._bytes(storage), content))
            arguments = f"i64 1, ptr @{names[slot]}, i64 {self._bytes(storage)}"
            writes.append(f"  call void @graphc_write({arguments})")
            if storage.role == RNG:
                counter = f"getelementptr (i64, ptr @{names[slot]}, i64 1)"
        entries = ", ".join(f"ptr @{names[i]}" for i in range(layout.count))
        lines.append(f"@ctx = internal global [{layout.count} x ptr] [{entries}]")
        driver = DRIVER.format(
            write=_array(system.write), exit=_array(system.exit), symbol=self.module.symbol,
            counter=counter, steps=self.steps, writes="\n".join(writes),
        )  # fmt: skip
        return "\n".join([driver, *lines])


def _emulator(system: System) -> str | None:
    return shutil.which(system.emulator) or shutil.which(f"{system.emulator}-static")


def _array(content: bytes) -> str:
    text = "".join(f"\\{byte:02x}" for byte in content)
    return f'[{len(content)} x i8] c"{text}"'


def _global(name: str, count: int, content: Array | None = None) -> str:
    given = b"" if content is None else np.ascontiguousarray(content).tobytes()
    count = max(count, len(given), 8)
    value = _array(given.ljust(count, b"\0")) if given else f"[{count} x i8] zeroinitializer"
    return f"@{name} = internal global {value}, align 64"
