"""Resize and its predecessor: every axis on its own, from a few elements with fixed weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import graphc as gx
from graphc.errors import FormatError
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Poly, Size, divide_exactly
from graphc.ir.types import Array
from graphc.nn.resize import neighbours, picked, weighted
from graphc.onnx.call import OnnxNode, Result, Table

TIE_TOLERANCE = 1e-6  # how far from a half a coordinate in float32 may be that is a half in fact


@dataclass(frozen=True)
class ResizedAxis:
    """How one axis is resized: its size, the factor, the new size, and the part that is shown."""

    axis: int
    size: int
    scale: float
    wanted: int
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class AxisRequest:
    """What a node says of one axis: a factor or a size, and the part that is shown."""

    axis: int
    scale: float | None
    size: Size | None
    start: float = 0.0
    end: float = 1.0


def resize(call: OnnxNode) -> Result:
    """x in other sizes.

    Numbers are float32, and corners are those of the new size after rounding: where the format
    leaves it open, or its reference differs, this is what onnxruntime and torch do. An axis that
    keeps its size is as it was.
    """
    x = call.x()
    for wish in wishes(call):
        x = resized(call, x, wish)
    return x


def resized(call: OnnxNode, x: Tensor, wish: AxisRequest) -> Tensor:
    """x with one axis as wished; sizes that are not known may stay or become multiples."""
    size = x.shape[wish.axis]
    cropped = call.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if isinstance(size, int) and isinstance(wish.size, Poly):
        call.ints(3)
    if isinstance(size, int):
        axis = known_axis(wish, size)
        if axis.wanted == size and not cropped:
            return x
        return along_axis(call, x, axis)
    factor = wish.scale if wish.size is None else divide_exactly(wish.size, size)
    if factor == 1 and not cropped:
        return x
    whole = None if cropped or not isinstance(factor, (int, float)) else float(factor)
    shift = None if whole is None else whole_shift(call, whole)
    if shift is None:
        call.extent(wish.axis)
    return shifted(gx.repeat(x, int(factor), wish.axis), wish.axis, shift)  # type: ignore[arg-type]


def whole_shift(call: OnnxNode, factor: float) -> int | None:
    """s, if the element (i + s) // factor of x becomes element i whatever the size; else None."""
    if call["mode"] != "nearest" or factor < 1 or not factor.is_integer():
        return None
    k, nearest_mode = int(factor), nearest_mode_of(call)
    modes = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    shifts = {
        "asymmetric": (0, k - 1, (k - 1) // 2, k // 2),
        "half_pixel": (-(k // 2), k // 2, 0, 0),
        "tf_half_pixel_for_nn": (0, k, k // 2, (k + 1) // 2),
    }
    for alike in ("pytorch_half_pixel", "half_pixel_symmetric"):
        shifts[alike] = shifts["half_pixel"]
    found = shifts.get(coordinate_mode(call))
    if found is None or nearest_mode not in modes:
        return None
    return found[modes.index(nearest_mode)]


def shifted(x: Tensor, axis: int, shift: int) -> Tensor:
    """x moved to the front along an axis (to the end, where negative); ends are repeated."""
    if shift == 0:
        return x
    before = (slice(None),) * axis
    count = abs(shift)
    kept, end = (
        (slice(count, None), slice(-1, None)) if shift > 0 else (slice(0, -count), slice(0, 1))
    )
    ends = gx.repeat(x[(*before, end)], count, axis)
    parts = [x[(*before, kept)], ends]
    return gx.concat(parts if shift > 0 else parts[::-1], axis)


def known_axis(wish: AxisRequest, size: int) -> ResizedAxis:
    """A wish for an axis whose size is known."""
    if wish.size is not None:
        assert isinstance(wish.size, int)
        scale = wish.scale or float(np.float32(wish.size) / np.float32(max(size, 1)))
        return ResizedAxis(wish.axis, size, scale, wish.size, wish.start, wish.end)
    assert wish.scale is not None
    wanted = int(np.floor(np.float32(wish.scale) * np.float32(size)))
    return ResizedAxis(wish.axis, size, wish.scale, wanted, wish.start, wish.end)


def wishes(call: OnnxNode) -> list[AxisRequest]:
    """What happens along every axis."""
    shape = call.x().shape
    axes = [call.normal(a, len(shape)) for a in call.get("axes") or range(len(shape))]
    scales, sizes, roi = factors(call)
    count = len(sizes if sizes is not None else scales or ())
    if count != len(axes) or (roi and len(roi) != 2 * len(axes)):
        raise FormatError(f"{call.where}: {count} factors or sizes for {len(axes)} axes")
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    if sizes is not None and policy != "stretch":
        scales, sizes = in_proportion(call, axes, sizes, policy)
    found = []
    for i, a in enumerate(axes):
        part = (roi[i], roi[i + len(axes)]) if roi else (0.0, 1.0)
        scale = None if scales is None else scales[i]
        found.append(AxisRequest(a, scale, None if sizes is None else sizes[i], *part))
    return found


def in_proportion(
    call: OnnxNode, axes: list[int], sizes: tuple[Size, ...], policy: str
) -> tuple[list[float], tuple[Size, ...]]:
    """The one factor by which no size, or every size, reaches what is wanted."""
    shape, wanted = {a: call.extent(a) for a in axes}, call.ints(3)
    ratios = [np.float32(w) / np.float32(shape[a]) for w, a in zip(wanted, axes)]
    one = min(ratios) if policy == "not_larger" else max(ratios)
    new = tuple(int(np.floor(one * np.float32(shape[a]) + np.float32(0.5))) for a in axes)
    return [float(one)] * len(axes), new


def factors(call: OnnxNode) -> tuple[list[float] | None, tuple[Size, ...] | None, list[float]]:
    """Factors or sizes, and the parts that are shown."""
    if call.opset < 9:
        return list(call["scales"]), None, []
    if call.opset < 11:
        return [float(s) for s in call.known(1).flat], None, []
    roi = [float(r) for r in call.known(1).flat] if call.has(1) else []
    if call["coordinate_transformation_mode"] != "tf_crop_and_resize":
        roi = []
    if call.has(2) and call.known(2).size:
        return [float(s) for s in call.known(2).flat], None, roi
    return None, call.sizes(3), roi


def coordinate_mode(call: OnnxNode) -> str:
    """How new coordinates become old ones."""
    default = "asymmetric" if call.opset < 11 else "half_pixel"
    return str(call.get("coordinate_transformation_mode", default))


def nearest_mode_of(call: OnnxNode) -> str:
    """Which whole position stands for a coordinate."""
    return str(call.get("nearest_mode", "floor" if call.opset < 11 else "round_prefer_floor"))


def coordinates(call: OnnxNode, axis: ResizedAxis) -> Array:
    """Where the elements of the new axis lie on the old one, in float32."""
    one = np.float32
    places, scale, half = np.arange(axis.wanted, dtype=one), one(axis.scale), one(0.5)
    mode, last = coordinate_mode(call), one(axis.size - 1)
    if mode == "asymmetric":
        return places / scale
    if mode == "align_corners":
        return places * last / one(axis.wanted - 1) if axis.wanted > 1 else places * 0
    if mode == "tf_half_pixel_for_nn":
        return (places + half) / scale
    if mode == "tf_crop_and_resize":
        start, end = one(axis.start), one(axis.end)
        if axis.wanted <= 1:
            return places * 0 + half * (start + end) * last
        return start * last + places * (end - start) * last / one(axis.wanted - 1)
    centres = (places + half) / scale - half
    if mode == "half_pixel":
        return centres
    if mode == "pytorch_half_pixel":
        return centres if axis.wanted > 1 else places * 0
    if mode != "half_pixel_symmetric":
        call.unsupported(f"coordinate_transformation_mode {mode!r}")
    rounded = one(axis.wanted) / (scale * one(axis.size))
    offset = one(axis.size) / one(2) * (one(1) - rounded)
    exact = float(offset) + (places.astype(np.float64) + 0.5) / float(scale) - 0.5
    return exact.astype(one)


def nearest(places: Array, mode: str, call: OnnxNode) -> Array:
    """The whole positions that stand for coordinates; a half is one also after rounding."""
    places = places.astype(np.float64)
    if mode == "round_prefer_floor":
        return np.ceil(places - 0.5 - TIE_TOLERANCE)
    if mode == "round_prefer_ceil":
        return np.floor(places + 0.5 + TIE_TOLERANCE)
    if mode not in ("floor", "ceil"):
        call.unsupported(f"nearest_mode {mode!r}")
    return np.floor(places) if mode == "floor" else np.ceil(places)


def weights(call: OnnxNode, axis: ResizedAxis, places: Array) -> tuple[Array, Array]:
    """The neighbours of every coordinate (may lie outside) and what each of them counts."""
    reach = 2 if call["mode"] == "cubic" else 1
    shrink = min(axis.scale, 1.0) if call.get("antialias") else 1.0
    index, factor = neighbours(places, reach, shrink, call.get("cubic_coeff_a", -0.75))
    if call.get("exclude_outside"):
        factor = np.where((index < 0) | (index >= axis.size), 0.0, factor)
    if call.get("exclude_outside") or call.get("antialias"):
        factor = factor / factor.sum(-1, keepdims=True)
    return index, factor


def along_axis(call: OnnxNode, x: Tensor, axis: ResizedAxis) -> Tensor:
    """x resized along one axis."""
    if not axis.wanted:
        return x[(*(slice(None),) * axis.axis, slice(0, 0))]
    if not axis.size:
        raise FormatError(f"{call.where}: axis {axis.axis} of {x.type} has no elements")
    places = coordinates(call, axis)
    if call["mode"] == "nearest":
        y = picked(x, axis.axis, nearest(places, nearest_mode_of(call), call))
    elif call["mode"] in ("linear", "bilinear", "cubic"):
        index, factor = weights(call, axis, places)
        if not factor.any():
            call.unsupported("weights that are all 0")
        y = weighted(x, axis.axis, index, factor)
    else:
        call.unsupported(f"mode {call['mode']!r}")
    outside = (places < 0) | (places > axis.size - 1)
    if call.get("coordinate_transformation_mode") != "tf_crop_and_resize" or not outside.any():
        return y
    mask = gx.constant(outside.reshape([-1 if i == axis.axis else 1 for i in range(x.ndim)]))
    return gx.where(mask, call["extrapolation_value"], y)


TABLE: Table = {("Resize", 10): resize, ("Upsample", 7): resize}
