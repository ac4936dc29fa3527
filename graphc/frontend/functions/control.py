"""Control flow in graphs: scan, cond, while_loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from graphc import origin as origins
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError, UnsupportedError
from graphc.frontend import ownership
from graphc.frontend.arguments import tensor
from graphc.frontend.functions.joining import concat
from graphc.frontend.functions.logic import check
from graphc.frontend.functions.operands import is_weak, promote_lifted, same_dtype
from graphc.frontend.functions.shapes import broadcast_to, reshape
from graphc.frontend.loop_builder import LoopBuilder, placeholder
from graphc.frontend.tensor import Tensor, handle, lift, literal, zeros_like
from graphc.frontend.typing import TensorLike
from graphc.ir import graph as graphs
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.base import Leaf
from graphc.ir.structure import Nested, Structure, flatten, flatten_like, map_structure
from graphc.ir.types import DType, TensorType, bool_, float32, int64

FARTHEST = 2**31  # iterations between two that are kept: a size that numpy takes


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Nested,
    xs: Nested = None,
    length: Size | None = None,
    reverse: bool = False,
    truncate: int | None = None,
    checkpoint: str | int | None = None,
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` for every row x of `xs`; return the last carry and all ys.

    `init`, `xs` and what `f` returns may be nested tuples, lists and dicts of tensors; rows are
    along axis 0 and `ys` has one for every iteration, in the order of `xs` also with `reverse`.
    Without `xs`, `length` says how often. Python numbers in `init` take the dtypes that the body
    returns (it is traced again where these are not the usual ones). The body may use any tensor
    around it; what does not depend on its arguments is computed once. `truncate=k` cuts gradients
    every k iterations. `checkpoint=k` keeps the carry of every k-th iteration for the gradient,
    which computes the others again ("sqrt": k is the root of the length, which must be known).

    Raises ShapeError where rows or carries do not fit, naming both types.
    """
    f = ownership.traced_repeatedly(f)  # all traces are one use of its layers
    firsts, carry_structure = flatten(init)
    arrays, row_structure = flatten(() if xs is None else xs)
    stacks = [tensor("scan", "xs", v) for v in arrays]
    firsts, stacks = _promoted("scan", firsts, stacks)
    init, xs = carry_structure.build(firsts), row_structure.build(stacks) if arrays else xs
    count = _length(stacks, length)
    _check_options(truncate, checkpoint)
    rows = [placeholder(f"row_{i}", _row(t.type)) for i, t in enumerate(stacks)]
    given = row_structure.build([handle(n) for n in rows]) if xs is not None else None

    def trace(starts: Sequence[Tensor]) -> _TracedBody:
        carries = [placeholder(f"carry_{i}", t.type) for i, t in enumerate(starts)]
        with origins.collecting_random() as drawn:
            result = f(carry_structure.build([handle(n) for n in carries]), given)
        nexts, ys, y_structure = _results(result, carry_structure, starts)
        return _TracedBody(carries, nexts, ys, y_structure, drawn)

    if checkpoint is not None:
        every = _every(checkpoint, count)
        if any(is_weak(v) for v in firsts):
            init = carry_structure.build(_trace_to_fixpoint("scan", firsts, stacks, trace)[0])
        return _in_chunks(f, init, xs, every, count, reverse, truncate)  # type: ignore[arg-type]
    starts, one = _trace_to_fixpoint("scan", firsts, stacks, trace)
    loop = LoopBuilder(
        one.carries,
        [t.node for t in starts],
        dict(zip(rows, (t.node for t in stacks))),
        count,
        reverse,
        one.drawn,
        truncate,
    )
    last, stacked = loop.build([t.node for t in one.nexts], [t.node for t in one.ys])
    found = None if one.structure is None else one.structure.build([handle(n) for n in stacked])
    return carry_structure.build([handle(n) for n in last]), found


