"""Gathers and scatters as ONNX."""

from __future__ import annotations

from graphc.ir import ops
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.types import DType, int32, int64
from graphc.onnx.writer import Rule, Writer

REDUCTIONS = {"set": "none", "add": "add", "mul": "mul", "min": "min", "max": "max"}


def indices(w: Writer, node: Node, name: str, wanted: tuple[DType, ...] = (int64,)) -> str:
    """Input 1 in a dtype that indices have."""
    dtype = node.inputs[1].type.dtype
    return name if dtype in wanted else w.cast(name, int64)


def take(w: Writer, node: Node, x: str, i: str) -> str:
    """Gather."""
    return str(w.op("Gather", x, indices(w, node, i, (int32, int64)), axis=0))


def take_along(w: Writer, node: Node, x: str, i: str) -> str:
    """GatherElements."""
    assert isinstance(node.op, ops.TakeAlong)
    found = indices(w, node, i, (int32, int64))
    return str(w.op("GatherElements", x, found, axis=node.op.axis))


def put_along(w: Writer, node: Node, x: str, i: str, updates: str) -> str:
    """ScatterElements."""
    op = node.op
    assert isinstance(op, ops.PutAlong)
    found = indices(w, node, i)
    how = REDUCTIONS[op.mode]
    return str(w.op("ScatterElements", x, found, updates, axis=op.axis, reduction=how))


def rows(w: Writer, node: Node, x: str, i: str, updates: str) -> str:
    """ScatterND of whole rows."""
    op = node.op
    how = REDUCTIONS[op.mode] if isinstance(op, ops.PutRows) else "add"
    places = w.op("Unsqueeze", indices(w, node, i), w.ints(-1))
    return str(w.op("ScatterND", x, places, updates, reduction=how))


def first_occurrence(w: Writer, node: Node, i: str) -> str:
    """The first place of equal indices, counted from the front."""
    assert isinstance(node.op, ops.FirstOccurrence)
    if node.inputs[0].type.dtype != int64:
        i = w.cast(i, int64)
    if node.type.shape[0] == 0:
        return i
    negative = w.op("Less", i, w.constant(0, "int64"))
    i = w.op("Where", negative, w.op("Add", i, w.size(node.op.size)), i)
    same = w.op("Equal", w.op("Unsqueeze", i, w.ints(0)), w.op("Unsqueeze", i, w.ints(1)))
    return str(w.op("ArgMax", w.cast(same, int32), axis=1, keepdims=0))


RULES: dict[type[Op], Rule] = {
    ops.Take: take,
    ops.TakeAlong: take_along,
    ops.PutAlong: put_along,
    ops.PutRows: rows,
    ops.ScatterAdd: rows,
    ops.FirstOccurrence: first_occurrence,
}
