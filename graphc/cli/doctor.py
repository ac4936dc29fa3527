"""`graphc doctor`: what this machine offers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

import graphc as gx
from graphc.cli.show import bytes_text, print_rows
from graphc.cli.subject import json_text
from graphc.config import environment, usable_processors
from graphc.errors import GraphcError
from graphc.runtime.backend import load_backend

PACKAGES = ("numpy", "llvmlite", "networkx", "safetensors", "rich", "click", "ml_dtypes")
VARIABLES = ("GRAPHC_CACHE", "GRAPHC_DUMP", "GRAPHC_CHECK", "GRAPHC_TIME", "GRAPHC_BACKEND")


def run_doctor(as_json: bool = False) -> bool:
    """Print what there is; whether native code works."""
    works, native = native_code()
    parts = {
        "versions": versions(),
        "processor": [*processor(), ("native code", native)],
        "NVIDIA GPUs": gpus(),
        "around it": surroundings(),
    }
    if as_json:
        click.echo(json_text({"works": works, **{k: dict(rows) for k, rows in parts.items()}}))
        return works
    for title, rows in parts.items():
        print_rows(title, rows)
    return works


def versions() -> list[tuple[str, str]]:
    """Of Python, graphc and what it needs."""
    python = f"{platform.python_version()} ({platform.python_implementation()})"
    rows = [("graphc", gx.__version__), ("Python", python), ("system", platform.platform())]
    return rows + [(name, _version(name)) for name in PACKAGES]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def processor() -> list[tuple[str, str]]:
    """Instruction set, caches and threads."""
    rows = [("threads", f"{usable_processors()} usable of {os.cpu_count()}")]
    try:
        target = load_backend("llvm").target()
    except (GraphcError, ImportError) as error:
        return [*rows, ("instructions", f"unknown: {error}")]
    if target is None:
        return rows
    fused = "with" if target.has_fma else "without"
    return [
        ("processor", f"{target.cpu} ({target.triple})"),
        ("instructions", f"{target.isa}, vectors of {target.vector_bits} bits, {fused} fma"),
        ("caches", f"L1 {bytes_text(target.l1_bytes)}, L2 {bytes_text(target.l2_bytes)}"),
        *rows,
    ]


def native_code() -> tuple[bool, str]:
    """Compile and run a small function."""
    x = gx.input("x", (4,))
    start = time.perf_counter()
    try:
        result = gx.compile([x], x * 2.0 + 1.0, name="doctor")(np.arange(4, dtype=np.float32))
    except (GraphcError, ImportError, OSError) as error:
        return False, f"does not work: {error}"
    if not np.array_equal(result, [1, 3, 5, 7]):
        return False, f"wrong result {result.tolist()}"
    return True, f"works (compiled and run in {1000 * (time.perf_counter() - start):.0f} ms)"


def surroundings() -> list[tuple[str, str]]:
    """The cache, the linker, Graphviz, the environment."""
    found = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return [
        ("cache", cache_state(environment().cache)),
        ("linker", linker()),
        ("Graphviz", _program("dot", "-V") or "not installed: pictures stay DOT text"),
        ("environment", ", ".join(f"{k}={v}" for k, v in found.items()) or "nothing set"),
    ]


def cache_state(directory: Path | None) -> str:
    """Where compiled code is kept, and how much of it."""
    if directory is None:
        return "off"
    if not directory.exists():
        return f"{directory} (made when first needed)"
    files = [p for p in directory.rglob("*") if p.is_file()]
    size = bytes_text(sum(_size(p) for p in files))
    note = "" if os.access(directory, os.W_OK) else ", not writable"
    return f"{directory} ({len(files)} files, {size}{note})"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process cleans up
        return 0


def linker() -> str:
    """What makes shared libraries of exported functions."""
    found = [name for name in ("ld", "ld.lld", "wasm-ld", "cc") if shutil.which(name)]
    if find_spec("ziglang"):
        found.append("ziglang")
    return ", ".join(found) or "none: export makes object files and archives only"


def gpus() -> list[tuple[str, str]]:
    """What the CUDA backend finds."""
    try:
        return list(load_backend("cuda").surroundings())
    except (GraphcError, ImportError) as error:
        return [("GPU", f"unknown: {error}")]


def _program(*command: str, find: Callable[[str], str | None] = shutil.which) -> str | None:
    """What a program says, None when it is not there or fails."""
    path = find(command[0])
    if path is None:
        return None
    try:
        result = subprocess.run(
            [path, *command[1:]], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return (result.stdout or result.stderr).strip()
