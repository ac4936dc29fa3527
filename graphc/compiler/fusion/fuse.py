"""Graph -> kernels: group, decide what is stored, lower every group, collect the calls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from graphc.compiler.fusion.axes import base_of, through_views
from graphc.compiler.fusion.chunks import ChunkedReduction, reduced_variables
from graphc.compiler.fusion.contraction import lower_contraction
from graphc.compiler.fusion.group import CONTRACTION, SPECIAL, Group
from graphc.compiler.fusion.grouping import Grouping, is_computed
from graphc.compiler.fusion.loop import lower_loop
from graphc.compiler.fusion.materialise import materialise
from graphc.compiler.fusion.nests import close_loops, load, lower_copy, open_loops
from graphc.compiler.fusion.precedence import verify_acyclic
from graphc.compiler.fusion.reading import Reading, may_fail
from graphc.compiler.fusion.rows import Lowering, RowKernel
from graphc.compiler.fusion.rowwise import find_puts, lower_check, lower_put_into, moved_bytes
from graphc.compiler.fusion.special import lower_special
from graphc.compiler.fusion.values import Checks, Values
from graphc.ir.dims import Size, product
from graphc.ir.graph import Graph, Node
from graphc.ir.loops.ir import (
    Buffer,
    Expr,
    Load,
    Loop,
    Store,
    expressions,
    reversed_operands,
    walk,
    walk_exprs,
)
from graphc.ir.naming import numbered
from graphc.ir.ops.base import Elementwise, Reduce, View
from graphc.ir.ops.failure import VALUE, indexed_size, with_size
from graphc.ir.ops.gather import Guard
from graphc.ir.ops.leaf import Constant, Iota, Parameter, RandomBits
from graphc.ir.ops.loop import Scan
from graphc.ir.ops.view import Pad
from graphc.ir.schedule import (
    CONSTANT,
    INPUT,
    OUTPUT,
    PARAMETER,
    RNG,
    TEMPORARY,
    Call,
    Check,
    Storage,
)  # fmt: skip
from graphc.ir.types import TensorType, uint32


@dataclass(frozen=True, eq=False)
class Fused:
    """The kernels of a graph, in no particular order, and every storage they name."""

    calls: tuple[Call, ...]
    inputs: tuple[Storage, ...]
    outputs: tuple[Storage, ...]
    parameters: tuple[Storage, ...]
    constants: tuple[Storage, ...]
    rng: Storage
    checks: tuple[Check, ...]


def fuse(graph: Graph) -> Fused:
    """Compile a graph to loop-level kernels."""
    return Fusion(graph).run()


class Fusion:
    """A graph being fused; the body of a loop is an inner one with the same names and checks."""

    def __init__(self, graph: Graph, outer: Fusion | None = None) -> None:
        self.graph = graph
        self.grouping = Grouping(graph)
        self.stored, self.inlined = materialise(graph, self.grouping)
        self._reading = Reading(self.grouping, self.inlined, self.stored)
        self._shown = {base_of(root) for _, root in graph.outputs}
        self.checks: Checks = outer.checks if outer else Checks()
        self.rng: Storage = outer.rng if outer else Storage("rng", TensorType(uint32, (4,)), RNG)
        self.storage: dict[Node, Storage] = {}
        self.targets: dict[Node, tuple[Storage, ...]] = {}
        self.copies: list[tuple[Node, Storage]] = []
        self.calls: list[Call] = []
        self._aside: dict[Node, Storage] = {}  # old values of parameters that are copied
        self._copied_from_aside: set[Storage] = set()
        self._names: dict[str, int] = outer._names if outer else {}
        self._puts = find_puts(graph, self.grouping, self.inlined)
        self._put_inside: set[Node] = set()  # values that are never there as a whole
        self._checking = self._groups_that_check()

    def run(self) -> Fused:
        """All kernels of the graph."""
        inputs = tuple(self._leaf(n, INPUT) for n in self.graph.inputs)
        parameters = tuple(self._leaf(n, PARAMETER) for n in self.graph.leaves(Parameter))
        constants = tuple(self._leaf(n, CONSTANT) for n in self.graph.leaves(Constant))
        outputs = self._place_outputs()
        self._place_updates()
        self._place_temporaries()
        verify_acyclic(self.grouping.group_of)
        for group in dict.fromkeys(self.grouping.group_of.values()):
            if any(n in self.targets for n in group.nodes):
                self._lower(group)
        for node, storage in self._safe_copies():
            self._copy(node, storage)
        checks = tuple(Check(code, n, _message(n)) for n, code in self.checks.codes.items())
        return Fused(tuple(self.calls), inputs, outputs, parameters, constants, self.rng, checks)

    # -- storages -------------------------------------------------------------------

    def _leaf(self, node: Node, role: str) -> Storage:
        name = self.unique(identifier(node.name or node.op.name))
        self.storage[node] = Storage(name, node.type, role, node)
        return self.storage[node]

    def inner(self, graph: Graph) -> Fused:
        """The kernels of a loop's body."""
        return Fusion(graph, self).run()

    def bytes_of(self, node: Node) -> Storage:
        """Where a value lies as a whole, in order; views are copied."""
        found = self.storage.get(node)
        if found is None:
            found = Storage(self.unique(identifier(node.op.name)), node.type, TEMPORARY, node)
            self.calls.append(self.copy_call(node, found))
            self.storage[node] = found
        return found

    def copy_call(self, node: Node, storage: Storage) -> Call:
        """A call that stores every element of a node."""
        values = self._values(())
        lower_copy(node, storage, values)
        return self._call(values, [], "copy", node.part)

    def copy_bytes(self, source: Storage, target: Storage) -> Call:
        """A call that copies one storage to another one."""
        values = self._values(())
        at = open_loops(values, target.type.shape)
        values.store(target, at, load(values, source, at))
        close_loops(values, at, target.type.shape)
        return self._call(values, [], "copy", "forward")

    def unique(self, name: str) -> str:
        """A name that no other storage or kernel has."""
        return numbered(self._names, name)

    def _place_outputs(self) -> tuple[Storage, ...]:
        outputs = []
        for name, node in self.graph.outputs:
            storage = Storage(self.unique(identifier(f"out_{name}")), node.type, OUTPUT, node)
            outputs.append(storage)
            if is_computed(node):
                self.targets[node] = (*self.targets.get(node, ()), storage)
                self.storage.setdefault(node, storage)
            else:
                self.copies.append((node, storage))
        return tuple(outputs)

    def _place_updates(self) -> None:
        """New parameter values go straight into the parameter where that is safe."""
        self._place_puts()
        for parameter, value in self.graph.updates:
            place = self.storage[parameter]
            if value is parameter or value in self._puts:
                continue
            if is_computed(value) and self._may_update(parameter, value):
                self.targets[value] = (*self.targets.get(value, ()), place)
                self._come_after_readers(parameter, self.grouping.group_of[value])
            else:
                self.copies.append((value, place))

    def _place_puts(self) -> None:
        """Rows are put straight into the parameter where that is safe."""
        for value, puts in list(self._puts.items()):
            if self._is_last(puts.parameter, value):
                self.targets[value] = (self.storage[puts.parameter],)
                self._come_after_readers(puts.parameter, self.grouping.group_of[value])
                self._put_inside.update(puts.nodes[:-1])
            else:
                del self._puts[value]
                self._checking |= {self.grouping.group_of[n]: None for n in puts.nodes}

    def _groups_that_check(self) -> dict[Group, None]:
        """The groups whose kernels check data, or on which a check made apart depends."""
        apart = dict.fromkeys(n for puts in self._puts.values() for n in puts.nodes)
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
        """Let the kernel that overwrites a parameter wait for what comes before."""
        for reader in self._first(parameter):
            self.grouping.put_before(reader, group)

    def _may_update(self, parameter: Node, value: Node) -> bool:
        """Whether the kernel of `value` may write the parameter in place.

        Inside the kernel, the parameter is read at the index that is written, and nowhere else,
        and nothing is checked; what comes before the write does not need what the kernel makes.
        """
        if parameter in self._shown or not self._reading.agrees(parameter, value):
            return False
        return self._is_last(parameter, value)

    def _place_temporaries(self) -> None:
        copied = {base_of(n) for n, _ in self.copies}
        for node in self.graph.nodes:
            if node not in self.stored or node in self._put_inside:
                continue
            placed = self.targets.get(node, ())
            if node in self.storage:
                continue  # an output is readable where it is
            if not placed or node in copied or self._read_outside(node):
                name = self.unique(identifier(node.name or node.op.name))
                self.storage[node] = Storage(name, node.type, TEMPORARY, node)
                self.targets[node] = (self.storage[node], *placed)

    def _read_outside(self, node: Node) -> bool:
        group = self.grouping.group_of[node]
        return any(g is not group for g in self._reading.groups(node))

    def _safe_copies(self) -> list[tuple[Node, Storage]]:
        """The copies; a parameter that is itself updated is put aside first (a swap)."""
        updated = {p for p, value in self.graph.updates if value is not p}
        result: list[tuple[Node, Storage]] = []
        for node, place in self.copies:
            base = base_of(node)
            if place.role == PARAMETER and base in updated:
                if base not in self._aside:
                    name = self.unique(f"old_{self.storage[base].name}")
                    aside = Storage(name, base.type, TEMPORARY, base)
                    self._aside[base] = aside
                    result.append((base, aside))
                self._copied_from_aside.add(place)
            result.append((node, place))
        return result

    # -- lowering -------------------------------------------------------------------

    def _lowering(self) -> Lowering:
        return Lowering(self.grouping, self.targets)

    def _values(self, group: Iterable[Node], flat: Size | None = None) -> Values:
        return Values(self.storage.get, self.rng, self.checks, frozenset(group), flat)

    def _lower(self, group: Group) -> None:
        self._prune(group)
        lowering = self._lowering()
        if isinstance(group.nodes[0].op, Scan):
            self.calls.append(lower_loop(self, group.nodes))
            return
        if group.kind == SPECIAL:
            values = self._lower_special(group.nodes[0])
        elif group.kind == CONTRACTION:
            values = self._values(group.nodes)
            values.shared = self._shared(group)
            lower_contraction(group, lowering, values)
        elif self.grouping.is_chunked(group):
            self._lower_chunks(group, lowering)
            return
        else:
            values = self._lower_rows(group, lowering)
        self._finish(values, group.nodes)

    def _lower_special(self, node: Node) -> Values:
        targets = self.targets[node]
        if node in self._puts:
            return self._lower_puts(self._puts[node].nodes, targets[0])
        values = self._values((node,))
        lower_special(node, targets, values)
        return values

    def _lower_puts(self, nodes: tuple[Node, ...], storage: Storage) -> Values:
        """All checks by kernels of their own, then everything is put into the parameter."""
        for node in nodes:
            values = self._values((node,))
            lower_check(node, values)
            self._finish(values, [], name=f"{node.op.name}_check", part=node.part)
        values = self._values(nodes)
        for node in nodes:
            lower_put_into(node, storage, values)
        return values

    def _prune(self, group: Group) -> None:
        """Leave out what other kernels compute again and nothing here needs."""
        needed: set[Node] = set()
        for node in reversed(group.nodes):
            if node in self.targets or node in needed:
                needed.add(node)
                needed |= {base_of(i) for i in node.inputs}
        self.grouping.keep(group, [n for n in group.nodes if n in needed])

    def _lower_rows(self, group: Group, lowering: Lowering) -> Values:
        rows = self.grouping.rows(group)
        flat = None
        total = product(self.grouping.sizes[v] for v in rows)
        if len(rows) > 1 and self._is_flat(group, rows):
            flat = self.grouping.variable(total)
        values = self._values(group.nodes, total if flat is not None else None)
        values.shared = self._shared(group)
        RowKernel(group, lowering, values, flat).build()
        return values

    def _lower_chunks(self, group: Group, lowering: Lowering) -> None:
        variables = reduced_variables(group, self.grouping)
        rows = self.grouping.rows(group)
        joined = self.grouping.is_joined(group)
        flat = joined and not rows and self._is_flat(group, variables)
        total = product(self.grouping.sizes[v] for v in variables)
        values = self._values(group.nodes, total if flat else None)
        values.shared = self._shared(group)
        chunked = ChunkedReduction(group, lowering, values, flat)
        chunked.build_chunks()
        inside = chunked.inside
        self._finish(values, inside)
        after = [n for n in group.nodes if n not in inside]
        values = self._values(group.nodes)
        chunked.build_total(values)
        self._finish(values, after, name=f"{kernel_name(inside)}_total", part=inside[-1].part)

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

    def _is_flat(self, group: Group, rows: tuple[int, ...]) -> bool:
        """Whether every value read or written runs over all rows in order, or is a number."""
        inner = self.grouping.inner(group)
        for node in group.nodes:
            axes = self.grouping.axes(node)
            own = tuple(v for v in axes if v is not None)
            if own and own != rows:
                return False
            if isinstance(node.op, (Reduce, Elementwise, RandomBits)) is False:
                return False
            if isinstance(node.op, Reduce) and not inner:
                return False
            if not all(self._reads_flat(i, group) for i in node.inputs):
                return False
        return True

    def _reads_flat(self, i: Node, group: Group) -> bool:
        base = base_of(i)
        if base.type.size == 1:
            return not _shows_zeros(i)
        if isinstance(base.op, Iota):
            return False
        again = base not in self.storage and self.grouping.group_of.get(base) is not group
        if again and not all(self._reads_flat(j, group) for j in base.inputs):
            return False  # it is computed again here, with all that it reads
        chain = i
        while isinstance(chain.op, View):
            if product(chain.type.shape) != base.type.size:
                return False
            chain = chain.inputs[0]
        ids = tuple(k if s != 1 else None for k, s in enumerate(base.type.shape))
        shown = through_views(i, ids)
        return shown is not None and [k for k in shown if k is not None] == [
            k for k in ids if k is not None
        ]

    # -- calls ----------------------------------------------------------------------

    def _copy(self, node: Node, storage: Storage) -> None:
        values = self._values(())
        if storage in self._copied_from_aside:
            values = Values(
                lambda n: self._aside.get(n, self.storage.get(n)), self.rng, self.checks
            )
        lower_copy(node, storage, values)
        self._finish(values, [], name="copy", part=node.part)

    def _finish(self, values: Values, nodes: list[Node], name: str = "", part: str = "") -> None:
        self.calls.append(self._call(values, nodes, name, part))

    def _call(self, values: Values, nodes: list[Node], name: str, part: str) -> Call:
        kernel, arguments = values.kernel(self.unique(name or kernel_name(nodes)))
        flops: Size = 0
        for n in nodes:
            flops = flops + n.op.flops(n.type, *(i.type for i in n.inputs))
        times = ((b in kernel.reads) + (b in kernel.writes) for b in kernel.arguments)
        puts = any(n in self._puts for n in nodes)
        moved = moved_bytes(zip(arguments, times), nodes, puts)
        parts = [n.part for n in nodes] or [part]
        return Call(kernel, arguments, tuple(nodes), flops, moved, _in_place(values), parts[-1])


