"""Native code for CPUs through LLVM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.compiler.options import Options
from graphc.ir.graph import Graph, Node
from graphc.ir.structure import Structure
from graphc.ir.types import Array

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc.export.backend import BuiltLibrary, LibraryBackend, LibraryTarget
    from graphc.export.interface import Interface
    from graphc.export.selftest import Recording
    from graphc.runtime.backend import Backend
    from graphc_llvm.cpu_function import CpuFunction
    from graphc_llvm.library.build import Built
    from graphc_llvm.target import Target


class LlvmBackend:
    """What `graphc.runtime.backend.load_backend("llvm")` finds; loads LLVM when it is used."""

    name = "llvm"

    def target(self) -> Target:
        """Facts about this machine."""
        from graphc_llvm.target import host_target

        return host_target()

    def surroundings(self) -> tuple[tuple[str, str], ...]:
        """All that it needs is in the processor's facts."""
        return ()

    def missing(self, graph: Graph) -> tuple[Node, ...]:
        """Every kernel that fusion makes can be compiled."""
        return ()

    def check(self, options: Options) -> None:
        """It runs wherever LLVM loads."""

    def function(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        structure: Structure,
        rng: Array,
        slow: Callable[..., Any],
    ) -> CpuFunction:
        """See `graphc_llvm.cpu_function.CpuFunction`."""
        from graphc_llvm.cpu_function import CpuFunction

        return CpuFunction(graph, options, program, structure, rng, slow)

    def export_target(self, name: str, features: str) -> Target:
        """The target of a library: "host", a short name or a triple, with features."""
        from graphc_llvm.target import export_target

        return export_target(name, features)

    def library(
        self,
        interface: Interface,
        target: LibraryTarget,
        embedded: bool,
        recording: Recording | None,
        max_ram: int | None,
    ) -> Built:
        """Object code of a library."""
        from graphc_llvm.library.build import build
        from graphc_llvm.target import Target

        assert isinstance(target, Target)
        return build(interface, target, embedded, recording, max_ram)

    def link_library(self, folder: Path, built: BuiltLibrary) -> tuple[list[str], str | None]:
        """The shared library and what belongs to it, made in the folder; or why there is none."""
        from graphc_llvm.library.build import Built, link_library

        assert isinstance(built, Built)
        return link_library(folder, built)


backend = LlvmBackend()
if TYPE_CHECKING:  # it is both
    _runs: Backend = backend
    _exports: LibraryBackend = backend
