"""Exported libraries as programs of Linux without any library, run here or under an emulator."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc_llvm.runtime.session import compile_text
from graphc_llvm.target import Target
from tests.backends.llvm.freestanding import SYSTEMS, _array, _emulator, _global, missing_tools

Array = np.ndarray[Any, Any]

SYSTEM = """\
define void @system_write(i64 %fd, ptr %data, i64 %count) noinline prologue {write} {{
  ret void
}}
define void @system_exit(i64 %code) noinline prologue {exit} {{
  ret void
}}
define ptr @memcpy(ptr %to, ptr %from, i64 %count) {{
entry:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %next
next:
  %i = phi i64 [ 0, %entry ], [ %j, %next ]
  %from.i = getelementptr i8, ptr %from, i64 %i
  %to.i = getelementptr i8, ptr %to, i64 %i
  %byte = load volatile i8, ptr %from.i
  store volatile i8 %byte, ptr %to.i
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %count
  br i1 %more, label %next, label %done
done:
  ret ptr %to
}}
define ptr @memset(ptr %to, i32 %value, i64 %count) {{
entry:
  %byte = trunc i32 %value to i8
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %next
next:
  %i = phi i64 [ 0, %entry ], [ %j, %next ]
  %to.i = getelementptr i8, ptr %to, i64 %i
  store volatile i8 %byte, ptr %to.i
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %count
  br i1 %more, label %next, label %done
done:
  ret ptr %to
}}
"""
# The same frame twice: bytes are painted below the caller's, and those with paint on counted later.
PAINT = """\
define i64 @stack(i1 %painting) noinline {{
entry:
  %bytes = alloca [{count} x i8], align 64
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %j, %more ]
  %at = getelementptr i8, ptr %bytes, i64 %i
  br i1 %painting, label %paint, label %look
paint:
  store volatile i8 90, ptr %at
  br label %more
look:
  %found = load volatile i8, ptr %at
  %same = icmp eq i8 %found, 90
  br i1 %same, label %more, label %done
more:
  %j = add i64 %i, 1
  %again = icmp ult i64 %j, {count}
  br i1 %again, label %next, label %done
done:
  %clean = phi i64 [ %i, %look ], [ {count}, %more ]
  %used = sub i64 {count}, %clean
  ret i64 %used
}}
"""
DRIVER = """\
define void @finish(i32 signext %status) {{
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %fail, label %go
fail:
  %code = zext i32 %status to i64
  call void @system_exit(i64 %code)
  unreachable
go:
  ret void
}}
define void @_start() "stackrealign" {{
{calls}
{writes}
  call void @system_exit(i64 0)
  unreachable
}}
{declarations}
{memory}
"""


def driver(
    calls: Sequence[tuple[str, Sequence[Any]]], memory: dict[str, Array], results: Sequence[str]
) -> str:
    """A program that makes the calls, in order, and writes arrays of `memory`.

    Arguments are names in `memory` or ints. It ends with the first status that is not 0. An array
    `used` in `memory` becomes the bytes of stack that the calls took.
    """
    lines, declared = [], {}
    measured = "used" in memory
    if measured:
        lines.append("  %painted = call i64 @stack(i1 true)")
    for i, (symbol, arguments) in enumerate(calls):
        given = [f"ptr @{a}" if isinstance(a, str) else f"i64 {a}" for a in arguments]
        kinds = ", ".join(g.split(" ")[0] for g in given)
        declared[symbol] = f"declare signext i32 @{symbol}({kinds})"
        lines.append(f"  %status.{i} = call signext i32 @{symbol}({', '.join(given)})")
        lines.append(f"  call void @finish(i32 signext %status.{i})")
    if measured:
        lines.append("  %used = call i64 @stack(i1 false)\n  store i64 %used, ptr @used")
    paint = PAINT.format(count=1 << 16) if measured else ""
    return paint + DRIVER.format(
        calls="\n".join(lines),
        writes="\n".join(
            f"  call void @system_write(i64 1, ptr @{r}, i64 {memory[r].nbytes})" for r in results
        ),
        declarations="\n".join(declared.values()),
        memory="\n".join(_global(n, a.nbytes, a) for n, a in memory.items()),
    )


def written(output: bytes, memory: dict[str, Array], results: Sequence[str]) -> dict[str, Array]:
    """The arrays that such a program wrote."""
    found, at = {}, 0
    for r in results:
        found[r] = np.frombuffer(output[at : at + memory[r].nbytes], memory[r].dtype)
        at += memory[r].nbytes
    assert at == len(output)
    return found


def run(
    target: Target, folder: Path, name: str, calls: Sequence[tuple[str, Sequence[Any]]],
    memory: dict[str, Array], results: Sequence[str],
) -> dict[str, Array]:  # fmt: skip
    """Link NAME.a with a driver and run it; a status other than 0 raises CalledProcessError."""
    system = SYSTEMS[target.triple.split("-")[0]]
    text = SYSTEM.format(write=_array(system.write), exit=_array(system.exit))
    text += driver(calls, memory, results)
    (folder / "driver.o").write_bytes(compile_text(text, target))
    linker = next(filter(None, map(shutil.which, system.linkers)))
    program = folder / "program"
    command = [linker, "-static", "--gc-sections", "-o", program, folder / "driver.o"]
    subprocess.run([*command, folder / f"{name}.a"], check=True)
    done = subprocess.run(
        [str(_emulator(system)), str(program)] if _emulator(system) else [str(program)],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    return written(done.stdout, memory, results)


__all__ = ["driver", "missing_tools", "run", "written"]
