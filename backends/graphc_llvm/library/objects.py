"""Compile LLVM text to object files in a child process, and find the stack that functions need.

LLVM ends the whole process where a target cannot have an instruction: that must not be ours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import ArgumentError, UnsupportedError
from graphc.origin import find_origin
from graphc_llvm.runtime.session import CodegenError
from graphc_llvm.target import Target

_CHILD = """\
import sys
from pathlib import Path
from graphc_llvm.runtime.session import PlainTarget, compile_text
folder, triple, cpu, features = sys.argv[1:]
for source in sorted(Path(folder).glob("*.ll")):
    print("module", source.stem, file=sys.stderr, flush=True)
    image = compile_text(source.read_text(encoding="utf-8"), PlainTarget(triple, cpu, features))
    source.with_suffix(".o").write_bytes(image)
"""
# What a call takes besides its frame: the return address, and what aligning to 64 bytes loses.
CALL_BYTES = 64
_FRAME = re.compile(r"stack frame size \((\d+)\).*in function '([^']+)'")
_HEAD = re.compile(r"^define [^\n]*?@([\w.]+)\([^\n]*\{$", re.MULTILINE)
_CALLED = re.compile(r"call [^\n@]*@([\w.]+)\(")


@dataclass(frozen=True)
class Objects:
    """Object files by the names of their modules, and bytes of every function's own frame."""

    images: Mapping[str, bytes]
    frames: Mapping[str, int]


def compile_objects(
    modules: Mapping[str, str], target: Target, blame: Callable[[str], str | None]
) -> Objects:
    """Object code; raises UnsupportedError where the target cannot have it.

    `blame` says what the user wrote that became a function.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in modules.items():
            Path(folder, f"{name}.ll").write_text(_prepared(text, target), encoding="utf-8")
        command = [sys.executable, "-c", _CHILD, folder, target.triple, target.cpu,
                   target.features]  # fmt: skip
        paths = os.pathsep.join(p for p in sys.path if p)
        done = subprocess.run(
            command, capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=paths)
        )
        unknown = re.findall(r"'([^']+)' is not a recognized (feature|processor)", done.stderr)
        if unknown:
            word, kind = unknown[0]
            raise ArgumentError(
                f"export: {target.triple} has no {kind} {word!r}", origin=find_origin()
            )
        if done.returncode:
            raise _refused(done, target, blame)
        images = {name: Path(folder, f"{name}.o").read_bytes() for name in modules}
    return Objects(images, {name: int(size) for size, name in _FRAME.findall(done.stderr)})


def _prepared(text: str, target: Target) -> str:
    """Functions that say how large their frames are, each in a section that a linker may drop."""
    apart = target.object_format == "elf"

    def head(match: re.Match[str]) -> str:
        section = f' section ".text.{match[1]}"' if apart else ""
        return f'{match[0][:-1]}"warn-stack-size"="0"{section} {{'

    return _HEAD.sub(head, text)


def stack_bytes(texts: Mapping[str, str], frames: Mapping[str, int], entry: str) -> int:
    """Bytes of the deepest chain of calls from a function; no function calls itself."""
    bodies = {
        head[1]: text[head.end() : text.index("\n}", head.end())]
        for text in texts.values()
        for head in _HEAD.finditer(text)
    }
    known: dict[str, int] = {}

    def deepest(name: str) -> int:
        if name not in bodies:
            return 0  # memcpy and the like
        if name not in known:
            called = dict.fromkeys(_CALLED.findall(bodies[name]))
            inner = max(map(deepest, called), default=0)
            known[name] = frames.get(name, 0) + CALL_BYTES + inner
        return known[name]

    return deepest(entry)


def _refused(
    done: subprocess.CompletedProcess[str], target: Target, blame: Callable[[str], str | None]
) -> UnsupportedError:
    stderr = done.stderr
    if "CodegenError: " in stderr:  # our text is wrong, which is no property of the target
        raise CodegenError(stderr.partition("CodegenError: ")[2])
    function = re.search(r"[Ff]unction:? '?@?([\w.]+)", stderr)
    about = blame(function[1]) if function else None
    where = f" for {about}" if about else f" (in {function[1]})" if function else ""
    return UnsupportedError(
        f"export: LLVM cannot make code{where} for {target.triple} ({target.cpu}):"
        f" {_reason(stderr, done.returncode)}",
        origin=find_origin(),
        hint="try fixed sizes, other dtypes, or another cpu and other features",
    )


def _reason(stderr: str, status: int) -> str:
    """What LLVM said before it ended the process, or how that ended."""
    said = re.search(r"LLVM ERROR: .*|Assertion .* failed", stderr)
    if said:
        return said[0].strip()
    lines = [x for x in stderr.strip().splitlines() if not x.startswith("module ")]
    ending = f"signal {-status}" if status < 0 else f"status {status}"
    return lines[-1].strip() if status > 0 and lines else f"its process ended with {ending}"
