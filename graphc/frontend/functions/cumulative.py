"""Running sums, products and extremes along an axis.

`axis` may be left out of a vector. From the end: flip, accumulate, flip.
"""

from __future__ import annotations

from graphc.errors import ArgumentError, DTypeError
from graphc.frontend.functions.creation import full
from graphc.frontend.functions.joining import concat
from graphc.frontend.functions.operands import cast, fail, one_axis
from graphc.frontend.functions.reductions import widen_accumulator
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import DTypeLike, TensorLike
from graphc.ir import ops
from graphc.ir.ops.cumulative import Cumulative
from graphc.ir.types import float32


def cumulative_sum(
    x: TensorLike,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The sums of the first elements, of integers as int64 (uint64) or of `dtype`.

    `include_initial` puts the sum of none, 0, in front.
    """
    return running(ops.CumulativeSum, x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: TensorLike,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """The products of the first elements, dtypes as for `cumulative_sum`; its gradient is exact
    at zeros. `include_initial` puts the product of none, 1, in front."""
    return running(ops.CumulativeProd, x, axis, dtype, 1 if include_initial else None)


def cumulative_max(x: TensorLike, axis: int | None = None) -> Tensor:
    """The largest of the first elements, NaN from the first NaN on.

    The gradient goes to the first element that attains each.
    """
    return along("cumulative_max", ops.CumulativeMax, lift(x), axis)


def cumulative_min(x: TensorLike, axis: int | None = None) -> Tensor:
    """The smallest of the first elements, NaN from the first NaN on.

    The gradient goes to the first element that attains each.
    """
    return along("cumulative_min", ops.CumulativeMin, lift(x), axis)


def running(
    op: type[Cumulative],
    x: TensorLike,
    axis: int | None,
    dtype: DTypeLike | None,
    initial: int | None,
) -> Tensor:
    """A running sum or product; 16-bit floats accumulate in float32."""
    given = widen_accumulator(op.name, lift(x), dtype)
    if given.dtype.kind == "b":
        fail(DTypeError, f"{op.name}: needs numbers, got bool", (given,))
    wide = cast(given, float32) if given.dtype.is_float and given.dtype.bits < 32 else given
    result = cast(along(op.name, op, wide, axis), given.dtype)
    if initial is None:
        return result
    axis = the_axis(op.name, axis, given)
    shape = (*given.shape[:axis], 1, *given.shape[axis + 1 :])
    return concat([full(shape, initial, given.dtype), result], axis)


def along(name: str, op: type[Cumulative], x: Tensor, axis: int | None) -> Tensor:
    """Apply an op along an axis given in any form."""
    if x.dtype.kind == "b":
        fail(DTypeError, f"{name}: needs numbers, got bool", (x,))
    return lift_op(op(the_axis(name, axis, x)), x)


def the_axis(name: str, axis: int | None, x: Tensor) -> int:
    """An axis from the front; None stands for the only one."""
    if axis is None:
        if x.ndim != 1:
            fail(
                ArgumentError,
                f"{name}: {x.type} has {x.ndim} axes: which one?",
                (x,),
                hint="pass axis=",
            )
        return 0
    return one_axis(name, axis, x.ndim, (x,))
