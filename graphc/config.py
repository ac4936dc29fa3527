"""The environment: five variables, read once, each also a field of the compiler's options."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_YES, _NO = ("1", "on", "true", "yes"), ("", "0", "off", "false", "no")


@dataclass(frozen=True)
class Environment:
    """What the user set before Python started.

    `cache` is the directory where compiled code is kept, None to keep nothing.
    """

    dump: Path | None = None
    check: bool = False
    time: bool = False
    backend: str | None = None
    cache: Path | None = None


def usable_processors() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Parse the five variables; raises ValueError for a switch that is neither on nor off."""
    dump = variables.get("GRAPHC_DUMP", "")
    kept = variables.get("GRAPHC_CACHE")
    return Environment(
        dump=Path(dump) if dump else None,
        check=_switch(variables, "GRAPHC_CHECK"),
        time=_switch(variables, "GRAPHC_TIME"),
        backend=variables.get("GRAPHC_BACKEND") or None,
        cache=_default_cache(variables) if kept is None else _cache_directory(kept),
    )


@cache
def environment() -> Environment:
    """The environment of this process, read on first use."""
    return read_environment(os.environ)


def _switch(variables: Mapping[str, str], name: str) -> bool:
    value = variables.get(name, "").strip().lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise ValueError(f"{name}={variables[name]!r}: say 1 or 0")


def _cache_directory(value: str) -> Path | None:
    return None if value.strip().lower() in _NO else Path(value).expanduser()


def _default_cache(variables: Mapping[str, str]) -> Path | None:
    """The platform's cache directory; None without a home directory."""
    if sys.platform == "win32":
        base = variables.get("LOCALAPPDATA")
        return Path(base) / "graphc" / "cache" if base else None
    home = variables.get("HOME")
    if sys.platform == "darwin":
        return Path(home) / "Library" / "Caches" / "graphc" if home else None
    base = variables.get("XDG_CACHE_HOME")
    if base and os.path.isabs(base):
        return Path(base) / "graphc"
    return Path(home) / ".cache" / "graphc" if home else None
