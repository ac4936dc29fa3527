"""How a compiled function shows what it is; the work is done in `graphc.inspect`."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

Path = str | os.PathLike[str]
STAGES = ("defined", "differentiated", "optimized", "fused", "planned")


class Inspection:
    """Reports, pictures and costs of a compiled function (see `CompiledFunction`)."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The names that `text` and `dot` know."""
        return STAGES

    def report(self) -> str:
        """What runs: per kernel its ops, cost, threads and source lines."""
        return str(_inspect("report").report(self))

    @property
    def memory(self) -> Any:
        """Where the bytes are."""
        return _inspect("memory").memory(self)

    @property
    def cost(self) -> Any:
        """Arithmetic operations and bytes moved by one call."""
        return _inspect("cost").cost(self)

    @property
    def kernels(self) -> Any:
        """The kernels in order."""
        return _inspect("report").kernels(self)

    def text(self, stage: str = "optimized") -> str:
        """The program at a stage, as text."""
        return str(_inspect("text").text(self, stage))

    def dot(self, path: Path | None = None, stage: str = "fused") -> str:
        """The program at a stage, as DOT; also drawn if the path ends in .svg, .png or .pdf."""
        return str(_inspect("dot").function_dot(self, path, stage))

    def source(self, language: str = "llvm") -> str:
        """The generated code."""
        return str(_inspect("report").source(self, language))

    def profile(self, *args: Any, **kwargs: Any) -> Any:
        """Measured time of every kernel for these inputs."""
        return _inspect("profile").profile(self, args, kwargs)

    def html(self, path: Path, profile: Any = None) -> None:
        """Write one self-contained page, with measured times if `profile()`'s result is given."""
        _inspect("html").html(self, path, profile)

    def _repr_svg_(self) -> str | None:
        return _inspect("notebook").function_svg(self)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str | None:
        return _inspect("notebook").function_html(self)  # type: ignore[no-any-return]


def _inspect(module: str) -> Any:
    return import_module(f"graphc.inspect.{module}")
