"""The calls of a graph's kernels: named, with what they cost; and kernels that only copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphc.compiler.fusion.checks import Checks
from graphc.compiler.fusion.in_place import find_in_place
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.names import Names, identifier, kernel_name
from graphc.compiler.fusion.nests import close_loops, load, lower_copy, open_loops
from graphc.compiler.fusion.placement import Placement
from graphc.compiler.fusion.rowwise import moved_bytes
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.schedule import TEMPORARY, KernelCall, Storage


class KernelCalls:
    """The calls made so far; the names and checks are those of the whole program."""

    def __init__(
        self, graph: Graph, placement: Placement, names: Names, checks: Checks, rng: Storage
    ) -> None:
        self.graph, self.placement = graph, placement
        self.names, self.checks, self.rng = names, checks, rng
        self.targets, self.storage = placement.targets, placement.storage
        self.calls: list[KernelCall] = []

    def builder(
        self,
        group: Iterable[Node],
        flat: Size | None = None,
        storage_of: Callable[[Node], Storage | None] | None = None,
    ) -> KernelBuilder:
        """A builder of the kernel of some nodes."""
        found = storage_of or self.storage.get
        return KernelBuilder(found, self.rng, self.checks, frozenset(group), flat)

    def add_call(
        self, builder: KernelBuilder, nodes: list[Node], name: str = "", step_part: str = ""
    ) -> None:
        """Add the call of a finished kernel."""
        self.calls.append(self._call(builder, nodes, name, step_part))

    def _call(
        self, builder: KernelBuilder, nodes: list[Node], name: str, step_part: str
    ) -> KernelCall:
        """The call of a kernel, with what it costs."""
        kernel, arguments = builder.kernel(self.names.unique(name or kernel_name(nodes)))
        flops: Size = 0
        for n in nodes:
            flops = flops + n.op.flops(n.type, *(i.type for i in n.inputs))
        times = ((b in kernel.reads) + (b in kernel.writes) for b in kernel.arguments)
        puts = any(n in self.placement.puts for n in nodes)
        moved = moved_bytes(zip(arguments, times), nodes, puts)
        parts = [n.step_part for n in nodes] or [step_part]
        return KernelCall(
            kernel, arguments, tuple(nodes), flops, moved, find_in_place(builder), parts[-1]
        )

    def bytes_of(self, node: Node) -> Storage:
        """Where a value lies as a whole, in order; views are copied."""
        found = self.storage.get(node)
        if found is None:
            found = Storage(self.names.unique(identifier(node.op.name)), node.type, TEMPORARY, node)
            self.calls.append(self.copy_call(node, found))
            self.storage[node] = found
        return found

    def copy_call(self, node: Node, storage: Storage) -> KernelCall:
        """A call that stores every element of a node."""
        builder = self.builder(())
        lower_copy(node, storage, builder)
        return self._call(builder, [], "copy", node.step_part)

    def copy_bytes(self, source: Storage, target: Storage) -> KernelCall:
        """A call that copies one storage to another one."""
        builder = self.builder(())
        at = open_loops(builder, target.type.shape)
        builder.store(target, at, load(builder, source, at))
        close_loops(builder, at, target.type.shape)
        return self._call(builder, [], "copy", "forward")
