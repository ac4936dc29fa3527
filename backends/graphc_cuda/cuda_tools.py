"""The programs of the CUDA toolkit that this machine has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_HOMES = ("CUDA_HOME", "CUDA_PATH")


@cache
def find_tool(name: str) -> Path | None:
    """Where a program such as ptxas is: on PATH, in the toolkit, or in a package of NVIDIA's."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    for folder in _folders():
        found = shutil.which(name, path=str(folder))
        if found is not None:
            return Path(found)
    return None


def _folders() -> Iterator[Path]:
    for variable in _HOMES:
        if os.environ.get(variable):
            yield Path(os.environ[variable]) / "bin"
    spec = find_spec("nvidia")
    for root in (spec.submodule_search_locations or []) if spec is not None else []:
        yield from sorted(Path(root).glob("*/bin"))
    yield Path("/usr/local/cuda/bin")


def tool_identity(path: Path) -> str:
    """What changes when a program does; asking for its version takes as long as its work."""
    try:
        facts = path.stat()
    except OSError:
        return str(path)
    return f"{path} {facts.st_size} {facts.st_mtime_ns}"
