"""Decide where values are stored: leaves, outputs, new values of parameters, temporaries.

A new value goes straight into its parameter where that is safe; the rest is copied at the end.
"""

from __future__ import annotations

from graphc.compiler.fusion.group import Group
from graphc.compiler.fusion.grouping import Grouping
from graphc.compiler.fusion.groups import is_computed
from graphc.compiler.fusion.materialise import materialise
from graphc.compiler.fusion.names import Names, identifier
from graphc.compiler.fusion.reading import ReaderIndex, may_fail
from graphc.compiler.fusion.rowwise import find_in_place_scatters
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.axes import base_of
from graphc.ir.ops.leaf import Constant, Parameter
from graphc.ir.schedule import CONSTANT, INPUT, OUTPUT, PARAMETER, TEMPORARY, Storage


class Placement:
    """Where every value of a grouped graph is stored and read.

    `storage` is where a value is read, `targets` what its kernel stores it into, `copies` what
    no kernel stores by itself. Names are given in this order: leaves, outputs, temporaries.
    """

    def __init__(self, graph: Graph, grouping: Grouping, names: Names) -> None:
        self.graph, self.grouping, self._names = graph, grouping, names
        self._stored, inlined = materialise(graph, grouping)
        self._reading = ReaderIndex(grouping, inlined, self._stored)
        self._shown = {base_of(root) for _, root in graph.outputs}
        self.storage: dict[Node, Storage] = {}
        self.targets: dict[Node, tuple[Storage, ...]] = {}
        self.copies: list[tuple[Node, Storage]] = []
        self._aside: dict[Node, Storage] = {}  # old values of parameters that are copied
        self._copied_from_aside: set[Storage] = set()
        self.puts = find_in_place_scatters(graph, grouping, inlined)
        self._put_inside: set[Node] = set()  # values that are never there as a whole
        self._checking = self._groups_that_check()
        self.inputs = tuple(self._leaf(n, INPUT) for n in graph.inputs)
        self.parameters = tuple(self._leaf(n, PARAMETER) for n in graph.leaves(Parameter))
        self.constants = tuple(self._leaf(n, CONSTANT) for n in graph.leaves(Constant))
        self.outputs = self._place_outputs()
        self._place_in_place_scatters()
        self._place_updates()
        self._place_temporaries()

    def temporary(self, node: Node) -> Storage:
        """Give a value a temporary of its own."""
        self.storage[node] = Storage(self._names.of_value(node), node.type, TEMPORARY, node)
        return self.storage[node]

    def _leaf(self, node: Node, role: str) -> Storage:
        self.storage[node] = Storage(self._names.of_value(node), node.type, role, node)
        return self.storage[node]

    def _place_outputs(self) -> tuple[Storage, ...]:
        outputs = []
        for name, node in self.graph.outputs:
            storage = Storage(
                self._names.unique(identifier(f"out_{name}")), node.type, OUTPUT, node
            )
            outputs.append(storage)
            if is_computed(node):
                self.targets[node] = (*self.targets.get(node, ()), storage)
                self.storage.setdefault(node, storage)
            else:
                self.copies.append((node, storage))
        return tuple(outputs)

    # -- parameters -----------------------------------------------------------------

    def _place_updates(self) -> None:
        """Store new parameter values straight into the parameter where that is safe."""
        for parameter, value in self.graph.updates:
            place = self.storage[parameter]
            if value is parameter or value in self.puts:
                continue
            if is_computed(value) and self._may_update(parameter, value):
                self.targets[value] = (*self.targets.get(value, ()), place)
                self._come_after_readers(parameter, self.grouping.group_of[value])
            else:
                self.copies.append((value, place))

    def _place_in_place_scatters(self) -> None:
        """Scatter rows straight into the parameter where that is safe."""
        for value, puts in list(self.puts.items()):
            if self._is_last(puts.parameter, value):
                self.targets[value] = (self.storage[puts.parameter],)
                self._come_after_readers(puts.parameter, self.grouping.group_of[value])
                self._put_inside.update(puts.nodes[:-1])
            else:
                del self.puts[value]
                self._checking |= {self.grouping.group_of[n]: None for n in puts.nodes}

    def _groups_that_check(self) -> dict[Group, None]:
        """The groups whose kernels check data, or on which a check made apart depends."""
        apart = dict.fromkeys(n for puts in self.puts.values() for n in puts.nodes)
        checking = [n for n in self.graph.nodes if may_fail(n) and n not in apart]
        indices = [base_of(n.inputs[1]) for n in apart]
        group_of = self.grouping.group_of
        return {group_of[n]: None for n in checking + indices if n in group_of}

    def _is_last(self, parameter: Node, value: Node) -> bool:
        """Whether nothing that comes before the write needs what the kernel makes."""
        needing = self.grouping.needing(self.grouping.group_of[value])
        return not any(g in needing for g in self._first(parameter))

    def _first(self, parameter: Node) -> dict[Group, None]:
        """What comes before a parameter is overwritten: who reads the old value, every check."""
        return dict.fromkeys(self._reading.groups(parameter)) | self._checking

    def _come_after_readers(self, parameter: Node, group: Group) -> None:
        """Order the kernel that overwrites a parameter after everything that must come first."""
        for reader in self._first(parameter):
            self.grouping.put_before(reader, group)

    def _may_update(self, parameter: Node, value: Node) -> bool:
        """Whether the kernel of `value` may write the parameter in place.

        Inside the kernel, the parameter is read at the index that is written, and nowhere else,
        and nothing is checked; what comes before the write does not need what the kernel makes.
        """
        if parameter in self._shown or not self._reading.may_update_in_place(parameter, value):
            return False
        return self._is_last(parameter, value)

    # -- temporaries ----------------------------------------------------------------

    def _place_temporaries(self) -> None:
        copied = {base_of(n) for n, _ in self.copies}
        for node in self.graph.nodes:
            if node not in self._stored or node in self._put_inside:
                continue
            placed = self.targets.get(node, ())
            if node in self.storage:
                continue  # an output is readable where it is
            if not placed or node in copied or self._read_outside(node):
                self.targets[node] = (self.temporary(node), *placed)

    def _read_outside(self, node: Node) -> bool:
        group = self.grouping.group_of[node]
        return any(g is not group for g in self._reading.groups(node))

    # -- copies ---------------------------------------------------------------------

    def safe_copies(self) -> list[tuple[Node, Storage]]:
        """The copies; a parameter that is itself updated is put aside first (a swap)."""
        updated = {p for p, value in self.graph.updates if value is not p}
        result: list[tuple[Node, Storage]] = []
        for node, place in self.copies:
            base = base_of(node)
            if place.role == PARAMETER and base in updated:
                if base not in self._aside:
                    name = self._names.unique(f"old_{self.storage[base].name}")
                    aside = Storage(name, base.type, TEMPORARY, base)
                    self._aside[base] = aside
                    result.append((base, aside))
                self._copied_from_aside.add(place)
            result.append((node, place))
        return result

    def old_value(self, node: Node) -> Storage | None:
        """Where a value is read by a copy that comes after the updates of parameters."""
        return self._aside.get(node, self.storage.get(node))

    def reads_aside(self, target: Storage) -> bool:
        """Whether the copy into a storage is of a parameter that was put aside."""
        return target in self._copied_from_aside
