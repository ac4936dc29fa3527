"""Parts of tensors: x[...], rows at indices that are data, and their transposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, AxisError, DTypeError, ShapeError
from graphc.frontend.arguments import check_operands
from graphc.frontend.functions.creation import iota, size_as
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.operands import (
    cast,
    expand,
    fail,
    lift_like,
    one_axis,
    scattered,
    to_dtype,
)
from graphc.frontend.functions.shapes import broadcast_arrays, expand_dims, permute_dims, reshape
from graphc.frontend.symbols import check_shape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import DTypeLike, Index, TensorLike
from graphc.ir.dims import Poly, Size, Sizes, ceildiv, max_size, min_size
from graphc.ir.ops.elementwise_logic import Equal
from graphc.ir.ops.failure import VALUE
from graphc.ir.ops.gather import Guard, ScatterAdd, Take
from graphc.ir.ops.leaf import Constant
from graphc.ir.ops.view import Slice, shape_text
from graphc.ir.types import int32, int64, uint64


def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """The slices of x at integer indices along an axis, whose place the indices' axes take.

    Negative indices count from the end; out of range is a RuntimeCheckError.
    """
    x, indices = lift(x), integers("take", indices)
    axis = one_axis("take", axis, x.ndim, (x, indices))
    rows = permute_dims(x, (axis, *(i for i in range(x.ndim) if i != axis)))
    taken = lift_op(Take(), rows, indices)
    return permute_dims(taken, placed(indices.ndim, axis, taken.ndim))


def placed(count: int, axis: int, ndim: int) -> tuple[int, ...]:
    """The order that moves the first `count` axes so that they start at `axis`."""
    rest = tuple(range(count, ndim))
    return (*rest[:axis], *range(count), *rest[axis:])


def integers(name: str, indices: TensorLike) -> Tensor:
    """Indices as a tensor of integers, which all fit into int64."""
    tensor = narrowed(name, lift(indices))
    if not tensor.dtype.is_integer:
        fail(
            DTypeError,
            f"{name}: indices must be integers, got {tensor.dtype.name} (input 1)",
            (tensor,),
            hint='convert them: indices.astype("int32")',
        )
    return tensor


def narrowed(name: str, indices: Tensor) -> Tensor:
    """Indices as they are, but uint64 as int64, after a check that they do not wrap around."""
    if indices.dtype != uint64:
        return indices
    fits = indices < expand(lift(2**63, uint64), indices.shape)
    guard = Guard(f"{name}: an index is out of range, whatever the size of the axis{VALUE}")
    return cast(lift_op(guard, indices, fits), int64)


def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """x with slices of `updates` added along an axis at integer indices, each as often as named.

    `updates` has the shape of `take(x, indices, axis)` or broadcasts to it.
    """
    x, indices = lift(x), integers("scatter_add", indices)
    axis = one_axis("scatter_add", axis, x.ndim, (x, indices))
    updates = lift_like("scatter_add", updates, x)
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    shape = x.shape[:axis] + indices.shape + x.shape[axis + 1 :]
    if not can_expand(updates.shape, shape):
        fail(
            ShapeError,
            f"scatter_add: updates must broadcast to {shape_text(shape)}, got {updates.type}"
            " (input 2)",
            (x, indices, updates),
        )
    back = placed(indices.ndim, axis, len(shape))
    rows = permute_dims(expand(updates, shape), inverse(back))
    added = scattered(ScatterAdd(), permute_dims(x, order), indices, rows)
    return permute_dims(added, inverse(order))


def can_expand(source: Sizes, shape: Sizes) -> bool:
    """Whether a shape broadcasts to another one."""
    own = shape[len(shape) - len(source) :]
    return len(source) <= len(shape) and all(a in (1, b) for a, b in zip(source, own))


def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The inverse of a permutation."""
    return tuple(order.index(i) for i in range(len(order)))


def one_hot(indices: TensorLike, n: Size, dtype: DTypeLike = "float32") -> Tensor:
    """1 at the place that each index names along a new last axis of size n, 0 elsewhere.

    An index below 0 or not below n is a RuntimeCheckError.
    """
    index = integers("one_hot", indices)
    index = index if index.dtype == int32 else cast(index, int64)
    (n,) = check_shape("one_hot", n, dims=True)
    limit: Any = lift_size(n, index) if isinstance(n, Poly) else n
    inside = (index >= 0) & (index < limit)
    message = f"one_hot: an index is not from 0 to {{last}}{VALUE}"
    index = lift_op(Guard(message, n), index, inside)
    shape = (*index.shape, n)
    places = iota(shape, len(shape) - 1, index.dtype)
    hot = lift_op(Equal(), expand(expand_dims(index, -1), shape), places)
    return cast(hot, to_dtype("one_hot", dtype))


def lift_size(n: Size, like: Tensor) -> Tensor:
    """A size in the dtype of indices."""
    return size_as(n, like.dtype)


# -------------------------------------------------------------------------------- x[...]


