"""Graphs for many examples at once: every node that depends on the example gets a leading axis.

The rules, one for each family of ops, are in `graphc.frontend.autodiff.batching_rules`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from graphc import origin as origins
from graphc.errors import VerifyError
from graphc.frontend.tensor import face
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node, with_inputs
from graphc.ir.ops.base import Op
from graphc.ir.ops.leaf import RandomBits
from graphc.ir.ops.view import BroadcastTo, Permute, Reshape
from graphc.ir.types import TensorType

Batched = tuple[Node, bool]  # a node, and whether it has the leading axis


def batch_nodes(
    roots: Sequence[Node],
    batched: Mapping[Node, Node],
    size: Size,
    shared: Mapping[Node, Node] | None = None,
    draws: Collection[Node] | None = None,
) -> list[Batched]:
    """Rebuild what is beneath the roots for `size` examples; says of every root whether it varies.

    `batched` maps nodes to what stands for them, with the examples along a new first axis; what
    depends on such a node, and what depends on random bits, gets that axis too. Everything else
    stays itself, but for `shared`, which maps nodes to others of the same type. `draws` are the
    random bits that every example draws anew (default: all beneath the roots).
    Raises UnsupportedError for an op without a rule.
    """
    return Batcher(batched, size, shared or {}, draws).run(roots)


class Batcher:
    """The nodes for many examples, made one by one; each old node is rebuilt once."""

    def __init__(
        self,
        batched: Mapping[Node, Node],
        size: Size,
        shared: Mapping[Node, Node],
        draws: Collection[Node] | None,
    ) -> None:
        self.size, self.draws = size, draws
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
        """Rebuild what is beneath the roots."""
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
        from graphc.frontend.autodiff.batching_rules import find_rule, unchecked

        values = [self.made[i] for i in node.inputs]
        if isinstance(node.op, RandomBits):
            return self._draw(node, node.op)
        if not any(varies for _, varies in values):
            return with_inputs(node, tuple(n for n, _ in values)), False
        with origins.inherit(node.origin, node.part):
            if self.active is not None:
                values = unchecked(self, node, values)
            new = find_rule(node)(self, node, values)
        if new.type != self.type_of(node):
            raise VerifyError(f"{node!r} for {self.size} examples became {new!r}")
        return new, True

    def _draw(self, node: Node, op: RandomBits) -> Batched:
        """Other elements of the same stream for every example."""
        if self.draws is not None and node not in self.draws:
            return node, False
        with origins.inherit(node.origin, node.part):
            new = graphs.apply(RandomBits((self.size, *op.shape), op.stream), name=node.name)
        origins.note_drawn(new)  # a loop or a vmap around this one draws anew once more
        return new, True

    # -- what the rules use ---------------------------------------------------------------

    def apply(self, op: Op, old: Node, *inputs: Node) -> Node:
        """Apply an op that stands for an old node, and takes its name."""
        return graphs.apply(op, *inputs, name=old.name)

    def kept(self, new: Node, old: Node) -> Node:
        """The new value of the examples that are active, the old one of the others."""
        from graphc.frontend.functions.logic import where

        if self.active is None or new is old:
            return new
        ones = (1,) * (new.type.ndim - 1)
        active = graphs.apply(Reshape((self.size, *ones)), self.active)
        return where(face(active), face(new), face(old)).node

    def spread(self, value: Batched) -> Node:
        """The value with the leading axis, repeated along it if it does not vary."""
        node, varies = value
        if varies:
            return node
        if node not in self._spread:
            # what repeats already, repeats more often
            source = node.inputs[0] if isinstance(node.op, BroadcastTo) else node
            shape = (self.size, *node.type.shape)
            with origins.inherit(node.origin, node.part):
                self._spread[node] = graphs.apply(BroadcastTo(shape), source)
        return self._spread[node]


def moved(x: Node, source: int, target: int, name: str = "") -> Node:
    """One axis moved, the others in their order."""
    if source == target:
        return x
    order = [axis for axis in range(x.type.ndim) if axis != source]
    order.insert(target, source)
    return graphs.apply(Permute(tuple(order)), x, name=name)
