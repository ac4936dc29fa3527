"""Loops and choices inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import graph as graphs
from graphc import origin as origins
from graphc.dims import Size
from graphc.errors import ArgumentError, ShapeError
from graphc.graph import Node, topological
from graphc.ops import leaf
from graphc.ops.loop import Body, Scan
from graphc.rebuild import replace_nodes
from graphc.ops.base import View
from graphc.structure import Structure, flatten, flatten_like
from graphc.tensor import Tensor, face, lift
from graphc.types import TensorType

# Leaves that cost nothing: every iteration has its own.
_OWN = (leaf.Literal, leaf.SizeOf, leaf.Iota)


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Size | None = None,
    reverse: bool = False,
    truncate: int | None = None,
    checkpoint: str | int | None = None,
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` for every row x of `xs`; return the last carry and all ys.

    `init`, `xs` and what `f` returns may be nested tuples, lists and dicts of tensors; rows are
    along axis 0 and `ys` has one for every iteration, in the order of `xs` also with `reverse`.
    Without `xs`, `length` says how often. The body may use any tensor around it; what does not
    depend on its arguments is computed once. `truncate=k` cuts gradients every k iterations.
    Raises ShapeError where rows or carries do not fit, naming both types.
    """
    firsts, carry_structure = flatten(init)
    arrays, row_structure = flatten(() if xs is None else xs)
    starts = [lift(v) for v in firsts]
    stacks = [lift(v) for v in arrays]
    count = _length(stacks, length)
    _check_options(truncate, checkpoint)
    carries = [_placeholder(f"carry_{i}", t.type) for i, t in enumerate(starts)]
    rows = [_placeholder(f"row_{i}", _row(t.type)) for i, t in enumerate(stacks)]
    with origins.drawing() as drawn:
        result = f(
            carry_structure.build([face(n) for n in carries]),
            row_structure.build([face(n) for n in rows]) if xs is not None else None,
        )
    nexts, ys, y_structure = _results(result, carry_structure, starts)
    loop = close([t.node for t in nexts + ys], carries, rows, count, drawn)
    outputs = loop.results([t.node for t in starts], [t.node for t in stacks], reverse, truncate)
    last = carry_structure.build([face(n) for n in outputs[: len(carries)]])
    stacked = [face(n) for n in outputs[len(carries) :]]
    return last, (y_structure.build(stacked) if y_structure is not None else None)


def _length(stacks: Sequence[Tensor], length: Size | None) -> Size:
    for t in stacks:
        if not t.ndim:
            _fail(ShapeError, f"scan: xs need an axis to go along, got {t.type}", t)
    if not stacks and length is None:
        _fail(ArgumentError, "scan: without xs, length must be given")
    count: Size = stacks[0].shape[0] if length is None else length
    for t in stacks:
        if t.shape[0] != count:
            _fail(ShapeError, f"scan: {count} iterations, but {t.shape[0]} rows in {t.type}", t)
    return count


def _check_options(truncate: int | None, checkpoint: str | int | None) -> None:
    if truncate is not None and (not isinstance(truncate, int) or truncate < 1):
        _fail(ArgumentError, f"scan: truncate must be 1 or more, got {truncate!r}")
    if checkpoint is not None and checkpoint != "sqrt" and not isinstance(checkpoint, int):
        _fail(ArgumentError, f'scan: checkpoint must be "sqrt" or an int, got {checkpoint!r}')


def _results(
    result: Any, carry_structure: Structure, starts: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor], Structure | None]:
    if not isinstance(result, tuple) or len(result) != 2:
        _fail(ArgumentError, "scan: the body must return a pair (carry, y); y may be None")
    nexts = [lift(v) for v in flatten_like(carry_structure, result[0], "scan: the carry returned")]
    for i, (new, old) in enumerate(zip(nexts, starts)):
        if new.type != old.type:
            _fail(
                ShapeError,
                f"scan: carry {i} starts as {old.type}, but the body returns {new.type}",
                old,
                new,
            )
    if result[1] is None:
        return nexts, [], None
    leaves, structure = flatten(result[1])
    return nexts, [lift(v) for v in leaves], structure


def _fail(kind: type[Exception], text: str, *tensors: Tensor) -> None:
    raise kind(  # type: ignore[call-arg]
        text, operands=graphs.describe(t.node for t in tensors), origin=origins.find_origin()
    )


# ------------------------------------------------------------------------------- bodies


def _row(type: TensorType) -> TensorType:
    return type.with_shape(type.shape[1:])


def _placeholder(name: str, type: TensorType) -> Node:
    return graphs.apply(leaf.Input(name, type), name=name)


class Closed:
    """An iteration that refers to nothing outside, and what it read there."""

    def __init__(
        self, body: Body, carries: int, captured: list[Node], drawn: list[Node], length: Size
    ) -> None:
        self.body, self.carries, self.length = body, carries, length
        self.captured = captured  # nodes outside that all iterations read
        self.drawn = drawn  # stacks of random bits, a row for every iteration

    def results(
        self,
        starts: Sequence[Node],
        stacks: Sequence[Node],
        reverse: bool,
        truncate: int | None = None,
    ) -> list[Node]:
        """The last carries and the stacks of a loop."""
        inputs = (*starts, *stacks, *self.drawn, *self.captured)
        scanned = len(stacks) + len(self.drawn)
        return [
            graphs.apply(
                Scan(self.body, self.length, self.carries, scanned, reverse, k, truncate), *inputs
            )
            for k in range(len(self.body.outputs))
        ]


def close(
    outputs: Sequence[Node],
    carries: Sequence[Node],
    rows: Sequence[Node],
    length: Size,
    drawn: Sequence[Node] = (),
) -> Closed:
    """Make a body of nodes that depend on carries and rows; the rest stays outside.

    Random bits drawn by the body become a row of their own for every iteration.
    """
    order = topological(outputs)
    inside = {*carries, *rows, *(n for n in drawn if n in set(order))}
    own = [n for n in order if n in inside and isinstance(n.op, leaf.RandomBits)]
    for node in order:
        if any(i in inside for i in node.inputs):
            inside.add(node)
    read = dict.fromkeys(i for n in order if n in inside for i in n.inputs if i not in inside)
    read |= dict.fromkeys(n for n in outputs if n not in inside)
    # a view is no work: the body has its own, of what it shows
    captured = [n for n in dict.fromkeys(map(base_of, read)) if not isinstance(n.op, _OWN)]
    new: dict[Node, Node] = {
        n: _placeholder(f"captured_{i}", n.type) for i, n in enumerate(captured)
    }
    new |= {n: _placeholder(f"random_{i}", n.type) for i, n in enumerate(own)}
    replaced = replace_nodes(outputs, new)
    inputs = (*carries, *rows, *(new[n] for n in own), *(new[n] for n in captured))
    body = Body(inputs, tuple(replaced[n] for n in outputs))
    stacks = [_stacked_bits(n, length) for n in own]
    return Closed(body, len(carries), captured, stacks, length)


def base_of(node: Node) -> Node:
    """What a view shows."""
    while isinstance(node.op, View):
        (node,) = node.inputs
    return node


def _stacked_bits(node: Node, length: Size) -> Node:
    assert isinstance(node.op, leaf.RandomBits)
    with origins.inherit(node.origin, node.part):
        op = leaf.RandomBits((length, *node.op.shape), node.op.stream)
        return graphs.apply(op, name=node.name)
