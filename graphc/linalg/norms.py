"""Norms of vectors and matrices."""

from __future__ import annotations

import math

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.logic import choose
from graphc.frontend.functions.operands import all_axes, fail, floating
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import AxisLike, TensorLike
from graphc.ir.types import float32
from graphc.linalg.spectra import svdvals

Order = int | float | str | None
# Powers of two: elements above the first or all below the second are scaled by the third, so that
# sums of their squares neither overflow nor vanish. Others are left as they are, to the last bit.
EDGES = {32: (40, -44, 90), 64: (400, -400, 700)}


def vector_norm(
    x: TensorLike, axis: AxisLike = None, keepdims: bool = False, ord: Order = 2
) -> Tensor:
    """The norms of vectors along axes (None: all); the gradient at 0 is 0.

    `ord` is any number; inf and -inf take the largest and the smallest magnitude, 0 counts what
    is not 0. A norm is right wherever its dtype holds it, also where powers of the elements are
    out of its range.
    """
    x = floating("vector_norm", x)
    axes = all_axes("vector_norm", axis, x.ndim, (x,))
    if isinstance(ord, str) or ord is None:
        fail(ArgumentError, f"vector_norm: ord is a number, got {ord!r}", (x,))
    if math.isinf(ord):
        reduce = fn.max if ord > 0 else fn.min
        return reduce(fn.abs(x), axis=axes, keepdims=keepdims)
    if ord == 0:
        return fn.sum(fn.astype(x != 0.0, x.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return fn.sum(fn.abs(x), axis=axes, keepdims=keepdims)
    wide = fn.astype(x, float32) if x.dtype.bits == 16 else x
    scale = scale_of_squares(wide, axes) if ord == 2 else _unit(wide, axes, ord)
    small = wide / scale
    powers = small * small if ord == 2 else _powers(small, float(ord))
    result = _root(fn.sum(powers, axis=axes, keepdims=True), float(ord)) * scale
    return fn.astype(result if keepdims else fn.squeeze(result, axes), x.dtype)


def scale_of_squares(x: Tensor, axes: tuple[int, ...], vanishing: bool = True) -> Tensor:
    """What to divide by before elements are squared: a power of two, 1 for ordinary elements.

    Without `vanishing` only squares that would overflow are scaled.
    """
    high, low, by = EDGES[x.dtype.bits]
    size = fn.abs(fn.stop_gradient(x))
    large = fn.any(size > 2.0**high, axis=axes, keepdims=True)
    unit = fn.ones(large.shape, dtype=x.dtype)
    if not vanishing:
        return fn.where(large, 2.0**by, unit)
    small = fn.all(size < 2.0**low, axis=axes, keepdims=True)
    return fn.where(large, 2.0**by, fn.where(small, 2.0**-by, unit))


def _unit(x: Tensor, axes: tuple[int, ...], order: float) -> Tensor:
    """The magnitude that decides a norm of this order; 1 where that is 0, not finite or of nothing.

    A neutral element behind the others stands in where there are none.
    """
    width = [(0, 1) if axis in axes else (0, 0) for axis in range(x.ndim)]
    size = fn.abs(fn.stop_gradient(x))
    neutral = 0.0 if order > 0 else math.inf
    reduce = fn.max if order > 0 else fn.min
    found = reduce(fn.pad(size, width, value=neutral), axis=axes, keepdims=True)
    return fn.where(fn.isfinite(found) & (found > 0.0), found, 1.0)


def _powers(x: Tensor, order: float) -> Tensor:
    """|x| ** order, whose gradient at 0 is 0, also where the slope is infinite there."""
    if order >= 1.0:
        return fn.abs(x) ** order
    zero = x == 0.0
    return fn.where(zero, 0.0 if order > 0 else math.inf, fn.abs(fn.where(zero, 1.0, x)) ** order)


def _root(total: Tensor, order: float) -> Tensor:
    """total ** (1 / order), whose gradient at 0 is 0."""
    zero = total == 0.0
    inside = choose(zero, fn.ones_like(total), total)
    root = fn.sqrt(inside) if order == 2.0 else inside ** (1.0 / order)
    return choose(zero, total if order > 0 else fn.zeros_like(total), root)


def matrix_norm(x: TensorLike, keepdims: bool = False, ord: Order = "fro") -> Tensor:
    """The norms of matrices: "fro", "nuc", 1, -1, 2, -2, inf or -inf; the gradient at 0 is 0."""
    x = floating("matrix_norm", x)
    if x.ndim < 2:
        fail(ShapeError, f"matrix_norm: needs matrices, got {x.type}", (x,))
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        s = svdvals(x)
        s = fn.where(s == 0.0, fn.zeros_like(s), s)  # as for all norms: the gradient at 0 is 0
        result: Tensor = fn.sum(s, -1) if ord == "nuc" else (fn.max if ord == 2 else fn.min)(s, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        assert isinstance(ord, (int, float))
        along, other = (-2, -1) if abs(ord) == 1 else (-1, -1)
        sums = fn.sum(fn.abs(x), axis=along)
        result = (fn.max if ord > 0 else fn.min)(sums, axis=other)
    else:
        fail(ArgumentError, f"matrix_norm: no norm is called {ord!r}", (x,))
    return fn.reshape(result, (*result.shape, 1, 1)) if keepdims else result


def norm(x: TensorLike, ord: Order = None, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """A norm of vectors along one axis, of matrices along two, or (without both) of all elements.

    Without `axis`, `ord` is that of the vector or matrix that x is.
    """
    x = floating("norm", x)
    if axis is None and ord is None:
        return vector_norm(x, None, keepdims)
    axes = all_axes("norm", axis, x.ndim, (x,))
    if len(axes) == 1:
        return vector_norm(x, axes, keepdims, 2 if ord is None else ord)
    if len(axes) != 2:
        fail(ShapeError, f"norm: needs one axis or two, got {len(axes)} of {x.type}", (x,))
    moved = fn.moveaxis(x, axes, (-2, -1))
    result = matrix_norm(moved, keepdims, "fro" if ord is None else ord)
    return fn.moveaxis(result, (-2, -1), axes) if keepdims else result