def _shows_zeros(node: Node) -> bool:
    """Whether a view shows elements that its source does not have."""
    while isinstance(node.op, View):
        if isinstance(node.op, Pad):
            return True
        node = node.inputs[0]
    return False


def _in_place(values: Values) -> tuple[tuple[Storage, Storage], ...]:
    """Pairs (written, read) whose elements are read only where they are written."""
    body = values.body()
    order = list(walk(body))
    stores = [s for s in order if isinstance(s, Store)]
    # What is stored twice, or in front of a loop, is written before all that is read.
    once = Counter(s.buffer for s in stores)
    last_loop = max((k for k, s in enumerate(order) if isinstance(s, Loop)), default=-1)
    late = [s for k, s in enumerate(order) if isinstance(s, Store) and k > last_loop]
    loads: dict[Buffer, set[tuple[Expr, ...]]] = {}
    # from the last operand on: a result takes the place of the last one first
    roots = (e for s in order for e in reversed(expressions(s)))
    for x in walk_exprs(roots, reversed_operands):
        if isinstance(x, Load):
            loads.setdefault(x.buffer, set()).add(x.index)
    storage = {b: s for s, b in values.buffers.items()}
    written = {s.buffer for s in stores}
    pairs = []
    for s in late:
        for b, indices in loads.items():
            if b in written or b not in storage or s.buffer not in storage:
                continue
            same = indices == {s.index} and _alike(storage[b], storage[s.buffer])
            if same and once[s.buffer] == 1:
                pairs.append((storage[s.buffer], storage[b]))
    return tuple(pairs) if len(_nests(body)) == 1 else ()


