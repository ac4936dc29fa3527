"""How a compiled function shows what it is and leaves Python.

The work is done in `graphc.inspect` and `graphc.export`, which know this room: here they are only
called by name, and brought in when they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphc.config import environment

if TYPE_CHECKING:  # the command line takes the names of stages from here, and starts without numpy
    from graphc.export.bundle import Bundle
    from graphc.ir.types import Array
    from graphc.runtime.backend import Runner

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
        return str(_tool("graphc.inspect.report").report(self))

    @property
    def memory(self) -> Any:
        """Where the bytes are."""
        return _tool("graphc.inspect.memory").memory(self)

    @property
    def cost(self) -> Any:
        """Arithmetic operations and bytes moved by one call."""
        return _tool("graphc.inspect.cost").cost(self)

    @property
    def kernels(self) -> Any:
        """The kernels in order."""
        return _tool("graphc.inspect.report").kernels(self)

    def text(self, stage: str = "optimized") -> str:
        """The program at a stage, as text."""
        return str(_tool("graphc.inspect.graph_printer").text(self, stage))

    def dot(self, path: Path | None = None, stage: str = "fused") -> str:
        """The program at a stage, as DOT; also drawn if the path ends in .svg, .png or .pdf."""
        return str(_tool("graphc.inspect.dot").function_dot(self, path, stage))

    def source(self, language: str = "llvm") -> str:
        """The generated code."""
        return str(_tool("graphc.inspect.report").source(self, language))

    def profile(self, *args: Any, **kwargs: Any) -> Any:
        """Measured time of every kernel for these inputs."""
        return _tool("graphc.inspect.profile").profile(self, args, kwargs)

    def html(self, path: Path, profile: Any = None) -> None:
        """Write one self-contained page, with measured times if `profile()`'s result is given."""
        _tool("graphc.inspect.html").html(self, path, profile)

    def _repr_svg_(self) -> str | None:
        return _tool("graphc.inspect.notebook").function_svg(self)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str | None:
        return _tool("graphc.inspect.notebook").function_html(self)  # type: ignore[no-any-return]

    def export(
        self,
        directory: Any,
        target: str = "host",
        weights: str = "embedded",
        *,
        name: str | None = None,
        also: Mapping[str, Any] | None = None,
        dims: Mapping[str, int | tuple[int, int]] | None = None,
        threads: int | None = None,
        features: str = "",
        selftest: bool = True,
        frozen: bool = False,
        max_flash: int | str | None = None,
        max_ram: int | str | None = None,
    ) -> Bundle:
        """Write it as a C library: shared library, archive, object, header, manifest, weights.

        The C function is NAME_step where it has updates, else NAME_run; `also` adds functions
        under their names, which share parameters with it. `target` is "host", a short name
        ("avx2", "neon", "riscv64", "wasm32", "cortex-m4", ...) or an LLVM triple, `features`
        more of its instruction set; "cuda" is a program in C for NVIDIA GPUs with machine code,
        launch lists and weights beside it, for which `dims` must give every dim one size. Dims are
        arguments in C, up to their maxima; `dims` gives them other bounds (least, most), or one
        size, which becomes a constant. `weights` "separate" leaves them in files of their own. The
        library starts no threads; `threads` is how many of the caller's may share a call. With
        `frozen`, parameters that no function updates are constants of the code, and so is what
        depends on them alone. Raises MemoryBudgetError where code and constants need more than
        `max_flash`, or the workspace more than `max_ram`.
        """
        tool = _tool("graphc.export.bundle")
        bundle: Bundle = tool.export(
            tool.named(self, also), directory, target, weights,
            name=name or self.name,  # type: ignore[attr-defined]  # of `CompiledFunction`
            dims=dims, threads=threads, features=features, selftest=selftest, frozen=frozen,
            max_flash=max_flash, max_ram=max_ram,
        )  # fmt: skip
        return bundle

    def _show(self, arrays: list[Array], dims: Mapping[str, int], runner: Runner) -> None:
        """What the environment asks to see of a new variant."""
        if environment().dump is None and not environment().time:
            return
        watch = _tool("graphc.inspect.watch")
        watch.dump_variant(self, dims, runner)
        if environment().time:
            watch.print_times(self, arrays, runner)


def _tool(module: str) -> Any:
    return import_module(module)
