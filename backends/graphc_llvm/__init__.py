"""Native code for CPUs through LLVM."""

from __future__ import annotations

from typing import Any


class LlvmBackend:
    """What `graphc.backend.load_backend("llvm")` finds."""

    name = "llvm"

    def function(self, *args: Any) -> Any:
        """See `graphc_llvm.function.CpuFunction`."""
        from graphc_llvm.function import CpuFunction

        return CpuFunction(*args)

    def target(self) -> Any:
        """Facts about this machine, a `graphc_llvm.target.Target`."""
        from graphc_llvm.target import host_target

        return host_target()


backend = LlvmBackend()
