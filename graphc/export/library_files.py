"""The files of an exported library: what a manifest says, and whether the others are as it says.

Like `library.py` this needs nothing but numpy.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import FormatError, UnsupportedError

FORMAT = 2
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_SYSTEMS = {"linux": "linux", "windows": "windows", "macos": "darwin", "darwin": "darwin"}


def find_manifest(path: Path) -> Path:
    """The manifest in a folder, or beside a file of the bundle."""
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        if len(found) != 1:
            seen = ", ".join(p.name for p in found) or "none"
            raise FormatError(
                f"load_library: {path} must hold one manifest (NAME.json): {seen}",
                hint=f'gx.load_library("{found[0]}")' if found else None,
            )
        return found[0]
    if path.suffix != ".json":
        path = path.with_suffix(".json")
    if not path.exists():
        raise FileNotFoundError(f"load_library: there is no {path}")
    return path


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a manifest; raises FormatError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"load_library: {path} is no manifest: {error}") from None
    if not isinstance(content, dict) or "functions" not in content or "sha256" not in content:
        raise FormatError(f"load_library: {path} is no manifest of graphc")
    if content.get("format") != FORMAT:
        raise FormatError(
            f"load_library: {path} has format {content.get('format')}, this version reads {FORMAT}"
        )
    if content.pop("digest", None) != digest(content):
        raise FormatError(f"load_library: {path} is not as `export` wrote it (changed since)")
    return content


def digest(content: Mapping[str, Any]) -> str:
    """A checksum of what a manifest says: sizes in it are trusted by code without checks."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_library(path: Path) -> ctypes.CDLL:
    """Load a shared library under a name that was never used before.

    For a path that has been loaded, systems give back what they have, not the file there is now.
    """
    if os.name != "posix":
        return ctypes.CDLL(str(path))
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder) / path.name
        name.symlink_to(path.resolve())
        return ctypes.CDLL(str(name))


def checked_library(path: Path, manifest: Mapping[str, Any]) -> Path:
    """The shared library, if it is for this machine and is what the manifest says."""
    triple = manifest["target"]["triple"]
    machine, system = platform.machine().lower(), platform.system().lower()
    architecture = triple.split("-")[0]
    systems = [value for word, value in _SYSTEMS.items() if word in triple]
    if _MACHINES.get(architecture, architecture) != _MACHINES.get(machine, machine) or (
        systems and system not in systems
    ):
        raise UnsupportedError(
            f"load_library: {path.name} is for {triple}, this machine is {machine} with {system}"
        )
    files = manifest["files"]
    check_files(path, manifest, [files[r] for r in ("library", "weights") if r in files])
    if "library" not in manifest["files"]:
        raise UnsupportedError(
            f"load_library: {path.parent} has no shared library (there was no linker when it was"
            " exported)",
            hint="link the object file, or export again where there is a linker",
        )
    library: str = manifest["files"]["library"]
    return path.parent / library


def check_files(path: Path, manifest: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise unless files are there and are what the manifest says."""
    for name in names:
        file = path.parent / name
        if not file.exists():
            raise FileNotFoundError(f"load_library: {path.name} names {name}, which is missing")
        if hashlib.sha256(file.read_bytes()).hexdigest() != manifest["sha256"][name]:
            raise FormatError(
                f"load_library: {file} is not the file that {path.name} describes"
                " (truncated, or changed since)"
            )


def size_of(size: int | str, dims: Mapping[str, int]) -> int:
    """A size of the manifest: a number, or a polynomial of dims as text."""
    if isinstance(size, int):
        return size
    if size in dims:
        return dims[size]
    words = {name: f"_{i}" for i, name in enumerate(sorted(dims, key=len, reverse=True))}
    text = size
    for name, word in words.items():
        text = re.sub(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_(])", word, text)
    if not re.fullmatch(r"(?:[0-9_+\-*/(), ]|min\()+", text):
        raise FormatError(f"the manifest has the size {size!r}")
    values = {word: dims[name] for name, word in words.items()}
    return int(eval(text, {"__builtins__": {}, "min": min}, values))


def shape_of(sizes: Sequence[int | str], dims: Mapping[str, int]) -> tuple[int, ...]:
    """A shape of the manifest for given dims."""
    return tuple(size_of(s, dims) for s in sizes)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """A numpy dtype by the name of ours; bfloat16 needs ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return found
    return np.dtype(name)
