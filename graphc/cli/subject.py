"""What a file on the command line holds: a model, a script with compiled functions, a library."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import graphc as gx
from graphc.errors import ArgumentError, FormatError
from graphc.runtime.function import CompiledFunction

Bounds = int | tuple[int, int]  # a size, or the least and the most
Shape = tuple[int | str, ...]
T = TypeVar("T")


def functions_of(
    path: Path,
    dims: Mapping[str, Bounds],
    shapes: Mapping[str, Shape],
    target: str = "cpu",
) -> dict[str, CompiledFunction]:
    """The compiled functions of an ONNX model (one), or of a Python script, by name."""
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if path.suffix == ".onnx":
        return {"model": onnx_function(path, dims, shapes, target)}
    if path.suffix == ".py":
        return script_functions(path)
    raise FormatError(f"{path}: needs a file that ends in .onnx or .py")


def onnx_function(
    path: Path,
    dims: Mapping[str, Bounds],
    shapes: Mapping[str, Shape],
    target: str = "cpu",
) -> CompiledFunction:
    """An ONNX model as a compiled function called after the file."""
    fixed = {name: size for name, size in dims.items() if isinstance(size, int)}
    model = gx.onnx.load(path, dims=fixed, shapes=shapes)
    inputs, outputs = list(model.inputs.values()), dict(model.outputs)
    return gx.compile(inputs, outputs, mode="inference", name=path.stem, target=target)


def script_functions(path: Path) -> dict[str, CompiledFunction]:
    """Run a script and take the compiled functions that it leaves in its names."""
    sys.path.insert(0, str(path.parent))
    try:
        names = runpy.run_path(str(path), run_name="__graphc__")
    finally:
        sys.path.remove(str(path.parent))
    found = {n: v for n, v in names.items() if isinstance(v, CompiledFunction) and n[0] != "_"}
    if not found:
        raise ArgumentError(
            f"{path} leaves no compiled function in a name of its own",
            hint="define it outside of `if __name__ == '__main__':`",
        )
    return found


def choose(found: Mapping[str, T], name: str | None, path: Path) -> tuple[str, T]:
    """The function that was asked for, or the only one."""
    if name is None and len(found) == 1:
        return next(iter(found.items()))
    if name is None or name not in found:
        what = "has several functions" if name is None else f"has no function {name}"
        raise ArgumentError(f"{path} {what}: choose with --function {' | '.join(found)}")
    return name, found[name]


def pairs(texts: tuple[str, ...], what: str) -> dict[str, str]:
    """NAME=VALUE options as a dict."""
    result = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise ArgumentError(f"{what} must be given as NAME=VALUE, got {text!r}")
        result[name] = value
    return result


def sizes(texts: tuple[str, ...]) -> dict[str, Bounds]:
    """--dim options: NAME=8 a size, NAME=1:256 bounds."""
    found: dict[str, Bounds] = {}
    for name, value in pairs(texts, "--dim").items():
        parts = value.split(":")
        if not all(p.isdigit() for p in parts) or len(parts) > 2:
            raise ArgumentError(f"--dim must be NAME=SIZE or NAME=LEAST:MOST, got {name}={value}")
        found[name] = int(value) if len(parts) == 1 else (int(parts[0]), int(parts[1]))
    return found


def shapes_of(texts: tuple[str, ...]) -> dict[str, Shape]:
    """--shape options: NAME=1,3,320,320."""
    found: dict[str, Shape] = {}
    for name, value in pairs(texts, "--shape").items():
        words = value.split(",")
        found[name] = tuple(int(w) if w.strip().isdigit() else w.strip() for w in words)
    return found


def json_text(content: object) -> str:
    """What --json prints."""
    return json.dumps(content, indent=1, default=str)