def getitem(x: Tensor, key: Index) -> Tensor:
    """x[key]: ints, slices with any step, None, `...`, and integer or known bool arrays.

    One integer tensor is `take`; several broadcast and index together, as in numpy. A slice
    between ints is cut at the ends of its axis: `x[:512]` has min(n,512) elements of n, and an
    axis of unknown size counts as one of at least one element. Ends that are sizes themselves
    must lie inside, which is checked when sizes are known.
    """
    parts = normalize_index(x, key)
    starts: list[Size] = []
    sizes: list[Size] = []
    steps: list[int] = []
    for axis, part in enumerate(p for p in parts if p is not None):
        start, size, step = axis_range(x, axis, part)
        starts.append(start)
        sizes.append(size)
        steps.append(step)
    whole = tuple(sizes) == x.shape and all(s == 0 for s in starts) and set(steps) <= {1}
    sliced = x if whole else lift_op(Slice(tuple(starts), tuple(sizes), tuple(steps)), x)
    remaining = iter(sizes)
    shape: list[Size] = []
    chosen: list[tuple[int, Tensor]] = []
    for part in parts:
        if isinstance(part, Tensor):
            chosen.append((len(shape), part))
        if part is None:
            shape.append(1)
        else:
            size = next(remaining)
            if not isinstance(part, int):
                shape.append(size)
    result = reshape(sliced, tuple(shape))
    together = adjacent(parts) and not split_by_dots(key)
    return gather_joint(result, chosen, together) if chosen else result


def normalize_index(x: Tensor, key: Index) -> list[Any]:
    """One int, slice or tensor per axis of x, and None for every new axis."""
    given = [known_index(x, k) for k in (key if isinstance(key, tuple) else (key,))]
    parts: list[Any] = [p for group in given for p in group]
    used = sum(p is not None and p is not Ellipsis for p in parts)
    dots = [i for i, p in enumerate(parts) if p is Ellipsis]
    if used > x.ndim:
        fail(AxisError, f"index: {used} indices for {x.type}, which has {x.ndim} axes", (x,))
    if len(dots) > 1:
        fail(ArgumentError, "index: `...` may stand once", (x,))
    place = dots[0] if dots else len(parts)
    missing: list[Any] = [slice(None)] * (x.ndim - used)
    return expand_masks(x, parts[:place] + missing + parts[place + 1 :])


@dataclass(frozen=True, eq=False)
class MaskPositions:
    """The positions along one axis at which a bool array is true, and its size there."""

    positions: Tensor
    size: int


def expand_masks(x: Tensor, parts: list[Any]) -> list[Any]:
    """The parts with the positions of masks, whose sizes must be those of their axes."""
    axis, result = 0, []
    for part in parts:
        if isinstance(part, MaskPositions) and x.shape[axis] != part.size:
            fail(
                ShapeError,
                f"index: the mask has {part.size} elements for axis {axis} of {x.type},"
                f" which has size {x.shape[axis]}",
                (x,),
            )
        result.append(part.positions if isinstance(part, MaskPositions) else part)
        axis += part is not None
    return result


