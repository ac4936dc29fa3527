"""Build a loop from one traced iteration: hoist, keep, or sink each computation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc import origin as origins
from graphc.frontend.batching import batch_nodes
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Contract, View
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.rebuild import replace_nodes
from graphc.ir.types import TensorType

# Leaves that cost nothing: every iteration has its own.
LOOP_INVARIANT_LEAVES = (leaf.Literal, leaf.SizeOf, leaf.Iota)


def placeholder(name: str, type: TensorType) -> Node:
    """A value of one iteration."""
    return graphs.apply(leaf.Input(name, type), name=name)


@dataclass(eq=False)
class LoopBuilder:
    """A loop under construction: the placeholders of an iteration and what they stand for.

    Work that needs no carry is done for all iterations at once where it holds a contraction:
    before the loop if the carries need it (the projection of a recurrent cell's input), else
    after it (an output layer, the gradient of the input).
    """

    carries: Sequence[Node]
    starts: Sequence[Node]
    rows: dict[Node, Node]  # placeholder -> stack
    length: Size
    reverse: bool = False
    drawn: Sequence[Node] = ()  # random bits that every iteration draws
    truncate: int | None = None
    count: Node | None = None  # how many iterations there are (int64)
    condition: int | None = None  # the carry that says whether to go on
    inside: Sequence[Node] = ()  # nodes that only iterations compute, whatever they depend on

    @property
    def is_partial(self) -> bool:
        """Whether there may be fewer iterations than rows: nothing is done for all rows then."""
        return self.count is not None or self.condition is not None

    def build(self, nexts: Sequence[Node], ys: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        """The last carries, and for every y its values of all iterations."""
        count = len(nexts)
        hoisted = self._hoist([*nexts, *ys])
        nexts, ys = hoisted[:count], hoisted[count:]
        core = set(topological(nexts))
        cuts = [self._cut(y, core) for y in ys]
        wanted: dict[Node, None] = {}
        for y, cut in zip(ys, cuts):
            wanted |= dict.fromkeys([y] if cut is None else cut)
        stacked = [n for n in wanted if n not in self.rows]
        made = self._close([*nexts, *stacked])
        known = self.rows | dict(zip(stacked, made[count:]))
        results = [
            known[y] if cut is None else self._after(y, cut, known) for y, cut in zip(ys, cuts)
        ]
        return made[:count], results

    # -- what varies --------------------------------------------------------------------

    def _depending(self, roots: Iterable[Node], on: Iterable[Node]) -> set[Node]:
        """The nodes reachable from the roots that depend on some nodes, these included."""
        found = set(on)
        for node in topological(roots):
            if any(i in found for i in node.inputs):
                found.add(node)
        return found

    def _varying(self, roots: Iterable[Node]) -> set[Node]:
        own = (*self.carries, *self.rows, *self.drawn, *self.inside)
        return self._depending(roots, own)

    # -- before -------------------------------------------------------------------------

    def _hoist(self, outputs: list[Node]) -> list[Node]:
        """Hoist contractions that depend on no carry out of the loop."""
        if self.is_partial:
            return outputs
        order = topological(outputs)
        varying = self._varying(outputs)
        carried = self._depending(outputs, self.carries)
        early = [n for n in order if n in varying and n not in carried]
        # a view is no work: several of one contraction stay in the loop and share its rows
        read = {_base(i) for n in order if n in carried for i in n.inputs} | set(outputs)
        new: dict[Node, Node] = {}
        for node in early:
            if node not in read or not self._has_contraction(node, varying):
                continue
            ((stack, _),) = batch_nodes([node], self.rows, self.length, draws=self.drawn)
            new[node] = placeholder(f"early_{len(self.rows)}", node.type)
            self.rows[new[node]] = stack
        replaced = replace_nodes(outputs, new)
        return [replaced[n] for n in outputs]

    def _has_contraction(self, node: Node, varying: set[Node]) -> bool:
        return any(isinstance(n.op, Contract) and n in varying for n in topological([node]))

    # -- after --------------------------------------------------------------------------

    def _cut(self, y: Node, core: set[Node]) -> list[Node] | None:
        """The values to stack so that y is computed after the loop; None if the loop computes
        it."""
        given = {*self.carries, *self.rows, *self.drawn}
        if y in core or y in given or self.is_partial:
            return None
        varying = self._varying([y])
        region: dict[Node, None] = {}
        edge: dict[Node, None] = {}
        stack = [y]
        while stack:
            node = stack.pop()
            if node in core or node in given:
                if node not in self.drawn:
                    edge[node] = None
            elif node in varying and node not in region:
                region[node] = None
                stack.extend(i for i in node.inputs if i in varying)
        return list(edge) if any(isinstance(n.op, Contract) for n in region) else None

    def _after(self, y: Node, cut: Sequence[Node], known: dict[Node, Node]) -> Node:
        batched = {n: known[n] for n in cut}
        ((result, varies),) = batch_nodes([y], batched, self.length, draws=self.drawn)
        if varies:
            return result
        return graphs.apply(BroadcastTo((self.length, *y.type.shape)), result)

    # -- the loop itself ----------------------------------------------------------------

    def _close(self, outputs: Sequence[Node]) -> list[Node]:
        """The results of a loop whose body refers to nothing outside."""
        order = topological(outputs)
        used = set(order)
        rows = [n for n in self.rows if n in used]
        drawn = [n for n in self.drawn if n in used]
        inside = self._varying(outputs)
        read = dict.fromkeys(i for n in order if n in inside for i in n.inputs if i not in inside)
        read |= dict.fromkeys(n for n in outputs if n not in inside)
        # a view is no work: the body has its own, of what it shows
        captured = [
            n
            for n in dict.fromkeys(map(_base, read))
            if not isinstance(n.op, LOOP_INVARIANT_LEAVES)
        ]
        new = {n: placeholder(f"captured_{i}", n.type) for i, n in enumerate(captured)}
        new |= {n: placeholder(f"random_{i}", n.type) for i, n in enumerate(drawn)}
        replaced = replace_nodes(outputs, new)
        local = (*self.carries, *rows, *(new[n] for n in drawn), *(new[n] for n in captured))
        body = Body(local, tuple(replaced[n] for n in outputs))
        stacks = [self.rows[n] for n in rows] + [self._bits(n) for n in drawn]
        inputs = (*self.starts, *stacks, *captured)
        if self.count is not None:
            inputs = (*inputs, self.count)
        kept = (self.length, len(self.carries), len(stacks), self.reverse)
        stops = (self.truncate, self.count is not None, self.condition)
        return [graphs.apply(Scan(body, *kept, k, *stops), *inputs) for k in range(len(outputs))]

    def _bits(self, node: Node) -> Node:
        """The random bits of all iterations."""
        assert isinstance(node.op, leaf.RandomBits)
        with origins.inherit(node.origin, node.step_part):
            op = leaf.RandomBits((self.length, *node.op.shape), node.op.stream)
            bits = graphs.apply(op, name=node.name)
        origins.note_random(bits)
        return bits


def _base(node: Node) -> Node:
    """What a view shows."""
    while isinstance(node.op, View):
        (node,) = node.inputs
    return node
