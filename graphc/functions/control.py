"""Loops and choices inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import graph as graphs
from graphc import origin as origins
from graphc.dims import Size
from graphc.errors import ArgumentError, ShapeError
from graphc.loop_builder import LoopBuilder, placeholder
from graphc.structure import Structure, flatten, flatten_like
from graphc.tensor import Tensor, face, lift
from graphc.types import TensorType


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
    carries = [placeholder(f"carry_{i}", t.type) for i, t in enumerate(starts)]
    rows = [placeholder(f"row_{i}", _row(t.type)) for i, t in enumerate(stacks)]
    with origins.drawing() as drawn:
        result = f(
            carry_structure.build([face(n) for n in carries]),
            row_structure.build([face(n) for n in rows]) if xs is not None else None,
        )
    nexts, ys, y_structure = _results(result, carry_structure, starts)
    loop = LoopBuilder(
        carries,
        [t.node for t in starts],
        dict(zip(rows, (t.node for t in stacks))),
        count,
        reverse,
        drawn,
        truncate,
    )
    last, stacked = loop.build([t.node for t in nexts], [t.node for t in ys])
    found = y_structure.build([face(n) for n in stacked]) if y_structure is not None else None
    return carry_structure.build([face(n) for n in last]), found


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


def _row(type: TensorType) -> TensorType:
    return type.with_shape(type.shape[1:])
