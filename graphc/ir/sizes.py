"""Bind dims by the shapes of arrays, and put their values into types and ops."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from graphc import origin as origins
from graphc.errors import NameError, ShapeError
from graphc.ir.arrays import label
from graphc.ir.dims import Dim, Poly, Size, dims_of, evaluate
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.ops.loop import Body
from graphc.ir.types import TensorType


def bind_dims(
    function: str, nodes: Sequence[Node], shapes: Sequence[tuple[int, ...]]
) -> dict[str, int]:
    """The dims that make the nodes' types fit the shapes; raises ShapeError when there are none."""
    dims: dict[str, int] = {}
    places: dict[str, tuple[Node, int]] = {}
    rows = [
        (node, axis, size, length)
        for node, shape in zip(nodes, shapes)
        for axis, (size, length) in enumerate(zip(node.type.shape, shape))
    ]
    for node, axis, size, length in rows:
        if isinstance(size, Dim):
            _bind(function, dims, places, node, axis, size, length)
    for node, axis, size, length in rows:
        if isinstance(size, Poly) and not isinstance(size, Dim):
            solved = _solve(size, length, dims)
            if solved is not None:
                _bind(function, dims, places, node, axis, *solved)
    for node, axis, size, length in rows:
        _check_size(function, dims, node, axis, size, length, shapes[nodes.index(node)])
    return dims


def _bind(
    function: str,
    dims: dict[str, int],
    places: dict[str, tuple[Node, int]],
    node: Node,
    axis: int,
    dim: Dim,
    length: int,
) -> None:
    """Give a dim its value; raise when it has another one or is out of its bounds."""
    here = f"axis {axis} of {label(node)}"
    if dim.name in dims and dims[dim.name] != length:
        other, other_axis = places[dim.name]
        raise ShapeError(
            f"{function}: dim {dim.name} is {dims[dim.name]} (axis {other_axis} of {label(other)})"
            f" but {length} ({here})",
            operands=tuple(("wanted", f"{label(n)} {n.type}", n.origin) for n in (other, node)),
            origin=origins.find_origin(),
        )
    bound = None
    if dim.max is not None and length > dim.max:
        bound = f"more than its maximum {dim.max}"
    elif length < dim.min:
        bound = f"less than its minimum {dim.min}"
    if bound:
        raise ShapeError(
            f"{function}: dim {dim.name} is {length} ({here}), {bound}",
            operands=(("wanted", f"{label(node)} {node.type}", node.origin),),
            origin=origins.find_origin(),
        )
    dims[dim.name] = length
    places.setdefault(dim.name, (node, axis))


def _linear(size: Poly, known: Container[str]) -> tuple[Dim, int, int] | None:
    """(dim, c, d) of a size c * dim + d with one unknown dim; None for other sizes."""
    unknown = [d for d in dims_of(size) if d.name not in known]
    terms = dict(size.terms)
    if len(unknown) != 1 or set(terms) - {(unknown[0],), ()}:
        return None
    return unknown[0], terms[(unknown[0],)], terms.get((), 0)


def _solve(size: Poly, length: int, dims: Mapping[str, int]) -> tuple[Dim, int] | None:
    """The one unknown dim and its value; None when there is none."""
    found = _linear(size, dims)
    if found is None:
        return None
    dim, scale, offset = found
    value, rest = divmod(length - offset, scale)
    return None if rest or value < 0 else (dim, value)


def _check_size(
    function: str,
    dims: Mapping[str, int],
    node: Node,
    axis: int,
    size: Size,
    length: int,
    shape: tuple[int, ...],
) -> None:
    """Raise unless the axis has the size that its type says."""
    if isinstance(size, Poly) and any(d.name not in dims for d in dims_of(size)):
        text = f"{function}: {label(node)}: {length} (axis {axis}) does not fit {size}"
    elif (wanted := evaluate(size, dims)) != length:
        said = str(size) if isinstance(size, int) else f"{size} = {wanted}"
        text = f"{function}: input {label(node)} must have {said} on axis {axis}, got {length}"
    else:
        return
    got = f"{node.type.dtype.short}[{','.join(map(str, shape))}]"
    raise ShapeError(
        text,
        operands=(("wanted", f"{label(node)} {node.type}", node.origin), ("got", got, None)),
        origin=origins.find_origin(),
    )


def unbindable(inputs: Iterable[Node], needed: Iterable[Size]) -> Dim | None:
    """A dim that the needed sizes mention and no input can tell; None when all are known."""
    sizes = [size for n in inputs for size in n.type.shape if isinstance(size, Poly)]
    known = {size.name for size in sizes if isinstance(size, Dim)}
    for size in sizes:
        if _linear(size, known) is not None:
            known |= {d.name for d in dims_of(size)}
    return next((d for size in needed for d in dims_of(size) if d.name not in known), None)


def concrete(type: TensorType, dims: Mapping[str, int]) -> TensorType:
    """The type with integers for sizes."""
    return TensorType(type.dtype, tuple(evaluate(size, dims) for size in type.shape))


def concretise(op: Op, dims: Mapping[str, int], done: dict[Any, Any] | None = None) -> Op:
    """The op with integers for the sizes among its attributes.

    `done` holds the bodies of loops and their nodes that were made concrete, and gets the others:
    results of one loop have one body, also afterwards.
    """
    known = {} if done is None else done
    changed: dict[str, Any] = {}
    for field in fields(op):
        old = getattr(op, field.name)
        new = _concrete(old, dims, known)
        if new is not old:
            changed[field.name] = new
    return replace(op, **changed) if changed else op


def _concrete(value: Any, dims: Mapping[str, int], done: dict[Any, Any]) -> Any:
    if isinstance(value, Poly):
        missing = [d.name for d in dims_of(value) if d.name not in dims]
        if missing:
            raise NameError(f"the size of dim {missing[0]} is not known: no input given has it")
        return evaluate(value, dims)
    if isinstance(value, TensorType):
        shape = _concrete(value.shape, dims, done)
        return value if shape is value.shape else value.with_shape(shape)
    if isinstance(value, Body):
        if value not in done:
            done[value] = _concrete_body(value, dims, done)
        return done[value]
    if not isinstance(value, tuple):
        return value
    new = tuple(_concrete(item, dims, done) for item in value)
    return value if all(a is b for a, b in zip(new, value)) else new


def _concrete_body(body: Body, dims: Mapping[str, int], done: dict[Any, Any]) -> Body:
    for node in (*body.inputs, *body.nodes):
        if node not in done:
            op, inputs = concretise(node.op, dims, done), tuple(done[i] for i in node.inputs)
            type = op.infer(*(i.type for i in inputs))
            done[node] = Node(op, inputs, type, node.origin, node.step_part, node.name)
    return Body(tuple(done[n] for n in body.inputs), tuple(done[n] for n in body.outputs))
