"""Batching of scans: one loop whose iterations handle all examples.

Where the number of iterations varies, the loop goes on for as long as any example does, and what
an example has is kept from its own last iteration on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from graphc.frontend import functions as fn
from graphc.frontend.batching.batcher import Batched, Batcher, moved
from graphc.frontend.tensor import Tensor, handle, literal
from graphc.ir import graph as graphs
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.loop import Body, Scan, loop_key
from graphc.ir.types import TensorType, bool_, int64


def scan(b: Batcher, node: Node, values: Sequence[Batched]) -> Node:
    """One result of the loop for all examples; its other results share that loop."""
    op = node.op
    assert isinstance(op, Scan)
    key = loop_key(node)
    if key not in b.loops:
        b.loops[key] = BatchedLoop(b, op, values)
    loop: BatchedLoop = b.loops[key]
    return loop.result(op, node)


def _placeholder(name: str, type: TensorType) -> Node:
    return graphs.apply(leaf.Input(name, type), name=name)


@dataclass(eq=False)
class BatchedIteration:
    """The body's new inputs, and which of the old ones vary.

    `step` is the iteration's number in a loop whose examples count for themselves, `going` says
    whether any example goes on, `taken` how many iterations there were until then; these are
    carries of rank 0, behind the old ones. `reads` are further values that all iterations read.
    """

    inner: Batcher
    inputs: tuple[Node, ...]
    varies: list[bool]
    step: Node | None = None
    going: Node | None = None
    taken: Node | None = None  # next to `going`, where a loop's gradient finds it
    reads: dict[Node, Node] = field(default_factory=dict)  # placeholder -> value outside

    @property
    def extra(self) -> list[Node]:
        """The carries that the old loop does not have."""
        return [n for n in (self.step, self.going, self.taken) if n is not None]


class BatchedLoop:
    """The iteration for all examples, and what the loop is given."""

    def __init__(self, b: Batcher, op: Scan, values: Sequence[Batched]) -> None:
        self.outer, self.op, self.values = b, op, values
        self.count = values[-1] if op.counted else None
        self.now = self._settled([v for _, v in values[: len(op.body.inputs)]])
        self.bodies: dict[Body, tuple[Body, list[bool]]] = {}
        self.given = self._given()

    # -- one iteration ----------------------------------------------------------------

    def _settled(self, varies: list[bool]) -> BatchedIteration:
        """The batched inputs: those batched at first, and carries that become so."""
        body, carries = self.op.body, self.op.carries
        while True:
            now = self._entered(varies)
            after = [v for _, v in now.inner.run(body.outputs[:carries])]
            grown = [bool(now.extra) or a or v for a, v in zip(varies, after)] + varies[carries:]
            if grown == varies:
                return now
            varies = grown

    def _entered(self, varies: list[bool]) -> BatchedIteration:
        batched: dict[Node, Node] = {}
        shared: dict[Node, Node] = {}
        for old, v in zip(self.op.body.inputs, varies):
            type = self.outer.type_of(old) if v else old.type
            (batched if v else shared)[old] = _placeholder(old.name or "input", type)
        found = {**batched, **shared}
        inner = Batcher(batched, self.outer.size, shared, None, self.outer.find_rule)
        now = BatchedIteration(inner, tuple(found[old] for old in self.op.body.inputs), varies)
        active: list[Tensor] = []
        if self.count is not None and self.count[1]:
            now.step = _placeholder("step", TensorType(int64, ()))
            active.append(handle(now.step) < self._read(now, "count", self.count[0]))
        if self.op.condition is not None and varies[self.op.condition]:
            now.going = _placeholder("going", TensorType(bool_, ()))
            now.taken = _placeholder("taken", TensorType(int64, ()))
            active.append(handle(now.inputs[self.op.condition]))
        if self.outer.active is not None:
            active.append(self._read(now, "active", self.outer.active))
        for some in active:
            known = inner.active
            inner.active = (some if known is None else fn.logical_and(handle(known), some)).node
        return now

    def _read(self, now: BatchedIteration, name: str, value: Node) -> Tensor:
        """A value outside, inside."""
        inside = _placeholder(name, value.type)
        now.reads[inside] = value
        return handle(inside)

    def _ends(self) -> list[Node]:
        """The next carries."""
        inner, found = self.now.inner, self.now.inner.run(self.op.body.outputs[: self.op.carries])
        ends = []
        for old, value, varies in zip(self.now.inputs, found, self.now.varies):
            new = inner.spread(value) if varies else value[0]
            ends.append(inner.kept(new, old) if self.now.extra else new)
        if self.now.step is not None:
            ends.append((handle(self.now.step) + (-1 if self.op.reverse else 1)).node)
        if self.now.going is not None and self.now.taken is not None:
            assert self.op.condition is not None
            ends.append(fn.any(handle(ends[self.op.condition])).node)
            ends.append((handle(self.now.taken) + 1).node)
        return ends

    def _body(self, old: Body) -> tuple[Body, list[bool]]:
        """A body for all examples, and which of its outputs vary."""
        if old not in self.bodies:
            carries, now = self.op.carries, self.now
            if not self.bodies:
                self.ends = self._ends()
            rows = now.inner.run(old.outputs[carries:])
            read = (*now.inputs[carries:], *now.reads)
            inputs = (*now.inputs[:carries], *now.extra, *read)
            varies = now.varies[:carries] + [v for _, v in rows]
            self.bodies[old] = Body(inputs, (*self.ends, *(n for n, _ in rows))), varies
        return self.bodies[old]

    # -- the loop ---------------------------------------------------------------------

    def _given(self) -> tuple[Node, ...]:
        """The inputs of the loop; stacks keep their iterations in front."""
        op, now = self.op, self.now
        most = self._most()
        given: list[Node] = []
        for value, varies in zip(self.values[: op.carries], now.varies):
            given.append(self.outer.spread(value) if varies else value[0])
        if now.step is not None:
            assert most is not None
            given.append((handle(most) - 1).node if op.reverse else literal(0, int64).node)
        if now.going is not None:
            assert op.condition is not None
            given.append(fn.any(handle(given[op.condition])).node)
            given.append(literal(0, int64).node)
        rows = op.carries + op.scanned
        stacks, read = self.values[op.carries : rows], self.values[rows : len(op.body.inputs)]
        given += [moved(node, 0, 1) if varies else node for node, varies in stacks]
        given += [node for node, _ in read] + list(now.reads.values())
        return (*given, most) if most is not None else tuple(given)

    def _most(self) -> Node | None:
        """The number of iterations, the largest that an example has; 0 for no examples."""
        if self.count is None or not self.count[1]:
            return self.count and self.count[0]
        none = fn.zeros((1,), dtype=int64)
        return fn.max(fn.concat([none, handle(self.count[0])], axis=0)).node

    def result(self, op: Scan, node: Node) -> Node:
        """One result; the examples come before the iterations of a stack."""
        body, varies = self._body(op.body)
        extra, stacked = len(self.now.extra), op.index >= op.carries
        wider = replace(
            op,
            body=body,
            carries=op.carries + extra,
            index=op.index + extra if stacked else op.index,
            condition=op.condition if self.now.going is None else op.carries + extra - 2,
        )
        found = graphs.apply(wider, *self.given, name=node.name)
        if not varies[op.index]:
            return self.outer.spread((found, False))
        return moved(found, 1, 0, node.name) if stacked else found
