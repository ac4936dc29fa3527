"""Specialise a graph for given sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, GraphcError, ShapeError
from graphc.ir.dims import Dim, Size, bound, evaluate
from graphc.ir.graph import Graph, Node, describe
from graphc.ir.ops.base import Reduce
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.ops.view import Pad, Slice
from graphc.ir.sizes import concrete, concretise


def specialize(graph: Graph, dims: Mapping[str, int]) -> Graph:
    """Substitute integers for dims and infer every type again.

    Parameters stay themselves. Raises what the ops raise (the maximum of nothing, say), with the
    user's line.
    """
    new: dict[Node, Node] = {}
    bodies: dict[Any, Any] = {}
    for node in (*graph.inputs, *graph.nodes):
        if node not in new:
            new[node] = _specialized(node, tuple(new[i] for i in node.inputs), dims, bodies)
    return replace(
        graph,
        inputs=tuple(new[n] for n in graph.inputs),
        outputs=tuple((name, new[n]) for name, n in graph.outputs),
        updates=tuple((p, new[n]) for p, n in graph.updates),
        _order=[],
    )


def _specialized(
    node: Node, inputs: tuple[Node, ...], dims: Mapping[str, int], bodies: dict[Any, Any]
) -> Node:
    op = concretise(node.op, dims, bodies)
    if op is node.op and all(a is b for a, b in zip(inputs, node.inputs)):
        return node
    try:
        type = op.infer(*(n.type for n in inputs))
    except GraphcError as error:
        error.operands = error.operands or describe(inputs)
        error.origin = error.origin or node.origin
        raise
    return Node(op, inputs, type, node.origin, node.step_part, node.name)


def size_checked(graph: Graph) -> tuple[Node, ...]:
    """The nodes, also in loops, that need a size check: they are invalid for some sizes within
    bounds.

    Slices that could reach outside, pads and shapes that could be negative, the maximum of nothing.
    """
    return tuple(n for n in _with_bodies(graph.nodes) if _may_be_outside(n) or _may_be_empty(n))


def _with_bodies(nodes: Sequence[Node]) -> list[Node]:
    """The nodes and those of the loops among them, at any depth."""
    found = dict.fromkeys(nodes)
    waiting = [n.op for n in nodes if isinstance(n.op, Scan)]
    bodies: set[Body] = set()
    while waiting:
        body = waiting.pop().body
        if body not in bodies:
            bodies.add(body)
            inner = body.nodes
            found.update(dict.fromkeys(inner))
            waiting.extend(n.op for n in inner if isinstance(n.op, Scan))
    return list(found)


def _may_be_outside(node: Node) -> bool:
    if any(not _at_least(size, 0) for size in node.type.shape):
        return True
    if isinstance(node.op, Pad):
        return not all(_at_least(size, 0) for size in (*node.op.before, *node.op.after))
    if not isinstance(node.op, Slice):
        return False
    op, whole = node.op, node.inputs[0].type.shape
    if op.sizes == whole and all(start == 0 for start in op.starts):
        return False
    lasts = [s + (n - 1) * k for s, n, k in zip(op.starts, op.sizes, op.steps)]
    ends = zip(op.starts, lasts, whole)
    return not all(_inside(a, n) and _inside(b, n) for a, b, n in ends)


def _may_be_empty(node: Node) -> bool:
    if not isinstance(node.op, Reduce) or node.op.empty:
        return False
    shape = node.inputs[0].type.shape
    return any(not _at_least(shape[axis], 1) for axis in node.op.axes)


def _inside(index: Size, size: Size) -> bool:
    return _at_least(index, 0) and _at_least(size - index, 1)


def _at_least(size: Size, least: int) -> bool:
    known = bound(size)
    return known is not None and known >= least


def check_sizes(nodes: tuple[Node, ...], dims: Mapping[str, int]) -> None:
    """Raise, with the user's line, where a node does not exist for these sizes."""
    for node in nodes:
        try:
            concretise(node.op, dims).infer(*(concrete(n.type, dims) for n in node.inputs))
            _check_negative(node, dims)
        except GraphcError as error:
            error.operands = error.operands or describe(node.inputs)
            error.origin = error.origin or node.origin
            raise


def _check_negative(node: Node, dims: Mapping[str, int]) -> None:
    for axis, size in enumerate(node.type.shape):
        if evaluate(size, dims) < 0:
            text = f"{size} (axis {axis}) is {evaluate(size, dims)}"
            raise ShapeError(f"{node.op.name}: the size {text} for {dict(dims)}")


def check_dims(name: str, known: Mapping[str, Dim], given: Mapping[str, int]) -> None:
    """Raise unless there is one value within its bounds for every dim."""
    if set(given) != set(known):
        raise ArgumentError(
            f"{name}: specialize needs {', '.join(known) or 'nothing'},"
            f" got {', '.join(given) or 'nothing'}",
            origin=origins.find_origin(),
        )
    for word, value in given.items():
        dim = known[word]
        integral = isinstance(value, int) and not isinstance(value, bool) and value < 2**63
        if not integral or value < dim.min or (dim.max is not None and value > dim.max):
            most = "" if dim.max is None else f" and at most {dim.max}"
            raise ArgumentError(
                f"{name}: dim {word} must be an int of at least {dim.min}{most}, got {value!r}",
                origin=origins.find_origin(),
            )
