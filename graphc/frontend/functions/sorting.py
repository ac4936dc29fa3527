"""Sorts, searches, the first few of an order, and what is found by sorting.

NaN is larger than every number: last in ascending, first in descending order. Sizes that data
decide are declared: results have `size` places, and a count says how many of them are meant.
"""

from __future__ import annotations

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend.functions.creation import asarray, full, iota, size_as
from graphc.frontend.functions.logic import where
from graphc.frontend.functions.operands import cast, fail, is_weak, one_axis, same_dtype, weak
from graphc.frontend.functions.reductions import any as any_
from graphc.frontend.functions.reductions import sum as sum_
from graphc.frontend.functions.scatter import put_rows, take_along_axis
from graphc.frontend.functions.shapes import expand_dims, flatten, narrow, reshape
from graphc.frontend.tensor import Tensor, lift, lift_op, literal
from graphc.frontend.typing import TensorLike
from graphc.ir import ops
from graphc.ir.dims import Poly, Size, product
from graphc.ir.ops.indexing import SET
from graphc.ir.ops.sorting import ArgSort, SearchSorted, Sort, TopK
from graphc.ir.types import bool_, int64

MAX_COMPARED_VALUES = 32  # elements that are compared with each other rather than searched for


def sort(x: TensorLike, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements along an axis in order; `stable` or not, equal ones keep theirs.

    NaN is larger than every number: last, or first if `descending`.
    """
    x = lift(x)
    return lift_op(Sort(one_axis("sort", axis, x.ndim, (x,)), bool(descending)), x)


def argsort(x: TensorLike, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions (int64) that sort an axis; equal elements in ascending order of position.

    NaN is larger than every number: last, or first if `descending`.
    """
    x = lift(x)
    return lift_op(ArgSort(one_axis("argsort", axis, x.ndim, (x,)), bool(descending)), x)


def topk(x: TensorLike, k: Size, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest (smallest) elements along an axis in order, and their positions (int64).

    Equal elements are taken in ascending order of position; NaN is larger than every number. The
    gradient goes to the elements.
    """
    x = lift(x)
    axis = one_axis("topk", axis, x.ndim, (x,))
    if isinstance(k, bool) or not isinstance(k, (int, Poly)):
        fail(ArgumentError, f"topk: k is an int or a dim, got {k!r}", (x,))
    positions = lift_op(TopK(k, axis, bool(largest)), x)
    return take_along_axis(x, positions, axis), positions


def searchsorted(
    x1: TensorLike, x2: TensorLike, side: str = "left", sorter: TensorLike | None = None
) -> Tensor:
    """Where the values x2 belong in the ascending vector x1 (int64).

    "left": how many elements are smaller; "right": how many are not larger, NaN being larger than
    every number. `sorter` are the positions that sort x1.
    """
    if side not in ("left", "right"):
        fail(ArgumentError, f'searchsorted: side is "left" or "right", got {side!r}')
    x, values = same_dtype("searchsorted", [x1, x2])
    if sorter is not None:
        x = take_along_axis(x, sorter, 0)
    return lift_op(SearchSorted(side == "right"), x, values)


def isin(x: TensorLike, values: TensorLike, invert: bool = False) -> Tensor:
    """Whether each element is equal to one of the values."""
    a, b = same_dtype("isin", [x, values])
    b = flatten(b)
    (count,) = b.shape
    if isinstance(count, int) and count <= MAX_COMPARED_VALUES:
        found = any_(expand_dims(a, a.ndim) == b, axis=-1)
    else:
        ordered = lift_op(Sort(0), b)
        right, left = (lift_op(SearchSorted(r), ordered, a) for r in (True, False))
        found = (right > left) & (a == a)
    return ~found if invert else found


# ------------------------------------------------------------- sizes that data decide


def unique_values(x: TensorLike, size: Size, fill_value: TensorLike = 0) -> tuple[Tensor, Tensor]:
    """The different elements in ascending order, and how many there are (int64, rank 0).

    There are `size` places; those without an element hold `fill_value`. Of more elements than
    places the first are kept, the count is that of all. Every NaN is an element of its own.
    """
    values = lift_op(Sort(0), flatten(lift(x)))
    return compress("unique_values", values, starts_run(values), size, fill_value)


def unique_counts(
    x: TensorLike, size: Size, fill_value: TensorLike = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """As `unique_values`, and how often each occurs (int64; 0 in places without an element)."""
    values = lift_op(Sort(0), flatten(lift(x)))
    first = starts_run(values)
    found, count = compress("unique_counts", values, first, size, fill_value)
    end = size_as(values.shape[0], int64)
    begins, _ = compress("unique_counts", positions(values), first, size + 1, end)
    many = narrow(begins, 0, 1, size) - narrow(begins, 0, 0, size)
    return found, many, count


def unique_inverse(
    x: TensorLike, size: Size, fill_value: TensorLike = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """As `unique_values`, and for every element of x the place of its value (int64)."""
    x = lift(x)
    flat = flatten(x)
    order = lift_op(ArgSort(0), flat)
    values = take_along_axis(flat, order, 0)
    first = starts_run(values)
    found, count = compress("unique_inverse", values, first, size, fill_value)
    run = lift_op(ops.CumulativeSum(0), cast(first, int64)) - 1
    inverse = put_rows(SET, positions(values), order, run)
    return found, reshape(inverse, x.shape), count


def unique_all(
    x: TensorLike, size: Size, fill_value: TensorLike = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """As `unique_values`, with the place of each value's first occurrence in flattened x, the
    inverse and the counts: values, indices, inverse, counts, how many."""
    x = lift(x)
    order = lift_op(ArgSort(0), flatten(x))  # stable: of equal elements the first comes first
    first = starts_run(take_along_axis(flatten(x), order, 0))
    indices, _ = compress("unique_all", order, first, size, 0)
    values, inverse, count = unique_inverse(x, size, fill_value)
    return values, indices, inverse, unique_counts(x, size, fill_value)[1], count


def nonzero(
    x: TensorLike, size: Size, fill_value: TensorLike = 0
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Where x is not 0: one vector of positions (int64) an axis, in row-major order, and how many.

    There are `size` places; those without an element hold `fill_value`. Of more elements than
    places the first are kept, the count is that of all.
    """
    x = lift(x)
    if x.ndim == 0:
        fail(ShapeError, f"nonzero: needs an axis, got {x.type}", (x,))
    mask = flatten(x != 0 if x.dtype.kind != "b" else x)
    indices = [flatten(iota(x.shape, axis, int64)) for axis in range(x.ndim)]
    results = [compress("nonzero", i, mask, size, fill_value) for i in indices]
    return tuple(values for values, _ in results), results[0][1]


def compress(
    name: str, values: Tensor, mask: Tensor, size: Size, fill_value: TensorLike
) -> tuple[Tensor, Tensor]:
    """The elements of a vector where a mask is true, in `size` places, and how many there are."""
    if isinstance(size, bool) or not isinstance(size, (int, Poly)):
        fail(ArgumentError, f"{name}: size is an int or a dim, got {size!r}", (values,))
    if isinstance(size, int) and size < 0:
        fail(ArgumentError, f"{name}: size is 0 or more, got {size}", (values,))
    rest = weak(name, fill_value, values.dtype) if is_weak(fill_value) else asarray(fill_value)
    if is_weak(fill_value) and fill_value == 0:
        rest = literal(0, values.dtype)  # nothing, whatever the dtype
    if rest.dtype != values.dtype or rest.ndim:
        fail(
            DTypeError,
            f"{name}: fill_value must be one {values.dtype.name}, got {rest.type}",
            (values, rest),
        )
    ahead = lift_op(ops.CumulativeSum(0), cast(mask, int64))
    limit = size_as(size, int64)
    # what has no place goes into one more, which is cut off
    place = where(mask & (ahead <= limit), ahead - 1, limit)
    filled = put_rows(SET, full((size + 1,), rest), place, values)
    return narrow(filled, 0, 0, size), sum_(mask)


def starts_run(values: Tensor) -> Tensor:
    """Whether an element of a sorted vector differs from the one before it."""
    (count,) = values.shape
    if count == 0:
        return full((0,), False, bool_)
    before = where(positions(values) == 0, 0, positions(values) - 1)
    return (values != take_along_axis(values, before, 0)) | (positions(values) == 0)


def positions(x: Tensor) -> Tensor:
    """0, 1, 2, ... along a vector."""
    return iota((product(x.shape),), 0, int64)
