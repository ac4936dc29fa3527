"""The same step on NVIDIA GPUs: generated CUDA kernels, one CUDA graph, and a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.compiler.options import Options
from graphc.ir.graph import Graph, Node
from graphc.ir.structure import Structure
from graphc.ir.types import Array

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc.export.backend import DeviceLibraryBackend
    from graphc.export.interface import Interface
    from graphc.runtime.backend import Backend
    from graphc_cuda.cuda_function import CudaFunction
    from graphc_cuda.export.build import BuiltLibrary
    from graphc_cuda.export.engine import GpuEngine


class CudaBackend:
    """What `graphc.runtime.backend.load_backend` finds; loads the rest when it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def target(self) -> None:
        """The facts are those of a device (`targets.open_target`), not of the processor."""

    def surroundings(self) -> list[tuple[str, str]]:
        """GPUs, driver, tools and packages."""
        from graphc_cuda.surroundings import surroundings

        return list(surroundings())

    def missing(self, graph: Graph) -> tuple[Node, ...]:
        """Every kernel that fusion makes can be compiled."""
        return ()

    def check(self, options: Options) -> None:
        """Raise BackendError where the device of these options cannot be used."""
        from graphc_cuda.targets import check_target

        check_target(options)

    def function(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        structure: Structure,
        rng: Array,
        slow: Callable[..., Any],
    ) -> CudaFunction:
        """See `graphc_cuda.cuda_function.CudaFunction`."""
        from graphc_cuda.cuda_function import CudaFunction
        from graphc_cuda.targets import open_target, route_of

        return CudaFunction(
            graph, options, program, open_target(options.target), route_of(options), rng, slow
        )

    def device_library(self, interface: Interface) -> BuiltLibrary:
        """Machine code, launch lists, and a program of the host in C."""
        from graphc_cuda.export.build import build_library

        return build_library(interface)

    def open_device_library(self, folder: Path, manifest: Mapping[str, Any]) -> GpuEngine:
        """A library on the first GPU."""
        from graphc_cuda.export.engine import GpuEngine

        return GpuEngine(folder, manifest)


backend = CudaBackend("cuda")
if TYPE_CHECKING:  # it is both
    _runs: Backend = backend
    _exports: DeviceLibraryBackend = backend
