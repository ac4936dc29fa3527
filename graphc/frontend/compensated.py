"""Sums that lose nothing: what each addition rounds away is kept beside the total."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.functions.arithmetic import abs as magnitude
from graphc.frontend.functions.control import scan
from graphc.frontend.functions.creation import zeros
from graphc.frontend.functions.logic import isfinite, where
from graphc.frontend.functions.operands import all_axes, cast, fail, widened
from graphc.frontend.functions.reductions import kept_shape
from graphc.frontend.functions.shapes import broadcast_to, permute_dims, reshape
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import AxisLike, TensorLike
from graphc.ir.dims import product


def compensated_sum(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """The sum of floats, nearly as if it were computed exactly and rounded once.

    Neumaier's variant (1974) of Kahan's summation: s + c, where for each element t = s + x, and c
    gains what t lost: (s - t) + x, or (x - t) + s where x is the larger. Elements are taken one
    after the other, with six operations each: for sums of very many numbers, or of numbers that
    cancel. 16-bit floats are added up in float32. The gradient is that of `sum`.
    """
    x = lift(x)
    if not x.dtype.is_float:
        fail(DTypeError, f"compensated_sum: needs floats, got {x.dtype.name}", (x,))
    axes = tuple(sorted(all_axes("compensated_sum", axis, x.ndim, (x,))))
    kept = kept_shape(x, axes)

    @custom_gradient
    def summed(x: Tensor) -> tuple[Tensor, Any]:
        return _total(x, axes), lambda dy: broadcast_to(reshape(dy, kept), x.shape)

    total = summed(x)
    return reshape(total, kept) if keepdims else total


def _total(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The sum over axes, by a loop over all their elements."""
    others = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in others)
    rows = reshape(permute_dims(widened(x), (*axes, *others)),
                   (product(x.shape[i] for i in axes), *shape))  # fmt: skip
    zero = zeros(shape, rows.dtype)
    (total, lost), _ = scan(_add, (zero, zero), rows)
    return cast(where(isfinite(total), total + lost, total), x.dtype)


def _add(sums: tuple[Tensor, Tensor], x: Tensor) -> tuple[tuple[Tensor, Tensor], None]:
    """A total with one more number, and what its roundings have lost."""
    total, lost = sums
    added = total + x
    larger = magnitude(total) >= magnitude(x)
    lost = lost + where(larger, (total - added) + x, (x - added) + total)
    return (added, lost), None
