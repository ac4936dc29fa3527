"""Joining tensors, and splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend.functions.operands import check_sizes, fail, one_axis, same_dtype, to_shape
from graphc.frontend.functions.shapes import broadcast_to, expand_dims, flatten, narrow, reshape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size, divide_exactly
from graphc.ir.ops.join import Concat

MAX_DIFFERENCES = 1000  # of an axis of unknown size


def concat(xs: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """Tensors one after the other along an axis; None joins all elements into one axis."""
    tensors = same_dtype("concat", list(xs)) if xs else []
    if not tensors:
        fail(ArgumentError, "concat: needs one tensor or more, got none")
    if axis is None:
        tensors, axis = [flatten(t) for t in tensors], 0
    axis = one_axis("concat", axis, tensors[0].ndim, tensors)
    if len({t.ndim for t in tensors}) == 1 and len(tensors) > 1:
        nonempty = [t for t in tensors if t.shape[axis] != 0]
        tensors = nonempty if nonempty and same_elsewhere(tensors, axis) else tensors
    return tensors[0] if len(tensors) == 1 else lift_op(Concat(axis), *tensors)


def same_elsewhere(tensors: Sequence[Tensor], axis: int) -> bool:
    """Whether all sizes but those of one axis agree."""
    others = [t.shape[:axis] + t.shape[axis + 1 :] for t in tensors]
    return all(o == others[0] for o in others)


def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    tensors = same_dtype("stack", list(xs)) if xs else []
    if not tensors:
        fail(ArgumentError, "stack: needs one tensor or more, got none")
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            fail(
                ShapeError,
                f"stack: shapes differ: {tensors[0].type} (input 0) vs {t.type} (input {i})",
                tensors,
            )
    axis = one_axis("stack", axis, tensors[0].ndim + 1, tensors)
    return concat([expand_dims(t, axis) for t in tensors], axis)


def unstack(x: TensorLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis of known size, without that axis."""
    x = lift(x)
    axis = one_axis("unstack", axis, x.ndim, (x,))
    size = x.shape[axis]
    if not isinstance(size, int):
        fail(ShapeError, f"unstack: axis {axis} of {x.type} has the unknown size {size}", (x,))
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return tuple(reshape(narrow(x, axis, i, 1), shape) for i in range(size))


def split(x: TensorLike, parts: int | Sequence[Size], axis: int = 0) -> list[Tensor]:
    """Equal parts along an axis, or parts of the given sizes, which add up to the whole."""
    x = lift(x)
    axis = one_axis("split", axis, x.ndim, (x,))
    whole = x.shape[axis]
    sizes: list[Size]
    if isinstance(parts, (int, np.integer)) and not isinstance(parts, bool):
        parts = int(parts)
        each = divide_exactly(whole, parts) if parts > 0 else None
        if each is None:
            fail(ShapeError, f"split: {whole} (axis {axis}) is no multiple of {parts}", (x,))
        sizes = [each] * parts
    else:
        sizes = list(to_shape("split", parts))
        check_sizes("split", tuple(sizes))
    total: Size = 0
    result = []
    for size in sizes:
        result.append((total, size))
        total = total + size
    if total != whole:
        fail(ShapeError, f"split: the sizes add up to {total}, axis {axis} has {whole}", (x,))
    return [narrow(x, axis, start, size) for start, size in result]


def repeat(x: TensorLike, repeats: int, axis: int | None = None) -> Tensor:
    """Every element several times in a row along an axis (None: of all elements in one axis)."""
    x = lift(x)
    check_counts("repeat", (repeats,), x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = one_axis("repeat", axis, x.ndim, (x,))
    apart = expand_dims(x, axis + 1)
    shape = (*apart.shape[: axis + 1], repeats, *apart.shape[axis + 2 :])
    merged = (*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :])
    return reshape(broadcast_to(apart, shape), merged)


def check_counts(name: str, counts: Sequence[Any], x: Tensor) -> None:
    """Raise unless all are ints that are not negative."""
    for count in counts:
        whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
        if not whole or count < 0:
            fail(ArgumentError, f"{name}: counts are ints, 0 or more, got {count!r}", (x,))


def tile(x: TensorLike, repetitions: int | Sequence[int]) -> Tensor:
    """The whole tensor several times along every axis."""
    x = lift(x)
    given = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    check_counts("tile", given, x)
    given = tuple(int(n) for n in given)
    counts = (1,) * (x.ndim - len(given)) + given
    x = reshape(x, (1,) * (len(counts) - x.ndim) + x.shape)
    apart = reshape(x, tuple(s for size in x.shape for s in (1, size)))
    shape = tuple(s for pair in zip(counts, x.shape) for s in pair)
    merged = tuple(count * size for count, size in zip(counts, x.shape))
    return reshape(broadcast_to(apart, shape), merged)


def diff(x: TensorLike, axis: int = -1, n: int = 1) -> Tensor:
    """The differences of neighbours along an axis, taken n times; none of none."""
    x = lift(x)
    axis = one_axis("diff", axis, x.ndim, (x,))
    check_counts("diff", (n,), x)
    whole = x.shape[axis]
    if not isinstance(whole, int) and n > MAX_DIFFERENCES:
        text = f"diff: n is at most {MAX_DIFFERENCES} for an axis of unknown size, got {n}"
        fail(ArgumentError, text, (x,))
    for _ in range(min(n, whole) if isinstance(whole, int) else n):
        size = x.shape[axis]
        rest = max(size - 1, 0) if isinstance(size, int) else size - 1
        first = min(size, 1) if isinstance(size, int) and rest == 0 else 1
        x = narrow(x, axis, first, rest) - narrow(x, axis, 0, rest)
    return reshape(x, x.shape)


def meshgrid(*xs: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid: each vector broadcast over the axes of the others.

    With "xy" the first two axes of the results are swapped, with "ij" they are not.
    """
    if indexing not in ("xy", "ij"):
        fail(ArgumentError, f'meshgrid: indexing is "xy" or "ij", got {indexing!r}')
    tensors = [lift(x) for x in xs]
    for i, t in enumerate(tensors):
        if t.ndim != 1:
            fail(ShapeError, f"meshgrid: needs vectors, got {t.type} (input {i})", tensors)
    order = list(range(len(tensors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = 1, 0
    shape = tuple(tensors[i].shape[0] for i in order)
    places = [tuple(s if i == k else 1 for i, s in zip(order, shape)) for k in range(len(order))]
    return [broadcast_to(reshape(t, place), shape) for t, place in zip(tensors, places)]
