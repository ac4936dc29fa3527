"""Rewrite a graph in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from graphc.errors import GraphcError
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf
from graphc.ir.ops.base import Op
from graphc.ir.ops.elementwise_logic import Cast
from graphc.ir.types import DType, TensorType, float64


def widen(roots: Sequence[Node]) -> tuple[list[Node], dict[Node, Node], str]:
    """The roots with float64 in place of shorter floats; old nodes to new ones; the dtype.

    Parameters become other nodes, which have no memory: their values must be given. Where an op
    does not take float64 the roots themselves come back.
    """
    new: dict[Node, Node] = {}
    try:
        for node in topological(roots):
            new[node] = _widened(node, tuple(new[i] for i in node.inputs))
    except GraphcError:
        shortest = min((n.type.dtype for n in roots), key=lambda d: d.bits)
        return list(roots), {}, shortest.name
    return [new[n] for n in roots], new, "float64"


def _widened(node: Node, inputs: tuple[Node, ...]) -> Node:
    op = _wide_op(node.op)
    type = op.infer(*(n.type for n in inputs))
    result = Node(op, inputs, type, node.origin, node.step_part, node.name)
    if not node.type.dtype.is_float or type.dtype == float64:
        return result
    # an op whose result has one dtype whatever its inputs (a draw, say)
    cast = Cast(float64)
    return Node(cast, (result,), cast.infer(type), node.origin, node.step_part)


def _wide_op(op: Op) -> Op:
    """The op with float64 for every shorter float among its attributes."""
    if isinstance(op, leaf.Constant) and op.type.dtype.is_float:
        return leaf.Constant(op.value.astype(float64.numpy), op.type.with_dtype(float64))
    changed = {f.name: _wide(getattr(op, f.name)) for f in fields(op)}
    changed = {k: v for k, v in changed.items() if v is not getattr(op, k)}
    return replace(op, **changed) if changed else op


def _wide(value: Any) -> Any:
    if isinstance(value, DType) and value.is_float:
        return float64
    if isinstance(value, TensorType) and value.dtype.is_float:
        return value.with_dtype(float64)
    return value