@dataclass(eq=False)
class _TracedBody:
    """A traced body: its placeholders, the next carries and the stacked outputs."""

    carries: Sequence[Node]
    nexts: Sequence[Tensor]
    ys: Sequence[Tensor]
    structure: Structure | None
    drawn: Sequence[Node]


def _promoted(
    name: str, firsts: Sequence[TensorLike], stacks: Sequence[Tensor]
) -> tuple[list[Any], list[Tensor]]:
    """Arrays in the float dtype of the tensors among carries and rows; numbers as they are."""
    given = [v for v in firsts if not is_weak(v)]
    found = promote_lifted(name, [*stacks, *(tensor(name, "init", v) for v in given)])
    rest = iter(found[len(stacks) :])
    return [v if is_weak(v) else next(rest) for v in firsts], found[: len(stacks)]


def _trace_to_fixpoint(
    name: str,
    firsts: Sequence[TensorLike],
    stacks: Sequence[Tensor],
    trace: Callable[[Sequence[Tensor]], _TracedBody],
) -> tuple[list[Tensor], _TracedBody]:
    """The first carries and one iteration of them.

    Python numbers among them take the dtypes that the body returns, for which it is traced again
    where these are not the usual ones.
    """
    starts = [tensor(name, "init", v) for v in firsts]
    numbers = [i for i, v in enumerate(firsts) if is_weak(v)]
    like = _float_of((*stacks, *starts))
    starts, one = _first_trace(firsts, starts, like, trace)
    for _ in numbers:
        fitting = list(starts)
        for i in numbers:
            wanted = one.nexts[i].dtype
            if wanted.is_float or not starts[i].dtype.is_float:
                fitting[i] = lift(firsts[i], wanted)
        if [t.type for t in fitting] == [t.type for t in starts]:
            break
        starts, one = fitting, trace(fitting)
    _check_carries(name, starts, one.nexts)
    return starts, one


def _first_trace(
    firsts: Sequence[TensorLike],
    starts: list[Tensor],
    like: DType,
    trace: Callable[[Sequence[Tensor]], _TracedBody],
) -> tuple[list[Tensor], _TracedBody]:
    """Trace with Python integers as integers; where they meet floats, with one or all as floats."""
    try:
        return starts, trace(starts)
    except DTypeError:
        whole = [i for i, v in enumerate(firsts) if is_weak(v) and isinstance(v, int)]
        for chosen in (*([i] for i in whole), whole):
            floats = [lift(v, like) if i in chosen else starts[i] for i, v in enumerate(firsts)]
            with suppress(DTypeError):
                return floats, trace(floats)
        raise


def _float_of(tensors: Sequence[Tensor]) -> DType:
    """The widest dtype of the tensors that are floats; float32 where none is."""
    floats = [t.dtype for t in tensors if t.dtype.is_float]
    return max(floats, key=lambda dtype: dtype.bits, default=float32)


def _every(checkpoint: str | int, count: Size) -> int:
    """How many iterations a chunk has."""
    if not isinstance(count, int):
        _fail(UnsupportedError, f"scan: checkpoint needs a known length, got {count}")
    if checkpoint == "sqrt":
        return max(1, math.isqrt(count))  # type: ignore[arg-type]
    return min(int(checkpoint), FARTHEST)