def _alike(a: Storage, b: Storage) -> bool:
    return a.role == TEMPORARY and b.role == TEMPORARY and a.type.nbytes == b.type.nbytes


def _nests(body: tuple[object, ...]) -> list[object]:
    """The innermost loops: with one, a store follows every load of its iteration."""
    return [
        s for s in walk(body)  # type: ignore[arg-type]
        if isinstance(s, Loop) and not any(isinstance(t, Loop) for t in s.body)
    ]  # fmt: skip


def kernel_name(nodes: list[Node]) -> str:
    """A name after the first few ops."""
    from graphc.ir.ops.base import Contract

    first = sorted(nodes, key=lambda n: not isinstance(n.op, Contract))
    names = dict.fromkeys("matmul" if isinstance(n.op, Contract) else n.op.name for n in first)
    return "_".join(list(names)[:4])


def identifier(text: str) -> str:
    """A name usable in generated code."""
    return re.sub(r"\W", "_", text.replace("/", "_"))


def _message(node: Node) -> str:
    if isinstance(node.op, Guard):
        return with_size(node.op.message, node.op.size)
    if node.op.indices is None:
        return f"{node.op.name}: a matrix is not positive definite{VALUE}"
    size = indexed_size(node)
    return f"{node.op.name}: an index is out of range for an axis of size {size}{VALUE}"


__all__ = ["Fused", "fuse"]
