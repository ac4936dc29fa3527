"""Graph -> kernels: group, decide where values are stored, lower every group, collect the calls."""

from __future__ import annotations

from graphc.compiler.fusion.checks import Checks
from graphc.compiler.fusion.chunks import ChunkedReduction, reduced_variables
from graphc.compiler.fusion.contraction import lower_contraction
from graphc.compiler.fusion.flat import is_flat
from graphc.compiler.fusion.fused import Fused
from graphc.compiler.fusion.group import CONTRACTION, SPECIAL, Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.kernel_builder import KernelBuilder
from graphc.compiler.fusion.kernel_calls import KernelCalls
from graphc.compiler.fusion.loop import lower_loop
from graphc.compiler.fusion.names import Names, kernel_name
from graphc.compiler.fusion.nests import lower_copy
from graphc.compiler.fusion.placement import Placement
from graphc.compiler.fusion.precedence import verify_acyclic
from graphc.compiler.fusion.rows import Lowering, RowKernel
from graphc.compiler.fusion.rowwise import lower_in_place_scatter, lower_index_check
from graphc.compiler.fusion.standalone import lower_standalone
from graphc.ir.dims import product
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import base_of
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.loop import Scan
from graphc.ir.schedule import CONSTANT, RNG, Storage
from graphc.ir.types import TensorType, uint32


def fuse(graph: Graph) -> Fused:
    """Compile a graph to loop-level kernels."""
    return Fusion(graph).run()


class Fusion(KernelCalls):
    """A graph being fused; the body of a loop is an inner one with the same names and checks."""

    def __init__(self, graph: Graph, outer: Fusion | None = None) -> None:
        names = outer.names if outer else Names()
        checks = outer.checks if outer else Checks()
        rng = outer.rng if outer else Storage("rng", TensorType(uint32, (4,)), RNG)
        self.grouping = Grouping(graph)
        super().__init__(graph, Placement(graph, self.grouping, names), names, checks, rng)

    def run(self) -> Fused:
        """All kernels of the graph."""
        verify_acyclic(self.grouping.group_of)
        for group in dict.fromkeys(self.grouping.group_of.values()):
            if any(n in self.targets for n in group.nodes):
                self._lower(group)
        for node, storage in self.placement.safe_copies():
            self._copy(node, storage)
        place = self.placement
        # a loop touches those of its body too
        used = (s for call in self.calls for s in call.arguments if s.role == CONSTANT)
        constants = tuple(dict.fromkeys((*place.constants, *used)))
        return Fused(
            tuple(self.calls), place.inputs, place.outputs, place.parameters, constants,
            self.rng, self.checks.listed(),
        )  # fmt: skip

    # -- lowering -------------------------------------------------------------------

    def _fuse_body(self, graph: Graph) -> Fused:
        """The kernels of a loop's body."""
        return Fusion(graph, self).run()

    def _lower(self, group: Group) -> None:
        self._prune(group)
        lowering = Lowering(self.grouping, self.targets)
        if isinstance(group.nodes[0].op, Scan):
            self.calls.append(lower_loop(group.nodes, self, self._fuse_body))
            return
        if group.kind == SPECIAL:
            builder = self._lower_standalone(group.nodes[0])
        elif group.kind == CONTRACTION:
            builder = self.builder(group.nodes)
            builder.shared = self._shared(group)
            lower_contraction(group, lowering, builder)
        elif self.grouping.is_chunked(group):
            self._lower_chunks(group, lowering)
            return
        else:
            builder = self._lower_rows(group, lowering)
        self.add_call(builder, group.nodes)

    def _lower_standalone(self, node: Node) -> KernelBuilder:
        targets = self.targets[node]
        if node in self.placement.puts:
            return self._lower_in_place_scatters(self.placement.puts[node].nodes, targets[0])
        builder = self.builder((node,))
        lower_standalone(node, targets, builder)
        return builder

    def _lower_in_place_scatters(self, nodes: tuple[Node, ...], storage: Storage) -> KernelBuilder:
        """All checks by kernels of their own, then everything is put into the parameter."""
        for node in nodes:
            builder = self.builder((node,))
            lower_index_check(node, builder)
            self.add_call(builder, [], name=f"{node.op.name}_check", step_part=node.step_part)
        builder = self.builder(nodes)
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
        if len(rows) > 1 and is_flat(group, rows, self.grouping, self.storage):
            flat = self.grouping.variable(total)
        builder = self.builder(group.nodes, total if flat is not None else None)
        builder.shared = self._shared(group)
        RowKernel(group, lowering, builder, flat).build()
        return builder

    def _lower_chunks(self, group: Group, lowering: Lowering) -> None:
        variables = reduced_variables(group, self.grouping)
        rows = self.grouping.rows(group)
        joined = self.grouping.is_joined(group)
        flat = joined and not rows and is_flat(group, variables, self.grouping, self.storage)
        total = product(self.grouping.sizes[v] for v in variables)
        builder = self.builder(group.nodes, total if flat else None)
        builder.shared = self._shared(group)
        chunked = ChunkedReduction(group, lowering, builder, flat)
        chunked.build_chunks()
        inside = chunked.inside
        self.add_call(builder, inside)
        after = [n for n in group.nodes if n not in inside]
        builder = self.builder(group.nodes)
        chunked.build_total(builder)
        self.add_call(
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

    def _copy(self, node: Node, storage: Storage) -> None:
        aside = self.placement.reads_aside(storage)
        builder = self.builder((), None, self.placement.old_value if aside else None)
        lower_copy(node, storage, builder)
        self.add_call(builder, [], name="copy", step_part=node.step_part)
