"""Reductions over any axes (None: all; an int; a tuple), which are kept or dropped.

Every function takes `axis` and `keepdims` and raises AxisError for an axis that is not there or
is named twice.
"""

from __future__ import annotations

from graphc.errors import ArgumentError
from graphc.frontend.functions.arithmetic import broadcast_pair, maximum
from graphc.frontend.functions.creation import size_as
from graphc.frontend.functions.logic import choose, isfinite, stop_gradient, truth, where
from graphc.frontend.functions.mathematics import exp, log, sqrt
from graphc.frontend.functions.operands import all_axes, cast, fail, floating, to_dtype, widened
from graphc.frontend.functions.shapes import reshape
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import AxisLike, DTypeLike, TensorLike
from graphc.ir import ops
from graphc.ir.dims import Size, product
from graphc.ir.ops.base import Reduce
from graphc.ir.types import float32, int64, uint64


def reduced(op: type[Reduce], x: Tensor, axis: AxisLike, keepdims: bool) -> Tensor:
    """Apply a reduction over axes given in any form."""
    axes = tuple(sorted(all_axes(op.name, axis, x.ndim, (x,))))
    result = lift_op(op(axes), x)
    return reshape(result, kept_shape(x, axes)) if keepdims else result


def kept_shape(x: Tensor, axes: tuple[int, ...]) -> tuple[Size, ...]:
    """The shape with 1 for the reduced axes."""
    return tuple(1 if i in axes else size for i, size in enumerate(x.shape))


def reduced_count(name: str, axis: AxisLike, x: Tensor) -> Size:
    """How many elements are reduced into one."""
    return product(x.shape[i] for i in all_axes(name, axis, x.ndim, (x,)))


def widen_accumulator(name: str, x: Tensor, dtype: DTypeLike | None) -> Tensor:
    """x in the dtype that sums and products have: small integers and bool become 64 bits wide."""
    if dtype is not None:
        return cast(x, to_dtype(name, dtype))
    if x.dtype.kind == "u":
        return cast(x, uint64)
    return x if x.dtype.is_float else cast(x, int64)


def sum(
    x: TensorLike, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """The sum; of integers and bool an int64 (uint64 of unsigned ones), or of `dtype`."""
    return reduced(ops.Sum, widen_accumulator("sum", lift(x), dtype), axis, keepdims)


def prod(
    x: TensorLike, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """The product, dtypes as for `sum`; its gradient is exact at zeros."""
    return reduced(ops.Prod, widen_accumulator("prod", lift(x), dtype), axis, keepdims)


def mean(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """The mean; NaN of nothing; integers and bool give float32."""
    x = lift(x)
    wide = to_float(x)
    count = size_as(reduced_count("mean", axis, x), wide.dtype)
    result = reduced(ops.Sum, wide, axis, keepdims) / count
    return cast(result, x.dtype) if x.dtype.is_float else result


def var(
    x: TensorLike, axis: AxisLike = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """The variance: squared distances from the mean over (count - correction)."""
    x = lift(x)
    result = wide_var("var", to_float(x), axis, correction, keepdims)
    return cast(result, x.dtype) if x.dtype.is_float else result


def wide_var(name: str, x: Tensor, axis: AxisLike, correction: float, keepdims: bool) -> Tensor:
    """The variance of floats that are wide enough for squares."""
    away = x - mean(x, axis, keepdims=True)
    number = reduced_count(name, axis, x)
    count = size_as(number, x.dtype)
    if correction:
        count = count - float(correction)
    if not isinstance(number, int) or number < correction:
        count = maximum(count, 0.0)  # of too few elements NaN or infinite, as in NumPy
    return reduced(ops.Sum, away * away, axis, keepdims) / count


def to_float(x: Tensor) -> Tensor:
    """x in a dtype to compute in: float32 for integers, bools and 16-bit floats."""
    return widened(x) if x.dtype.is_float else cast(x, float32)


def std(
    x: TensorLike, axis: AxisLike = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """The standard deviation: the root of `var`, with gradient 0 where that is 0."""
    x = lift(x)
    result = safe_sqrt(wide_var("std", to_float(x), axis, correction, keepdims))
    return cast(result, x.dtype) if x.dtype.is_float else result


def safe_sqrt(x: Tensor) -> Tensor:
    """The square root with gradient 0 at 0."""
    zero = x == 0.0
    return choose(zero, 0.0, sqrt(choose(zero, 1.0, x)))


def max(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """The largest, NaN if there is one; of nothing a ShapeError; ties share the gradient."""
    return reduced(ops.Max, lift(x), axis, keepdims)


def min(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """The smallest, NaN if there is one; of nothing a ShapeError; ties share the gradient."""
    return reduced(ops.Min, lift(x), axis, keepdims)


def any(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Whether one is true; numbers are true when they are not 0."""
    return reduced(ops.Any_, truth(x), axis, keepdims)


def all(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Whether every one is true; numbers are true when they are not 0."""
    return reduced(ops.All, truth(x), axis, keepdims)


def count_nonzero(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """How many are not 0, as int64."""
    return sum(truth(x), axis=axis, keepdims=keepdims)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest is, the first of several, as int64; of all axes the row-major position."""
    return position(ops.ArgMax, x, axis, keepdims)


def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest is, the first of several, as int64."""
    return position(ops.ArgMin, x, axis, keepdims)


def position(op: type[Reduce], x: TensorLike, axis: int | None, keepdims: bool) -> Tensor:
    """An argmax or argmin over one axis or all."""
    x = lift(x)
    if axis is not None and isinstance(axis, (tuple, list)):
        fail(ArgumentError, f"{op.name}: the axis is one int or None, got {axis!r}", (x,))
    return reduced(op, x, axis, keepdims)


def logsumexp(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))), stable for large values; -inf (with gradient 0) where all are -inf."""
    x = floating("logsumexp", x)
    axes = tuple(sorted(all_axes("logsumexp", axis, x.ndim, (x,))))
    wide = widened(x)
    top = reshape(lift_op(ops.Max(axes, shift=True), wide), kept_shape(x, axes))
    top = stop_gradient(where(isfinite(top), top, 0.0))
    total = reduced(ops.Sum, exp(wide - top), axis, keepdims)
    nothing = total == 0.0
    logarithm = choose(nothing, float("-inf"), log(choose(nothing, 1.0, total)))
    return cast(logarithm + reshape(top, total.shape), x.dtype)


def logaddexp(x: TensorLike, y: TensorLike) -> Tensor:
    """log(exp(x) + exp(y)), stable for large values."""
    a, b = broadcast_pair("logaddexp", x, y)
    dtype = floating("logaddexp", a).dtype
    a, b = widened(floating("logaddexp", a)), widened(floating("logaddexp", b))
    top = maximum(a, b)
    top = stop_gradient(where(isfinite(top), top, 0.0))
    total = exp(a - top) + exp(b - top)
    nothing = total == 0.0
    return cast(choose(nothing, float("-inf"), log(choose(nothing, 1.0, total))) + top, dtype)
