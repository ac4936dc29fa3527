"""Run a launch plan through its LLVM text, every call beside the loop interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc_cuda.launch import KernelNode
from graphc_cuda.print_nvptx import nvptx_text
from tests.backends.cuda.host_threads import HostThreads
from tests.backends.cuda.stepwise import Stepwise


@dataclass
class HostStepwise(Stepwise):
    """As `Stepwise`, with the text of the direct route on this processor instead."""

    llvm_text: str = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.llvm_text = nvptx_text(self.plan.program, (9, 0))
        self.host = HostThreads(self.llvm_text)

    def _launch(self, node: KernelNode) -> None:
        # the simulator first: it refuses accesses out of bounds, which would end this process
        before = {p: self._raw(p).copy() for p in node.arguments}
        super()._launch(node)
        for place, held in before.items():
            self._raw(place)[...] = held
        pairs = zip(node.kernel.arrays, node.arguments)
        arrays = [self._raw(p).view(a.dtype.numpy)[: a.size] for a, p in pairs]
        self.host.launch(node.kernel.name, node.grid, node.kernel.block, arrays)
