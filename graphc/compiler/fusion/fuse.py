"""Graph -> kernels: group, decide where values are stored, lower every group, collect the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphc.compiler.fusion.checks import Checks
from graphc.compiler.fusion.chunks import ChunkedReduction, reduced_variables
from graphc.compiler.fusion.contraction import lower_contraction
from graphc.compiler.fusion.flat import is_flat
from graphc.compiler.fusion.fused import Fused
from graphc.compiler.fusion.group import CONTRACTION, SPECIAL, Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.in_place import find_in_place
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.loop import lower_loop
from graphc.compiler.fusion.names import Names, identifier, kernel_name
from graphc.compiler.fusion.nests import close_loops, load, lower_copy, open_loops
from graphc.compiler.fusion.placement import Placement
from graphc.compiler.fusion.precedence import verify_acyclic
from graphc.compiler.fusion.rows import Lowering, RowKernel
from graphc.compiler.fusion.rowwise import lower_in_place_scatter, lower_index_check, moved_bytes
from graphc.compiler.fusion.standalone import lower_standalone
from graphc.ir.dims import Size, product
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import base_of
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.loop import Scan
from graphc.ir.schedule import RNG, TEMPORARY, KernelCall, Storage
from graphc.ir.types import TensorType, uint32


def fuse(graph: Graph) -> Fused:
    """Compile a graph to loop-level kernels."""
    return Fusion(graph).run()


class Fusion:
    """A graph being fused; the body of a loop is an inner one with the same names and checks."""

    def __init__(self, graph: Graph, outer: Fusion | None = None) -> None:
        self.graph = graph
        self.checks: Checks = outer.checks if outer else Checks()
        self.rng: Storage = outer.rng if outer else Storage("rng", TensorType(uint32, (4,)), RNG)
        self._names: Names = outer._names if outer else Names()
        self.grouping = Grouping(graph)
        self.placement = Placement(graph, self.grouping, self._names)
        self.targets, self._storage = self.placement.targets, self.placement.storage
        self.unique = self._names.unique
        self.calls: list[KernelCall] = []

    def run(self) -> Fused:
        """All kernels of the graph."""
        verify_acyclic(self.grouping.group_of)
        for group in dict.fromkeys(self.grouping.group_of.values()):
            if any(n in self.targets for n in group.nodes):
                self._lower(group)
        for node, storage in self.placement.safe_copies():
            self._copy(node, storage)
        place = self.placement
        return Fused(
            tuple(self.calls), place.inputs, place.outputs, place.parameters, place.constants,
            self.rng, self.checks.listed(),
        )  # fmt: skip

    # -- for loops ------------------------------------------------------------------

    def inner(self, graph: Graph) -> Fused:
        """The kernels of a loop's body."""
        return Fusion(graph, self).run()

    def bytes_of(self, node: Node) -> Storage:
        """Where a value lies as a whole, in order; views are copied."""
        found = self._storage.get(node)
        if found is None:
            found = Storage(self.unique(identifier(node.op.name)), node.type, TEMPORARY, node)
            self.calls.append(self.copy_call(node, found))
            self._storage[node] = found
        return found

    def copy_call(self, node: Node, storage: Storage) -> KernelCall:
        """A call that stores every element of a node."""
        builder = self._builder(())
        lower_copy(node, storage, builder)
        return self._call(builder, [], "copy", node.step_part)

    def copy_bytes(self, source: Storage, target: Storage) -> KernelCall:
        """A call that copies one storage to another one."""
        builder = self._builder(())
        at = open_loops(builder, target.type.shape)
        builder.store(target, at, load(builder, source, at))
        close_loops(builder, at, target.type.shape)
        return self._call(builder, [], "copy", "forward")

    # -- lowering -------------------------------------------------------------------

    def _lowering(self) -> Lowering:
        return Lowering(self.grouping, self.targets)

    def _builder(
        self,
        group: Iterable[Node],
        flat: Size | None = None,
        storage_of: Callable[[Node], Storage | None] | None = None,
    ) -> KernelBuilder:
        found = storage_of or self._storage.get
        return KernelBuilder(found, self.rng, self.checks, frozenset(group), flat)

    def _lower(self, group: Group) -> None:
        self._prune(group)
        lowering = self._lowering()
        if isinstance(group.nodes[0].op, Scan):
            self.calls.append(lower_loop(self, group.nodes))
            return
        if group.kind == SPECIAL:
            builder = self._lower_standalone(group.nodes[0])
        elif group.kind == CONTRACTION:
            builder = self._builder(group.nodes)
            builder.shared = self._shared(group)
            lower_contraction(group, lowering, builder)
        elif self.grouping.is_chunked(group):
            self._lower_chunks(group, lowering)
            return
        else:
            builder = self._lower_rows(group, lowering)
        self._finish(builder, group.nodes)

    def _lower_standalone(self, node: Node) -> KernelBuilder:
        targets = self.targets[node]
        if node in self.placement.puts:
            return self._lower_in_place_scatters(self.placement.puts[node].nodes, targets[0])
        builder = self._builder((node,))
        lower_standalone(node, targets, builder)
        return builder

    def _lower_in_place_scatters(self, nodes: tuple[Node, ...], storage: Storage) -> KernelBuilder:
        """All checks by kernels of their own, then everything is put into the parameter."""
        for node in nodes:
            builder = self._builder((node,))
            lower_index_check(node, builder)
            self._finish(builder, [], name=f"{node.op.name}_check", step_part=node.step_part)
        builder = self._builder(nodes)
        for node in nodes:
            lower_in_place_scatter(node, storage, builder)
        return builder

    def _prune(self, group: Group) -> None:
        """Leave out what other kernels compute again and nothing here needs."""
        needed: set[Node] = set()
        for node in reversed(group.nodes):
            if node in self.targets or node in needed:
                needed.add(node)
                needed |= {base_of(i) for i in node.inputs}
        self.grouping.keep(group, [n for n in group.nodes if n in needed])

    def _lower_rows(self, group: Group, lowering: Lowering) -> KernelBuilder:
        rows = self.grouping.rows(group)
        flat = None
        total = product(self.grouping.sizes[v] for v in rows)
        if len(rows) > 1 and is_flat(group, rows, self.grouping, self._storage):
            flat = self.grouping.variable(total)
        builder = self._builder(group.nodes, total if flat is not None else None)
        builder.shared = self._shared(group)
        RowKernel(group, lowering, builder, flat).build()
        return builder

    def _lower_chunks(self, group: Group, lowering: Lowering) -> None:
        variables = reduced_variables(group, self.grouping)
        rows = self.grouping.rows(group)
        joined = self.grouping.is_joined(group)
        flat = joined and not rows and is_flat(group, variables, self.grouping, self._storage)
        total = product(self.grouping.sizes[v] for v in variables)
        builder = self._builder(group.nodes, total if flat else None)
        builder.shared = self._shared(group)
        chunked = ChunkedReduction(group, lowering, builder, flat)
        chunked.build_chunks()
        inside = chunked.inside
        self._finish(builder, inside)
        after = [n for n in group.nodes if n not in inside]
        builder = self._builder(group.nodes)
        chunked.build_total(builder)
        self._finish(
            builder, after, name=f"{kernel_name(inside)}_total", step_part=inside[-1].step_part
        )

    def _shared(self, group: Group) -> frozenset[Node]:
        """Nodes that several nodes of the group read: computed once and named."""
        counts: dict[Node, int] = {}
        for node in group.nodes:
            for i in node.inputs:
                counts[base_of(i)] = counts.get(base_of(i), 0) + 1
        return frozenset(
            n
            for n in group.nodes
            if isinstance(n.op, Elementwise) and counts.get(n, 0) + (n in self.targets) > 1
        )

    # -- calls ----------------------------------------------------------------------

    def _copy(self, node: Node, storage: Storage) -> None:
        aside = self.placement.reads_aside(storage)
        builder = self._builder((), None, self.placement.old_value if aside else None)
        lower_copy(node, storage, builder)
        self._finish(builder, [], name="copy", step_part=node.step_part)

    def _finish(
        self, builder: KernelBuilder, nodes: list[Node], name: str = "", step_part: str = ""
    ) -> None:
        self.calls.append(self._call(builder, nodes, name, step_part))

    def _call(
        self, builder: KernelBuilder, nodes: list[Node], name: str, step_part: str
    ) -> KernelCall:
        kernel, arguments = builder.kernel(self.unique(name or kernel_name(nodes)))
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
