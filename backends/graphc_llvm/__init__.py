"""Native code for CPUs through LLVM."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class LlvmBackend:
    """What `graphc.runtime.backend.load_backend("llvm")` finds."""

    name = "llvm"

    def function(self, *args: Any) -> Any:
        """See `graphc_llvm.function.CpuFunction`."""
        from graphc_llvm.function import CpuFunction

        return CpuFunction(*args)

    def target(self) -> Any:
        """Facts about this machine, a `graphc_llvm.target.Target`."""
        from graphc_llvm.target import host_target

        return host_target()

    def export_target(self, name: str, features: str) -> Any:
        """The target of a library: "host", a short name or a triple, with features."""
        from graphc_llvm.target import export_target

        return export_target(name, features)

    def library(self, *args: Any) -> Any:
        """Object code of a library, from (interface, target, embedded, recording, max_ram)."""
        from graphc_llvm.library.build import build

        return build(*args)

    def link_library(self, folder: Path, built: Any) -> tuple[list[str], str | None]:
        """The shared library and what belongs to it, made in the folder; or why there is none."""
        from graphc_llvm.library.build import link_library

        return link_library(folder, built)


backend = LlvmBackend()