def _in_chunks(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: TensorLike,
    every: int,
    count: int,
    reverse: bool,
    truncate: int | None,
) -> tuple[Any, Any]:
    """A loop over chunks, each a loop of its own: its gradient starts from the chunk's carry."""
    if truncate is not None:
        _fail(UnsupportedError, "scan: truncate and checkpoint exclude each other")
    whole = count - count % every

    def rows(start: int, stop: int) -> Any:
        return map_structure(lambda x: lift(x)[start:stop], xs) if xs is not None else None

    def chunks(x: TensorLike) -> Tensor:
        return reshape(lift(x)[:whole], (whole // every, every, *lift(x).shape[1:]))

    def one(carry: Any, part: Any) -> tuple[Any, Any]:
        return scan(f, carry, part, every, reverse)

    def main(carry: Any) -> tuple[Any, Any]:
        stacks = map_structure(chunks, xs) if xs is not None else None
        last, ys = scan(one, carry, stacks, whole // every, reverse)
        if ys is None:
            return last, None
        return last, map_structure(lambda y: reshape(y, (whole, *y.shape[2:])), ys)

    def rest(carry: Any) -> tuple[Any, Any]:
        return scan(f, carry, rows(whole, count), count - whole, reverse)

    if whole == count:
        return main(init)
    between, first = (rest if reverse else main)(init)
    last, second = (main if reverse else rest)(between)
    if first is None:
        return last, None
    head, tail = (second, first) if reverse else (first, second)
    leaves, structure = flatten(head)
    joined = [concat([a, b], axis=0) for a, b in zip(leaves, flatten(tail)[0])]
    return last, structure.build(joined)


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
    if truncate is not None and truncate < 1:
        _fail(ArgumentError, f"scan: truncate must be 1 or more, got {truncate!r}")
    number = isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1
    named = isinstance(checkpoint, str) and checkpoint == "sqrt"
    if checkpoint is not None and not number and not named:
        _fail(ArgumentError, f'scan: checkpoint must be "sqrt" or an int, got {checkpoint!r}')


def _results(
    result: Any, carry_structure: Structure, starts: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor], Structure | None]:
    if not isinstance(result, tuple) or len(result) != 2:
        _fail(ArgumentError, "scan: the body must return a pair (carry, y); y may be None")
    nexts = [
        lift(v, start.dtype) if is_weak(v) else tensor("scan", "the carry returned", v)
        for v, start in zip(
            flatten_like(carry_structure, result[0], "scan: the carry returned"), starts
        )
    ]
    nexts = [promote_lifted("scan", [t], start.dtype)[0] for t, start in zip(nexts, starts)]
    if result[1] is None:
        return nexts, [], None
    leaves, structure = flatten(result[1])
    return nexts, [tensor("scan", "y", v) for v in leaves], structure


def _check_carries(name: str, starts: Sequence[Tensor], nexts: Sequence[Tensor]) -> None:
    for i, (new, old) in enumerate(zip(nexts, starts)):
        if new.type != old.type:
            _fail(
                ShapeError,
                f"{name}: carry {i} starts as {old.type}, but the body returns {new.type}",
                old,
                new,
                hint="a carry keeps its type: convert the first one or the next one with astype"
                if new.shape == old.shape
                else None,
            )


def _fail(kind: type[GraphcError], text: str, *tensors: Tensor, hint: str | None = None) -> None:
    operands = graphs.describe(t.node for t in tensors)
    raise kind(text, operands=operands, origin=origins.find_origin(), hint=hint)


def _row(type: TensorType) -> TensorType:
    return type.with_shape(type.shape[1:])


# ------------------------------------------------------------------------------- choices


def cond(
    condition: TensorLike,
    true_function: Callable[..., Any],
    false_function: Callable[..., Any],
    *operands: TensorLike,
) -> Any:
    """What one of two functions of the operands returns; only that one is computed.

    `condition` is a bool of rank 0. Both functions return the same structure of tensors of the
    same types (ShapeError otherwise; a Python number takes the dtype of the other branch) and may
    use any tensor around them. Differentiable.
    """
    chosen = lift(condition)
    if chosen.type != TensorType(bool_, ()):
        _fail(ShapeError, f"cond: the condition must be bool[], got {chosen.type}", chosen)
    branches = []
    for function in (true_function, false_function):
        with origins.collecting_nodes() as made, origins.collecting_random() as drawn:
            branches.append((*flatten(function(*operands)), made, drawn))
    (one, structure, _, _), (two, other, _, _) = branches
    _check_structures(structure, other)
    sides = tuple(zip(*(_common_branch_type(a, b) for a, b in zip(one, two)))) or ((), ())
    _check_branches(*sides)
    results = [zeros_like(t).node for t in sides[0]]
    for leaves, (_, _, made, drawn), taken in zip(sides, branches, (chosen, ~chosen)):
        carries = [placeholder(f"result_{i}", t.type) for i, t in enumerate(leaves)]
        count = taken.astype("int64").node
        inside = [n for n in made if not isinstance(n.op, Leaf)]
        loop = LoopBuilder(carries, results, {}, 1, drawn=drawn, count=count, inside=inside)
        results, _ = loop.build([t.node for t in leaves], [])
    return structure.build([handle(n) for n in results])


def _common_branch_type(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """The common type of one result of both branches; Python numbers are weak."""
    if is_weak(a) and is_weak(b):
        first, second = same_dtype("cond", (a, b))
        return first, second
    first = tensor("cond", "a result", a) if not is_weak(a) else lift(a, lift(b).dtype)
    second = tensor("cond", "a result", b) if not is_weak(b) else lift(b, first.dtype)
    first, second = promote_lifted("cond", [first, second])
    return first, second


def _check_structures(structure: Structure, other: Structure) -> None:
    if str(structure) != str(other):
        _fail(ArgumentError, f"cond: one branch returns {structure}, the other one {other}")


def _check_branches(first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
    for i, (a, b) in enumerate(zip(first, second)):
        if a.type != b.type:
            _fail(
                ShapeError,
                f"cond: result {i} is {a.type} in one branch, {b.type} in the other",
                a,
                b,
            )


def while_loop(
    condition: Callable[[Any], Any], body: Callable[[Any], Any], init: Any, max_steps: int
) -> Any:
    """Repeat `carry = body(carry)` while `condition(carry)` holds, at most `max_steps` times.

    `carry` may be a nested structure; its types stay (ShapeError otherwise; Python numbers in
    `init` take the dtypes that the body returns). Differentiable: what the gradient needs is kept
    for `max_steps` iterations. A loop that would go on after `max_steps` is a RuntimeCheckError,
    and nothing is updated.
    """
    condition, body = ownership.traced_repeatedly(condition), ownership.traced_repeatedly(body)
    firsts, structure = flatten(init)
    firsts, _ = _promoted("while_loop", firsts, [])

    def trace(starts: Sequence[Tensor]) -> _TracedBody:
        going = _condition(condition(structure.build(starts)))
        carries = [placeholder(f"carry_{i}", t.type) for i, t in enumerate(starts)]
        with origins.collecting_random() as drawn:
            result = body(structure.build([handle(n) for n in carries]))
            nexts, _, _ = _results((result, None), structure, starts)
            fits = all(a.type == b.type for a, b in zip(nexts, starts))
            again = _condition(condition(structure.build(nexts))) if fits else going
        return _TracedBody(carries, nexts, [going, again], None, drawn)

    starts, one = _trace_to_fixpoint("while_loop", firsts, (), trace)
    carries, nexts, (going, again), drawn = one.carries, one.nexts, one.ys, one.drawn
    go, steps = placeholder("going", going.type), placeholder("steps", TensorType(int64, ()))
    loop = LoopBuilder(
        [*carries, go, steps],
        [*(t.node for t in starts), going.node, literal(0, int64).node],
        {},
        max_steps,
        drawn=drawn,
        condition=len(carries),
    )
    counted = handle(steps) + 1
    last, _ = loop.build([*(t.node for t in nexts), again.node, counted.node], [])
    done = ~handle(last[len(carries)])
    text = f"while_loop: goes on after max_steps={max_steps} iterations"
    results = [handle(n) for n in last[: len(carries)]]
    return structure.build([check(t, broadcast_to(done, t.shape), text) for t in results])


def _condition(value: TensorLike) -> Tensor:
    result = tensor("while_loop", "the condition", value)
    if result.type != TensorType(bool_, ()):
        _fail(ShapeError, f"while_loop: the condition must be bool[], got {result.type}", result)
    return result
