"""Exported DLLs used by programs that know the DLL and kernel32 alone, run under Wine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc_llvm.runtime.session import compile_text
from graphc_llvm.target import Target
from tests.export.linux import driver, written

Array = np.ndarray[Any, Any]

SYSTEM = """\
declare dllimport ptr @GetStdHandle(i32)
declare dllimport i32 @WriteFile(ptr, ptr, i32, ptr, ptr)
declare dllimport void @ExitProcess(i32)
@bytes.written = internal global i32 0
define internal void @system_write(i64 %file, ptr %data, i64 %count) {
  %stdout = call ptr @GetStdHandle(i32 -11)
  %bytes = trunc i64 %count to i32
  call i32 @WriteFile(ptr %stdout, ptr %data, i32 %bytes, ptr @bytes.written, ptr null)
  ret void
}
define internal void @system_exit(i64 %code) {
  %status = trunc i64 %code to i32
  call void @ExitProcess(i32 %status)
  ret void
}
"""
KERNEL = "LIBRARY kernel32.dll\nEXPORTS\n  GetStdHandle\n  WriteFile\n  ExitProcess\n"


TOOLS = ("lld-link", "llvm-dlltool")


def wine() -> str | None:
    """Wine for 64 bits; Debian does not put it on the path."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/lib/wine"])
    return shutil.which("wine64", path=places) or shutil.which("wine", path=places)


def link(
    target: Target, folder: Path, name: str, calls: Sequence[tuple[str, Sequence[Any]]],
    memory: dict[str, Array], results: Sequence[str],
) -> Path:  # fmt: skip
    """A program beside the DLL that makes the calls, linked with the import library."""
    (folder / "driver.o").write_bytes(compile_text(SYSTEM + driver(calls, memory, results), target))
    (folder / "kernel32.def").write_text(KERNEL)
    imports = ["llvm-dlltool", "-m", "i386:x86-64", "-d", "kernel32.def", "-l", "kernel32.lib"]
    subprocess.run(imports, cwd=folder, check=True)
    command = ["lld-link", "/entry:_start", "/subsystem:console", "/out:program.exe", "driver.o"]
    subprocess.run([*command, f"{name}.lib", "kernel32.lib"], cwd=folder, check=True)
    return folder / "program.exe"


def run(program: Path, memory: dict[str, Array], results: Sequence[str]) -> dict[str, Array]:
    """What a program wrote; a status other than 0 raises CalledProcessError."""
    prefix = program.parent / "wine"
    environment = os.environ | {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all"}
    done = subprocess.run(
        [str(wine()), str(program)], capture_output=True, check=True, timeout=200, env=environment
    )
    return written(done.stdout, memory, results)
