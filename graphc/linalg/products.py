"""Products of vectors and of several matrices, diagonals."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail, one_axis, same_dtype
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size
from graphc.ir.precision import FULL
from graphc.linalg.solving import inv


def cross(x1: TensorLike, x2: TensorLike, axis: int = -1) -> Tensor:
    """The cross products of vectors of three elements along an axis; the others broadcast."""
    a, b = fn.broadcast_arrays(*same_dtype("cross", (x1, x2)))
    axis = one_axis("cross", axis, a.ndim, (a,))
    if a.shape[axis] != 3:
        fail(ShapeError, f"cross: needs 3 elements, got {a.shape[axis]} (axis {axis})", (a, b))

    def rolled(x: Tensor, by: int) -> Tensor:
        return fn.roll(x, -by, axis=axis)

    return rolled(a, 1) * rolled(b, 2) - rolled(a, 2) * rolled(b, 1)


def diagonal(x: TensorLike, offset: int = 0) -> Tensor:
    """The diagonals of matrices, or the `offset`-th ones above them."""
    return fn.diagonal(x, offset, -2, -1)


def matrix_power(x: TensorLike, n: int) -> Tensor:
    """The product of n factors x; of -n inverses for negative n."""
    x = lift(x)
    if isinstance(n, bool) or not isinstance(n, int):
        fail(ArgumentError, f"matrix_power: the power is an int, got {n!r}", (x,))
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        fail(ShapeError, f"matrix_power: needs square matrices, got {x.type}", (x,))
    if n == 0:
        return fn.broadcast_to(fn.eye(x.shape[-1], dtype=x.dtype), x.shape)
    with FULL:
        return _raised(inv(x) if n < 0 else x, abs(n))


def _raised(x: Tensor, n: int) -> Tensor:
    """The product of n factors, by squares."""
    result: Tensor | None = None
    for bit in reversed(bin(n)[2:]):
        if bit == "1":
            result = x if result is None else fn.matmul(result, x)
        x = fn.matmul(x, x)
    assert result is not None
    return result


def multi_dot(xs: Sequence[TensorLike]) -> Tensor:
    """The product of several matrices, in the order that needs the fewest multiplications.

    The first may be a row and the last a column, given as vectors.
    """
    if len(xs) < 2:
        fail(ArgumentError, f"multi_dot: needs two matrices or more, got {len(xs)}")
    tensors = same_dtype("multi_dot", list(xs))
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    if row:
        tensors[0] = fn.expand_dims(tensors[0], axis=0)
    if column:
        tensors[-1] = fn.expand_dims(tensors[-1], axis=1)
    for i, t in enumerate(tensors):
        if t.ndim != 2:
            fail(ShapeError, f"multi_dot: needs matrices, got {t.type} (input {i})", tensors)
    result = _product(tensors, _best_cuts([t.shape[0] for t in tensors] + [tensors[-1].shape[1]]))
    kept = tuple(s for s, dropped in zip(result.shape, (row, column)) if not dropped)
    return fn.reshape(result, kept)


Cuts = dict[tuple[int, int], int]


def _best_cuts(sizes: list[Size]) -> Cuts | None:
    """Where to cut the product of factors first .. last - 1; None where sizes are unknown."""
    known = [s for s in sizes if isinstance(s, int)]
    if len(known) < len(sizes):
        return None
    count = len(known) - 1
    cost = {(i, i + 1): 0 for i in range(count)}
    cuts: Cuts = {}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            costs = {
                k: cost[i, k] + cost[k, j] + known[i] * known[k] * known[j] for k in range(i + 1, j)
            }
            cuts[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[cuts[i, j]]
    return cuts


def _product(tensors: list[Tensor], cuts: Cuts | None) -> Tensor:
    def of(first: int, last: int) -> Tensor:
        if last - first == 1:
            return tensors[first]
        cut = last - 1 if cuts is None else cuts[first, last]
        return fn.matmul(of(first, cut), of(cut, last))

    return of(0, len(tensors))
