"""Loops that hold a sub-graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from graphc.errors import ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import Node, topological
from graphc.ir.ops.base import Op
from graphc.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Body:
    """One iteration: `outputs` in terms of `inputs`, which are input leaves of no other graph."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @property
    def nodes(self) -> list[Node]:
        """Every node, each after its inputs."""
        return topological(self.outputs)

    def __repr__(self) -> str:
        return f"Body({len(self.nodes)} nodes)"


@dataclass(frozen=True)
class Scan(Op):
    """One result of a loop of `length` iterations; the other results are nodes of their own.

    The node's inputs are the first carries, then arrays whose rows the iterations read, then
    values that all iterations read; the body's inputs are in the same order. The body's outputs
    are the next carries, then one row of each stacked result. Result `index` is a last carry
    (index < carries) or a stack of rows. With `reverse` the iterations go from the last row to
    the first; row i of a stack always belongs to row i of the arrays. Results of one loop have
    equal bodies and inputs; a loop runs once for all of them.

    With `counted`, a last input says how many iterations there are (an int64 of at most `length`);
    with `condition`, the loop goes on only while that carry is true. Rows that no iteration wrote
    are 0 in the interpreter and undefined in compiled code; nothing reads them.

    `truncate` = k: gradients do not flow from iteration i k to the one before it.
    """

    name = "scan"
    pure: ClassVar[bool] = False  # results of one loop stay together; merge_loops merges them
    body: Body = field(compare=True)
    length: Size
    carries: int
    scanned: int
    reverse: bool
    index: int
    truncate: int | None = None
    counted: bool = False
    condition: int | None = None

    def infer(self, *types: TensorType) -> TensorType:
        """The type of the result; the inputs have the types that the body wants."""
        given = types[:-1] if self.counted else types
        for i, (wanted, found) in enumerate(zip(self.body.inputs, given, strict=True)):
            expected = wanted.type
            if self.carries <= i < self.carries + self.scanned:
                expected = expected.with_shape((self.length, *expected.shape))
            if found != expected:
                raise ShapeError(f"scan: input {i} must be {expected}, got {found}")
        result = self.body.outputs[self.index].type
        if self.index < self.carries:
            return result
        return result.with_shape((self.length, *result.shape))

    def flops(self, out: TensorType, *types: TensorType) -> Size:
        """What one iteration costs, as often as it runs."""
        total: Size = 0
        for n in self.body.nodes:
            total = total + n.op.flops(n.type, *(i.type for i in n.inputs))
        return total * self.length

    def attributes(self) -> str:
        """Without the body."""
        direction = ", reverse" if self.reverse else ""
        return f"length={self.length}, result={self.index}{direction}"


def loop_key(node: Node) -> tuple[Any, ...]:
    """Equal for the results of one loop: the same iteration on the same inputs."""
    op = node.op
    assert isinstance(op, Scan)
    kept = op.length, op.reverse, op.counted, op.condition
    return (op.body.inputs, op.body.outputs[: op.carries], *kept, node.inputs)


def merged(ops: Sequence[Scan]) -> tuple[Body, list[int]]:
    """One body with the results of several (of one loop), and where each op's result is in it."""
    first = ops[0]
    ends = first.body.outputs[: first.carries]
    rows = dict.fromkeys(op.body.outputs[op.index] for op in ops if op.index >= op.carries)
    place = {node: first.carries + k for k, node in enumerate(rows)}
    indices = [
        op.index if op.index < op.carries else place[op.body.outputs[op.index]] for op in ops
    ]
    return Body(first.body.inputs, (*ends, *rows)), indices