def known_index(x: Tensor, part: Any) -> list[Any]:
    """One element of an index as what `normalize_index` returns; a bool array gives several."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return [part]
    if isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_)):
        return [int(part)]
    if isinstance(part, (list, np.ndarray)):
        check_operands("index", (x, part))
        return known_array(x, np.asarray(part))
    mask = isinstance(part, Tensor) and part.dtype.kind == "b"
    if mask and isinstance(part.node.op, Constant):
        return known_array(x, part.node.op.value)
    if not isinstance(part, (Poly, Tensor)):
        wanted = "ints, slices, None, `...` and integer tensors"
        fail(ArgumentError, f"index: takes {wanted}, got {part!r}", (x,))
    if isinstance(part, Tensor) and not part.dtype.is_integer:
        hint = 'convert it: index.astype("int32")'
        if part.dtype.kind == "b":
            hint = "the number of true elements is not known: use gx.where(mask, x, other)"
        fail(DTypeError, f"index: must be integers, got {part.dtype.name}", (x, part), hint)
    return [part]


def known_array(x: Tensor, array: Any) -> list[Any]:
    """A numpy array of integers, or of bool: the positions that are true."""
    if array.dtype == bool:
        places = zip(np.nonzero(array), array.shape)
        return [MaskPositions(lift(i.astype(np.int32)), size) for i, size in places]
    if array.dtype.kind not in "iu" and array.size:
        fail(DTypeError, f"index: must be integers, got {array.dtype}", (x,))
    if array.dtype == np.uint64 and (array >= 2**63).any():
        return [lift(array)]  # out of range, which is found when the function runs
    small = array.dtype.itemsize < 8 and array.dtype != np.uint32
    return [lift(array.astype(np.int32 if small else np.int64))]


def axis_range(x: Tensor, axis: int, part: Any) -> tuple[Size, Size, int]:
    """Start, size and step along one axis."""
    size = x.shape[axis]
    if isinstance(part, slice):
        return slice_range(x, axis, part)
    if isinstance(part, Tensor):
        return 0, size, 1
    if isinstance(part, Poly):
        return part, 1, 1
    if isinstance(size, int) and not -size <= part < size:
        fail(
            AxisError,
            f"index: {part} is out of range for axis {axis} of {x.type}, which has size {size}",
            (x,),
        )
    return (part if part >= 0 else size + part), 1, 1


def slice_range(x: Tensor, axis: int, part: slice) -> tuple[Size, Size, int]:
    """Start, size and step of a slice; cut to the axis where its size is known."""
    size = x.shape[axis]
    step = 1 if part.step is None else part.step
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step == 0:
        fail(ArgumentError, f"index: the step of a slice is an int and not 0, got {step!r}", (x,))
    for end in (part.start, part.stop):
        if end is not None and not isinstance(end, (int, np.integer, Poly)):
            fail(ArgumentError, f"index: slices end at ints, got {end!r} (axis {axis})", (x,))
    if isinstance(size, int) and not isinstance(part.start, Poly) | isinstance(part.stop, Poly):
        known = range(*part.indices(size))
        return (known.start if len(known) else 0), len(known), known.step
    step = int(step)
    if not isinstance(part.start, Poly) | isinstance(part.stop, Poly):
        return cut_range(size, part.start, part.stop, step)
    first: Size = 0 if step > 0 else size - 1
    last: Size = size if step > 0 else -1
    start = first if part.start is None else from_front(part.start, size)
    stop = last if part.stop is None else from_front(part.stop, size)
    count = ceildiv(stop - start, step) if step > 0 else ceildiv(start - stop, -step)
    if isinstance(count, int) and count < 0:
        count = 0
    return start, count, step


def cut_range(size: Size, start: Any, stop: Any, step: int) -> tuple[Size, Size, int]:
    """The part of a slice between ints that lies on an axis of unknown size, of 1 at least."""
    ends = [None if end is None else int(end) for end in (start, stop)]
    first, last = (end if step > 0 or end is None else -1 - end for end in ends)
    if first is not None and last is not None and (first < 0) == (last < 0) and last <= first:
        return 0, 0, step
    # backwards all is mirrored: element i of a slice from the front is element size - 1 - i
    low: Size = max_size(from_front(first or 0, size), 0, floor=1)
    high = size if last is None else min_size(from_front(last, size), size, floor=1)
    count = ceildiv(max_size(high - low, 0, floor=1), abs(step))
    low = min_size(low, size, floor=1)
    return (low if step > 0 else size - 1 - low), count, step


def from_front(end: Any, size: Size) -> Size:
    """An end of a slice counted from the front."""
    if isinstance(end, Poly):
        return end
    return int(end) if end >= 0 else size + int(end)


def adjacent(parts: list[Any]) -> bool:
    """Whether the advanced indices are adjacent."""
    places = [i for i, p in enumerate(parts) if isinstance(p, (int, Tensor))]
    return places[-1] - places[0] + 1 == len(places) if places else True


def split_by_dots(key: Index) -> bool:
    """Whether `...` separates two advanced indices, even where it stands for no axis."""
    given = key if isinstance(key, tuple) else (key,)
    dots = [i for i, k in enumerate(given) if k is Ellipsis]
    sides = (given[: dots[0]], given[dots[0] + 1 :]) if dots else ((), ())
    return all(any(k is not None and not isinstance(k, slice) for k in side) for side in sides)


def gather_joint(x: Tensor, chosen: list[tuple[int, Tensor]], contiguous: bool) -> Tensor:
    """x at index tensors on several axes, which broadcast to one shape."""
    first = chosen[0][0] if contiguous else 0
    if len(chosen) == 1:
        axis, index = chosen[0]
        taken = take(x, index, axis)
        if axis == first:
            return taken
        front = (
            *range(axis, axis + index.ndim),
            *range(axis),
            *range(axis + index.ndim, taken.ndim),
        )
        return permute_dims(taken, front)
    axes = tuple(axis for axis, _ in chosen)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    sizes = tuple(x.shape[a] for a in axes)
    flat = flat_position([index for _, index in chosen], sizes, axes)
    rows = permute_dims(x, axes + rest)
    count: Size = 1
    for s in sizes:
        count = count * s
    rows = reshape(rows, (count, *rows.shape[len(axes) :]))
    taken = lift_op(Take(), rows, flat)
    return permute_dims(taken, placed(flat.ndim, first, taken.ndim))


def flat_position(indices: list[Tensor], sizes: Sizes, axes: tuple[int, ...]) -> Tensor:
    """The row-major position that indices on several axes name, each checked on its own."""
    position: Tensor | None = None
    for index, size, axis in zip(broadcast_arrays(*indices), sizes, axes):
        index, limit = cast(narrowed("index", index), int64), size_as(size, int64)
        inside = (index >= -limit) & (index < limit)
        message = f"index: out of range for axis {axis} of size {{size}}{VALUE}"
        index = lift_op(Guard(message, size), index, inside)
        index = where(index < 0, index + limit, index)
        position = index if position is None else position * limit + index
    if position is None:
        fail(ShapeError, "index: no indices")
    return position
