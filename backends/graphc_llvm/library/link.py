"""Link object files to a shared library, by a linker of this machine or of a Python package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from graphc.errors import BackendError
from graphc.installed import install_hint
from graphc_llvm.runtime.session import host


def library_suffix(triple: str) -> str | None:
    """The file suffix of a target's shared libraries; None where there are none."""
    architecture, *rest = triple.split("-")
    if architecture.startswith("wasm"):
        return ".wasm"
    if "none" in rest or "unknown-elf" in triple or architecture.startswith("thumb"):
        return None
    if any(word.startswith(("darwin", "macos")) for word in rest):
        return ".dylib"
    return ".dll" if "windows" in triple else ".so"


def link(
    objects: Sequence[Path], result: Path, triple: str, symbols: Sequence[str], stack_bytes: int
) -> str | None:
    """Make a shared library; None, or why there is none. The result does not name any path.

    A DLL gets an import library beside it.
    """
    command = _command(objects, result, triple, symbols, stack_bytes)
    if command is None:
        packages = install_hint("link", "ziglang")
        return (
            f"no linker for {triple} found: install a C compiler or lld,"
            f" or: {packages} (ziglang, which brings one)"
        )
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        tool, said = Path(command[0]).name, done.stderr.strip()[:2000]
        raise BackendError(f"export: {tool} cannot link {result.name}: {said}")
    return None


def _command(
    objects: Sequence[Path], result: Path, triple: str, symbols: Sequence[str], stack_bytes: int
) -> list[str] | None:
    given = [*map(str, objects), "-o", str(result)]
    suffix = library_suffix(triple)
    if suffix == ".wasm":
        tool = _first("wasm-ld") or _zig("wasm-ld")
        exports = [f"--export={name}" for name in symbols]
        stack = max(64 * 1024, -(-stack_bytes // 1024) * 1024)
        wanted = ["--no-entry", "--strip-debug", "--export=__heap_base", "--stack-first",
                  "-z", f"stack-size={stack}", *exports]  # fmt: skip
        return tool and [*tool, *wanted, *given]
    if suffix == ".dll":
        tool = _first("lld-link") or _zig("lld-link")
        files = [f"/out:{result}", f"/implib:{result.with_suffix('.lib')}"]
        wanted = ["/dll", "/noentry", "/nodefaultlib", "/brepro", *files]
        wanted += [f"/export:{name}" for name in symbols]
        return tool and [*tool, *wanted, *map(str, objects)]
    architecture = {"arm64": "aarch64", "amd64": "x86_64"}.get(triple.split("-")[0])
    architecture = architecture or triple.split("-")[0]
    native = triple.split("-")[0] == host().architecture
    if suffix == ".dylib":
        tool = _first("cc", "clang") if sys.platform == "darwin" and native else None
        tool = tool or _zig("cc", "-target", f"{architecture}-macos")
        return tool and [*tool, "-shared", f"-Wl,-install_name,@rpath/{result.name}", *given]
    name = result.name
    elf = ["-shared", "--build-id=none", "-z", "noexecstack", "-soname", name, "--gc-sections"]
    tool = (_first("ld") if native else None) or _first("ld.lld") or _zig("ld.lld")
    if tool:
        return [*tool, *elf, *given]
    tool = _first("cc", "gcc", "clang") if native else None
    return tool and [*tool, "-nostdlib", *(f"-Wl,{x}" for x in _joined(elf)), *given]


def _joined(options: Sequence[str]) -> list[str]:
    """Linker options with their values, as a compiler driver passes them on."""
    result: list[str] = []
    for option in options:
        if option.startswith("-"):
            result.append(option)
        else:
            result[-1] += f",{option}"
    return result


def _first(*names: str) -> list[str] | None:
    found = next((path for path in map(shutil.which, names) if path), None)
    return [found] if found else None


def _zig(*arguments: str) -> list[str] | None:
    return [sys.executable, "-m", "ziglang", *arguments] if find_spec("ziglang") else None
