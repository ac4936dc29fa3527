"""Nodes for many examples, made one by one by the rules that are handed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from graphc import origin as origins
from graphc.errors import VerifyError
from graphc.frontend import functions as fn
from graphc.frontend.tensor import handle, lift
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node, with_inputs
from graphc.ir.ops.base import Op
from graphc.ir.ops.gather import Guard
from graphc.ir.ops.leaf import RandomBits
from graphc.ir.ops.matrix import Cholesky
from graphc.ir.ops.view import BroadcastTo, Permute, Reshape
from graphc.ir.types import TensorType

Batched = tuple[Node, bool]  # a node, and whether it has the leading axis
Values = Sequence[Batched]


class Batcher:
    """The nodes for many examples, made one by one; each old node is rebuilt once."""

    def __init__(
        self,
        batched: Mapping[Node, Node],
        size: Size,
        shared: Mapping[Node, Node],
        draws: Collection[Node] | None,
        find_rule: Callable[[Node], Rule],
    ) -> None:
        self.size, self.draws, self.find_rule = size, draws, find_rule
        self.made: dict[Node, Batched] = {old: (new, False) for old, new in shared.items()}
        for old, new in batched.items():
            if new.type != self.type_of(old):
                raise VerifyError(f"{old!r} for {size} examples cannot be {new!r}")
            self.made[old] = (new, True)
        self.loops: dict[Any, Any] = {}  # loops that have several results are made once
        # for each example whether it is computed at all; the checks of the others do not count
        self.active: Node | None = None
        self._spread: dict[Node, Node] = {}

    def type_of(self, node: Node) -> TensorType:
        """The type of a node with the leading axis."""
        return node.type.with_shape((self.size, *node.type.shape))

    def run(self, roots: Iterable[Node]) -> list[Batched]:
        """Rebuild the graph of the roots."""
        roots = tuple(roots)
        for root in roots:
            self._below(root)
        return [self.made[root] for root in roots]

    def _below(self, root: Node) -> None:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, i = stack.pop()
            if node in self.made:
                continue
            if i < len(node.inputs):
                stack.append((node, i + 1))
                if node.inputs[i] not in self.made:
                    stack.append((node.inputs[i], 0))
                continue
            self.made[node] = self._visit(node)

    def _visit(self, node: Node) -> Batched:
        values = [self.made[i] for i in node.inputs]
        if isinstance(node.op, RandomBits):
            return self._draw(node, node.op)
        if not any(varies for _, varies in values):
            return with_inputs(node, tuple(n for n, _ in values)), False
        with origins.inherit(node.origin, node.step_part):
            if self.active is not None:
                values = self._unchecked(node, values)
            new = self.find_rule(node)(self, node, values)
        if new.type != self.type_of(node):
            raise VerifyError(f"{node!r} for {self.size} examples became {new!r}")
        return new, True

    def _unchecked(self, node: Node, values: Values) -> list[Batched]:
        """The operands, but where something is checked, legal ones for inactive examples."""
        position, legal = node.op.indices, lift(0)
        if isinstance(node.op, Guard):
            position, legal = 1, lift(True)
        elif isinstance(node.op, Cholesky) and node.op.check:
            position, legal = 0, fn.eye(node.type.shape[-1], dtype=node.type.dtype)
        if position is None:
            return list(values)
        own = self.spread(values[position])
        legal = fn.broadcast_to(fn.astype(legal, own.type.dtype), own.type.shape)
        fixed = self.kept(own, legal.node)
        return [(fixed, True) if i == position else value for i, value in enumerate(values)]

    def _draw(self, node: Node, op: RandomBits) -> Batched:
        """Draw a distinct range of the random stream for every example."""
        if self.draws is not None and node not in self.draws:
            return node, False
        with origins.inherit(node.origin, node.step_part):
            new = graphs.apply(RandomBits((self.size, *op.shape), op.stream), name=node.name)
        origins.note_random(new)  # a loop or a vmap around this one draws anew once more
        return new, True

    # -- what the rules use ---------------------------------------------------------------

    def apply(self, op: Op, old: Node, *inputs: Node) -> Node:
        """Apply an op that stands for an old node, and takes its name."""
        return graphs.apply(op, *inputs, name=old.name)

    def kept(self, new: Node, old: Node) -> Node:
        """Select the new value for active examples, the old one for others."""
        if self.active is None or new is old:
            return new
        ones = (1,) * (new.type.ndim - 1)
        active = graphs.apply(Reshape((self.size, *ones)), self.active)
        return fn.where(handle(active), handle(new), handle(old)).node

    def spread(self, value: Batched) -> Node:
        """The value with the leading axis, repeated along it if it does not vary."""
        node, varies = value
        if varies:
            return node
        if node not in self._spread:
            # what repeats already, repeats more often
            source = node.inputs[0] if isinstance(node.op, BroadcastTo) else node
            shape = (self.size, *node.type.shape)
            with origins.inherit(node.origin, node.step_part):
                self._spread[node] = graphs.apply(BroadcastTo(shape), source)
        return self._spread[node]


Rule = Callable[[Batcher, Node, Values], Node]


def moved(x: Node, source: int, target: int, name: str = "") -> Node:
    """One axis moved, the others in their order."""
    if source == target:
        return x
    order = [axis for axis in range(x.type.ndim) if axis != source]
    order.insert(target, source)
    return graphs.apply(Permute(tuple(order)), x, name=name)
