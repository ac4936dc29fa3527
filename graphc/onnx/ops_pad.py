"""Padding in all modes, and running sums."""

from __future__ import annotations

from typing import Any

import graphc as gx
from graphc.frontend.functions.creation import size_as
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size
from graphc.ir.types import int64
from graphc.onnx.call import OnnxNode, Result, Table


def pad(call: OnnxNode) -> Result:
    """x with elements around it; negative numbers cut."""
    x = call.x()
    if call.opset < 11:
        widths, value = call.get("pads") or call["paddings"], call.get("value", 0.0)
    else:
        widths = call.ints(1)
        value = call.number(2) if call.has(2) else 0
    axes = call.ints(3) if call.has(3) else tuple(range(x.ndim))
    count = len(axes)
    for i, axis in enumerate(call.normal(a, x.ndim) for a in axes):
        pair = int(widths[i]), int(widths[i + count])
        x = padded(call, x, axis, pair, call["mode"], value)
    return x


def padded(
    call: OnnxNode, x: Tensor, axis: int, pair: tuple[int, int], mode: str, value: Any
) -> Tensor:
    """x with elements around it along one axis."""
    before, after = pair
    if mode == "constant":
        x = cropped(x, axis, max(0, -before), max(0, -after))
        widths = [(0, 0)] * x.ndim
        widths[axis] = max(0, before), max(0, after)
        return gx.pad(x, widths, value) if any(widths[axis]) else x
    if pair == (0, 0):
        return x
    return gx.take(x, mirrored(x.shape[axis], pair, mode, call), axis)


def cropped(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """x without some elements at its ends along an axis."""
    if not before and not after:
        return x
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = slice(before, -after if after else None)
    return x[tuple(key)]


def mirrored(size: Size, pair: tuple[int, int], mode: str, call: OnnxNode) -> Tensor:
    """Where each element of the padded axis comes from."""
    places = gx.arange(size + (pair[0] + pair[1]), dtype="int64") - pair[0]
    count = size_as(size, int64)
    if mode == "edge":
        return gx.clip(places, 0, count - 1)
    if mode == "wrap":
        return gx.remainder(places, count)
    if mode != "reflect":
        call.unsupported(f"mode {mode!r}")
    period = gx.maximum(2 * count - 2, 1)
    folded = gx.remainder(places, period)
    return gx.where(folded < count, folded, period - folded)


def cumulative(function: Any) -> Any:
    """Running sums or products, from either end, with or without the element itself."""

    def convert(call: OnnxNode) -> Result:
        x = call.x()
        axis = call.normal(int(call.number(1)), x.ndim)
        t = gx.flip(x, axis) if call["reverse"] else x
        total = function(t, axis, dtype=x.dtype, include_initial=bool(call["exclusive"]))
        if call["exclusive"]:
            total = cropped(total, axis, 0, 1)
        return gx.flip(total, axis) if call["reverse"] else total

    return convert


TABLE: Table = {
    ("Pad", 1): pad,
    ("CumSum", 11): cumulative(gx.cumulative_sum),
    ("CumProd", 26): cumulative(gx.cumulative_prod),
}
