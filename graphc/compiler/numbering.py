"""Storages and nodes of a compiled program as numbers that mean the same in every process."""

from __future__ import annotations

from graphc.compiler.program import Program
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.schedule import CONSTANT, FOLDED, INPUT, OUTPUT, PARAMETER, PREPARED, RNG, Storage
from graphc.ir.types import Array


class Numbering:
    """Numbers in the graph as defined; `folded` are the constants that it has not."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.numbers = {
            INPUT: {n: i for i, n in enumerate(graph.inputs)},
            PARAMETER: {n: i for i, n in enumerate(graph.leaves(Parameter))},
            CONSTANT: {n: i for i, n in enumerate(graph.leaves(Constant))},
        }
        schedule = program.schedule
        self.outputs = {s: i for i, s in enumerate(schedule.outputs)}
        made = {s: None for c in schedule.prepare for s in c.writes if s.role == PREPARED}
        self.prepared = {s: i for i, s in enumerate(made)}
        self.nodes = {n: i for i, n in enumerate(graph.nodes)}
        self.lines = {n.origin: i for n, i in self.nodes.items()}
        self.alike = {(n.origin, n.op.name): i for n, i in self.nodes.items()}
        self.folded: list[Array] = []

    def node(self, node: Node) -> int:
        """The number of a node of the defined graph; for a node that a pass made, of one from
        the same line, if possible with the same op; -1 for none."""
        line = self.lines.get(node.origin, -1)
        return self.nodes.get(node, self.alike.get((node.origin, node.op.name), line))

    def slot(self, storage: Storage) -> tuple[str, int]:
        """The role of a storage, and its number in that role."""
        role = storage.role
        if role == OUTPUT:
            return role, self.outputs[storage]
        if role == PREPARED:
            return role, self.prepared[storage]
        if role == RNG:
            return role, 0
        node = storage.node
        assert node is not None
        if role == CONSTANT and node not in self.numbers[CONSTANT]:
            assert isinstance(node.op, Constant)
            self.folded.append(node.op.value)
            return FOLDED, len(self.folded) - 1
        return role, self.numbers[role][node]
