"""Leaves as ONNX: numbers, arrays, sizes, counters."""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Op
from graphc.ir.types import int64
from graphc.onnx.writer import Rule, Writer


def parameter(w: Writer, node: Node) -> str:
    """A stored array under the parameter's name; inside loops one of the graph around."""
    return w.stored[node][0] if node in w.stored else w.store(node, node.handle.value, node.name)


def constant(w: Writer, node: Node) -> str:
    """A stored array."""
    assert isinstance(node.op, leaf.Constant)
    return w.constant(node.op.value, hint=node.name or "constant")


def literal(w: Writer, node: Node) -> str:
    """A stored number."""
    assert isinstance(node.op, leaf.Literal)
    return w.constant(node.op.evaluate())


def size_of(w: Writer, node: Node) -> str:
    """A size, from the shapes of inputs."""
    assert isinstance(node.op, leaf.SizeOf)
    return w.size(node.op.size)


def iota(w: Writer, node: Node) -> str:
    """A range along one axis, repeated along the others."""
    op = node.op
    assert isinstance(op, leaf.Iota)
    zero, one = w.constant(0, "int64"), w.constant(1, "int64")
    counted = w.op("Range", zero, w.size(op.shape[op.axis]), one)
    counted = counted if op.dtype == int64 else w.cast(counted, op.dtype)
    if len(op.shape) == 1:
        return str(counted)
    axes = [i for i in range(len(op.shape)) if i != op.axis]
    return str(w.op("Expand", w.op("Unsqueeze", counted, w.ints(*axes)), w.sizes(op.shape)))


RULES: dict[type[Op], Rule] = {
    leaf.Parameter: parameter,
    leaf.Constant: constant,
    leaf.Literal: literal,
    leaf.SizeOf: size_of,
    leaf.Iota: iota,
}
