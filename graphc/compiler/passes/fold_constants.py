"""Compute now what depends on literals and constants alone."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from graphc.compiler.passes.patterns import broadcast, literal
from graphc.errors import GraphcError
from graphc.ir.dims import Poly
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.base import Leaf, Op
from graphc.ir.ops.leaf import Constant, Literal, SizeOf
from graphc.ir.ops.view import BroadcastTo
from graphc.ir.types import Array

MAX_FOLDED_BYTES = 1 << 16  # of a result; what is larger is computed when a parameter would be


def fold_constants(graph: Graph) -> Graph:
    """Compute what depends on literals and small constants alone."""
    return graph.map(fold)


def fold(node: Node) -> Node | None:
    """f(constants)  ->  constant"""
    op = node.op
    if isinstance(op, SizeOf):
        return literal(op.size, node.type.dtype) if isinstance(op.size, int) else None
    if isinstance(op, Constant):
        return fold_equal_elements(node)
    if isinstance(op, (Leaf, BroadcastTo)) or not op.pure or not node.inputs:
        return None
    if not all(isinstance(i.op, (Literal, Constant, BroadcastTo)) for i in node.inputs):
        return None
    size = node.type.nbytes
    if not isinstance(size, int) or size > MAX_FOLDED_BYTES or has_dims(op):
        return None
    arrays = [array for i in node.inputs if (array := known_value(i)) is not None]
    return compute(node, arrays) if len(arrays) == len(node.inputs) else None


def compute(node: Node, arrays: list[Array]) -> Node | None:
    """The constant that an op makes of arrays; None where that fails, as it will at run time."""
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(node.op.evaluate(*arrays))
    except GraphcError:
        return None
    if array.ndim == 0:
        return literal(array, node.type.dtype)
    frozen = np.array(array, order="C")
    frozen.setflags(write=False)
    constant = apply(Constant(frozen, node.type))
    return fold_equal_elements(constant) or constant


def known_value(node: Node) -> Array | None:
    """The value of a literal (also a repeated one) or a constant."""
    if isinstance(node.op, (Literal, Constant)):
        return node.op.evaluate()
    if isinstance(node.op, BroadcastTo) and isinstance(node.inputs[0].op, Literal):
        size = node.type.nbytes  # 0 also where a dim stands beside a size of 0
        if isinstance(size, int) and size <= MAX_FOLDED_BYTES and not has_dims(node.op):
            return node.op.evaluate(node.inputs[0].op.evaluate())
    return None


def has_dims(op: Op) -> bool:
    """Whether an attribute of an op mentions a dim."""
    values = [getattr(op, f.name) for f in fields(op)]
    return any(
        isinstance(v, Poly) or (isinstance(v, tuple) and any(isinstance(s, Poly) for s in v))
        for v in values
    )


def fold_equal_elements(node: Node) -> Node | None:
    """constant [a, a, ...]  ->  broadcast_to(a)"""
    assert isinstance(node.op, Constant)
    array = node.op.value
    if not array.size or array.ndim == 0:
        return None
    bits = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
    if (bits[0] != bits[-1]).any() or (bits != bits[0]).any():
        return None
    return broadcast(literal(array.reshape(-1)[0], node.type.dtype), node.type.shape)
