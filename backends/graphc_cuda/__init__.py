"""The same step on NVIDIA GPUs: generated CUDA kernels, one CUDA graph, and a simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphc.compiler.options import Options
from graphc.ir.graph import Graph, Node
from graphc.ir.structure import Structure
from graphc.ir.types import Array

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc.runtime.backend import Backend
    from graphc_cuda.cuda_function import CudaFunction


class CudaBackend:
    """What `graphc.runtime.backend.load_backend` finds; loads the rest when it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def target(self) -> None:
        """The facts are those of a device (`open_targets`), not of this machine's processor."""

    def missing(self, graph: Graph) -> tuple[Node, ...]:
        """Every kernel that fusion makes can be compiled."""
        return ()

    def check(self, options: Options) -> None:
        """Raise BackendError where the device of these options cannot be used."""
        from graphc_cuda.targets import open_target

        open_target(options.target)

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

        return CudaFunction(graph, options, program, open_target(options.target), route_of(options))


backend: Backend = CudaBackend("cuda")
