"""The options of the commands, as click hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict


class SourceOptions(TypedDict):
    """How a model is to be read, and which of its functions is meant."""

    dim: tuple[str, ...]
    shape: tuple[str, ...]
    function: str | None


class CompileOptions(SourceOptions):
    """Of `graphc compile`: what kind of library."""

    target: str
    features: str
    weights: str
    name: str | None
    threads: int | None
    selftest: bool
    max_flash: str | None
    max_ram: str | None
    json: bool


class RunOptions(TypedDict):
    """Of `graphc run`: which function, and what becomes of the results."""

    function: str | None
    output: Path | None
    check: bool
    json: bool
