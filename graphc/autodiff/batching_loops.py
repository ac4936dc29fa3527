"""A loop over many examples at once: each iteration is one for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import graph as graphs
from graphc.autodiff.batching import Batched, Batcher, moved
from graphc.graph import Node
from graphc.ops import leaf
from graphc.ops.loop import Body, Scan, loop_key


def scan(b: Batcher, node: Node, values: Sequence[Batched]) -> Node:
    """One result of the loop for all examples; its other results share that loop."""
    op = node.op
    assert isinstance(op, Scan)
    key = loop_key(node)
    if key not in b.loops:
        b.loops[key] = BatchedLoop(b, op, values)
    loop: BatchedLoop = b.loops[key]
    return loop.result(op, node)


class BatchedLoop:
    """The iteration for all examples, and what the loop is given."""

    def __init__(self, b: Batcher, op: Scan, values: Sequence[Batched]) -> None:
        self.outer, self.op = b, op
        self.inner, self.inputs, self.varies = self._settled([varies for _, varies in values])
        self.bodies: dict[Body, tuple[Body, list[bool]]] = {}
        self.given = tuple(self._given(i, value) for i, value in enumerate(values))

    def _settled(self, varies: list[bool]) -> tuple[Batcher, tuple[Node, ...], list[bool]]:
        """The body's inputs that vary: those that do at first, and carries that come to."""
        body, carries = self.op.body, self.op.carries
        while True:
            inner, inputs = self._entered(varies)
            after = [v for _, v in inner.run(body.outputs[:carries])]
            grown = [a or v for a, v in zip(varies, after)] + varies[carries:]
            if grown == varies:
                return inner, inputs, varies
            varies = grown

    def _entered(self, varies: list[bool]) -> tuple[Batcher, tuple[Node, ...]]:
        """The rules for the body, and its new inputs."""
        batched: dict[Node, Node] = {}
        shared: dict[Node, Node] = {}
        for old, v in zip(self.op.body.inputs, varies):
            type = self.outer.type_of(old) if v else old.type
            new = graphs.apply(leaf.Input(old.name or "input", type), name=old.name)
            (batched if v else shared)[old] = new
        inner = Batcher(batched, self.outer.size, shared, None)
        found = {**batched, **shared}
        return inner, tuple(found[old] for old in self.op.body.inputs)

    def _given(self, i: int, value: Batched) -> Node:
        """An input of the loop; stacks keep their iterations in front."""
        node, varies = value
        if i < self.op.carries:
            return self.outer.spread(value) if self.varies[i] else node
        scanned = i < self.op.carries + self.op.scanned
        return moved(node, 0, 1) if scanned and varies else node

    def _body(self, old: Body) -> tuple[Body, list[bool]]:
        """A body for all examples, and which of its outputs vary."""
        if old not in self.bodies:
            carries = self.op.carries
            found = self.inner.run(old.outputs)
            ends = [
                self.inner.spread(value) if varies else value[0]
                for value, varies in zip(found[:carries], self.varies)
            ]
            rows = found[carries:]
            varies = self.varies[:carries] + [v for _, v in rows]
            self.bodies[old] = Body(self.inputs, (*ends, *(n for n, _ in rows))), varies
        return self.bodies[old]

    def result(self, op: Scan, node: Node) -> Node:
        """One result; the examples come before the iterations of a stack."""
        body, varies = self._body(op.body)
        wider = replace(op, body=body)
        found = graphs.apply(wider, *self.given, name=node.name)
        if not varies[op.index]:
            return self.outer.spread((found, False))
        return moved(found, 1, 0, node.name) if op.index >= op.carries else found
