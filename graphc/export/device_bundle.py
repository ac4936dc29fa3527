"""`export(target="cuda")`: functions become machine code and a program of the host in C."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.export.backend import BuiltDeviceLibrary, load_device_backend
from graphc.export.interface import Interface, make_interface
from graphc.export.manifest import manifest
from graphc.export.weights import safetensors
from graphc.runtime.function import CompiledFunction

DEVICES = ("cuda",)


def device_files(
    functions: Mapping[str, CompiledFunction],
    kind: str,
    name: str,
    dims: Mapping[str, int | tuple[int, int]],
) -> dict[str, bytes]:
    """All files of a library, the manifest last."""
    interface = make_interface(name, functions, _one_size(functions, dims), 1)
    built = load_device_backend(kind).device_library(interface)
    return _with_manifest(interface, built)


def check_device_options(kind: str, **options: Any) -> None:
    """Refuse options that say something about CPUs."""
    for word, value in options.items():
        if value not in (None, "", False):
            raise ArgumentError(
                f"export: {word}={value!r} is not for target={kind!r}",
                origin=origins.find_origin(),
            )


def _one_size(
    functions: Mapping[str, CompiledFunction], dims: Mapping[str, int | tuple[int, int]]
) -> Mapping[str, int | tuple[int, int]]:
    """Every dim has one size: launches are made for it."""
    for function in functions.values():
        for name in function.dims:
            if not isinstance(dims.get(name), int):
                raise ShapeError(
                    f"export: dim {name} of {function.name} must have one size on a GPU",
                    origin=origins.find_origin(),
                    hint=f'export(..., dims={{"{name}": 64}})',
                )
    return dims


def _with_manifest(interface: Interface, built: BuiltDeviceLibrary) -> dict[str, bytes]:
    name = interface.name
    files, roles = dict(built.files), dict(built.roles)
    files[f"{name}.safetensors"] = safetensors(interface)
    roles["safetensors"] = f"{name}.safetensors"
    text = manifest(interface, built.facts, files, roles, built.statuses)
    return files | {f"{name}.json": text.encode()}


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write all files, each whole or not at all, the last one last."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as folder:
        for word, data in files.items():
            (Path(folder) / word).write_bytes(data)
        for word in files:
            os.replace(Path(folder) / word, directory / word)
