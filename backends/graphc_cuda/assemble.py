"""PTX to machine code, by whatever this machine has, and machine code to text.

`ptxas` where there is one; else NVIDIA's linker in this process, through cuda-core; else nobody,
and the driver takes the PTX itself when it loads it. One that is too old for the GPU is none.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graphc.errors import BackendError, UnsupportedError
from graphc_cuda.cuda_tools import find_tool, tool_identity

_SECONDS = 300  # more than any module needs
_TOO_OLD = ("Unsupported .version", "is not defined for option", "UNRECOGNIZED_ARCH")
_KERNEL = re.compile(r"(?:Compiling entry function|Function properties for) '?([\w$]+)'?")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"[Uu]sed (\d+) registers")
_SHARED = re.compile(r"^ptxas.* (\d+) bytes smem", re.MULTILINE)


@dataclass(frozen=True)
class KernelResources:
    """What a thread of a kernel takes, and the static shared memory of a block, in bytes."""

    registers: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    stack: int = 0
    shared: int = 0


@dataclass(frozen=True)
class Assembled:
    """Machine code, None where the driver has to make it of the PTX, and what each kernel takes."""

    cubin: bytes | None
    kernels: Mapping[str, KernelResources] = field(default_factory=dict)


class TooOldError(BackendError):
    """An assembler that does not know the GPU, or the version of the PTX."""


def assemble(ptx: str, capability: tuple[int, int]) -> Assembled:
    """The machine code of PTX for a compute capability; raises BackendError where it is refused."""
    major, minor = capability
    path = find_tool("ptxas")
    if path is not None:
        with suppress(TooOldError):
            return _by_ptxas(path, ptx, f"sm_{major}{minor}")
    linker = _linker()  # slow to import
    if linker is not None:
        with suppress(TooOldError):
            return _by_linker(linker, ptx, f"sm_{major}{minor}")
    return Assembled(None)


def assembler_identity() -> str:
    """What `assemble` would use here: a part of the key of what it made."""
    path = find_tool("ptxas")
    linker = f"linker {_version('cuda-core')} {_version('nvidia-nvjitlink')}"
    return linker if path is None else f"{tool_identity(path)} {linker}"


def disassemble(cubin: bytes) -> str:
    """The machine code as text; raises UnsupportedError where no tool can read it."""
    for name, option in (("nvdisasm", "-c"), ("cuobjdump", "--dump-sass")):
        path = find_tool(name)
        if path is not None:
            return _run(name, cubin, ".cubin", [str(path), option])[0]
    raise UnsupportedError(
        "machine code of a GPU is read by nvdisasm or cuobjdump, and neither is here",
        hint="pip install nvidia-cuda-nvdisasm",
    )


# --------------------------------------------------------------------- ptxas


def _by_ptxas(path: Path, ptx: str, architecture: str) -> Assembled:
    # No contraction, whoever wrote the PTX: `mul` and `add` round twice.
    options = ["-v", f"-arch={architecture}", "--fmad=false"]
    with tempfile.TemporaryDirectory(prefix="graphc-") as folder:
        image = Path(folder) / "image.cubin"
        command = [str(path), *options, "-o", str(image)]
        log = _run("ptxas", ptx.encode(), ".ptx", command)[1]
        return Assembled(image.read_bytes(), read_resources(log))


def _run(name: str, content: bytes, suffix: str, command: list[str]) -> tuple[str, str]:
    """What a program writes about a file."""
    with tempfile.TemporaryDirectory(prefix="graphc-") as folder:
        file = Path(folder) / f"input{suffix}"
        file.write_bytes(content)
        try:
            done = subprocess.run(
                [*command, str(file)], capture_output=True, text=True, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{command[0]} does not run: {error}") from None
    if done.returncode != 0:
        raise _refused(name, done.stderr or done.stdout)
    return done.stdout, done.stderr or done.stdout


def _refused(name: str, log: str) -> BackendError:
    lines = [line.strip() for line in log.splitlines() if "error" in line or "fatal" in line]
    first = "; ".join(lines[:3]) or log.strip()[:200]
    is_old = any(words in log for words in _TOO_OLD)
    return (TooOldError if is_old else BackendError)(f"{name} refuses a module: {first}")


# ------------------------------------------------------- the linker in this process


@cache
def _linker() -> Any:
    """The module of cuda-core whose linker assembles; None where it cannot."""
    try:
        import_module("cuda.bindings.nvjitlink").version()
        return import_module("cuda.core")
    except Exception:  # what is missing there is told by many kinds of errors
        return None


def _by_linker(core: Any, ptx: str, architecture: str) -> Assembled:
    options = core.LinkerOptions(arch=architecture, verbose=True, fma=False)
    try:
        linker = core.Linker(core.ObjectCode.from_ptx(ptx.encode()), options=options)
        image = bytes(linker.link("cubin").code)
        return Assembled(image, read_resources(linker.get_info_log()))
    except Exception as error:  # whose class differs between versions; its text has the log
        raise _refused("nvJitLink", str(error)) from None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


# ----------------------------------------------------------------- resources


def read_resources(log: str) -> dict[str, KernelResources]:
    """What each kernel takes, from what ptxas -v writes; the last word on registers counts."""
    found: dict[str, dict[str, int]] = {}
    parts = _KERNEL.split(log)
    for name, text in zip(parts[1::2], parts[2::2]):
        facts = found.setdefault(name, {})
        if stack := _STACK.search(text):
            facts |= zip(("stack", "spill_stores", "spill_loads"), map(int, stack.groups()))
        if registers := _REGISTERS.search(text):
            facts["registers"] = int(registers[1])
        if shared := _SHARED.search(text):
            facts["shared"] = int(shared[1])
    return {name: KernelResources(**facts) for name, facts in found.items()}
