"""Resize and its predecessor: every axis on its own, from a few elements with fixed weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from graphc.dims import Poly
from graphc.nn.resize import neighbours, picked, weighted
from graphc.onnx.call import Call, Table
from graphc.ops.base import Array
from graphc.tensor import Tensor


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: its size, the factor, the new size, and the part that is shown."""

    axis: int
    size: int
    scale: float
    wanted: int
    start: float = 0.0
    end: float = 1.0


def resize(call: Call) -> Any:
    """x in other sizes."""
    x = call.x()
    if any(isinstance(s, Poly) for s in x.shape):
        repeated = whole_factors(call, x)
        if repeated is not None:
            return repeated
    for axis in resized_axes(call):
        whole_part = call.get("coordinate_transformation_mode") != "tf_crop_and_resize"
        if axis.wanted == axis.size and axis.scale == 1.0 and whole_part:
            continue
        x = along_axis(call, x, axis)
    return x


def whole_factors(call: Call, x: Tensor) -> Tensor | None:
    """Elements repeated a whole number of times, which needs no sizes."""
    index = 2 if call.opset >= 11 else 1
    if call["mode"] != "nearest" or not call.has(index) or not call.known(index).size:
        return None
    mode = call.get("coordinate_transformation_mode", "asymmetric")
    if mode not in ("asymmetric", "half_pixel", "pytorch_half_pixel") or call.get("axes"):
        return None
    if mode == "asymmetric" and call.get("nearest_mode", "floor") != "floor":
        return None
    scales = [float(s) for s in call.known(index).flat]
    if any(s < 1 or not s.is_integer() for s in scales):
        return None
    for axis, scale in enumerate(scales):
        x = gx.repeat(x, int(scale), axis) if scale != 1 else x
    return x


def resized_axes(call: Call) -> list[Axis]:
    """What happens along every axis."""
    shape = call.static()
    ndim = len(shape)
    axes = [call.normal(a, ndim) for a in call.get("axes") or range(ndim)]
    scales, sizes, roi = factors(call)
    if sizes is not None:
        scales = [wanted / shape[a] for wanted, a in zip(sizes, axes)]
        policy = call.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(scales) if policy == "not_larger" else max(scales)
            scales = [one] * len(axes)
            sizes = [int(one * shape[a] + 0.5) for a in axes]
    assert scales is not None
    found = []
    for i, a in enumerate(axes):
        wanted = sizes[i] if sizes is not None else int(np.floor(scales[i] * shape[a]))
        part = (roi[i], roi[i + len(axes)]) if roi else (0.0, 1.0)
        found.append(Axis(a, shape[a], scales[i], wanted, *part))
    return found


def factors(call: Call) -> tuple[list[float] | None, list[int] | None, list[float]]:
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
    return None, list(call.ints(3)), roi


def coordinates(call: Call, axis: Axis) -> Array:
    """Where the elements of the new axis lie on the old one."""
    places = np.arange(axis.wanted, dtype=np.float64)
    default = "asymmetric" if call.opset < 11 else "half_pixel"
    mode = call.get("coordinate_transformation_mode", default)
    scaled = axis.scale * axis.size  # the new size before rounding
    if mode == "asymmetric":
        return places / axis.scale
    if mode == "align_corners":
        return places * ((axis.size - 1) / (scaled - 1)) if scaled != 1 else places * 0
    if mode == "tf_half_pixel_for_nn":
        return (places + 0.5) / axis.scale
    if mode == "tf_crop_and_resize":
        last = axis.size - 1
        if scaled == 1:
            return places * 0 + 0.5 * (axis.start + axis.end) * last
        return axis.start * last + places * (axis.end - axis.start) * last / (scaled - 1)
    centres = (places + 0.5) / axis.scale - 0.5
    if mode == "half_pixel":
        return centres
    if mode == "pytorch_half_pixel":
        return centres if scaled != 1 else places * 0 - 0.5
    if mode != "half_pixel_symmetric":
        call.unsupported(f"coordinate_transformation_mode {mode!r}")
    return centres + axis.size / 2 * (1 - axis.wanted / scaled)


def nearest(places: Array, mode: str, call: Call) -> Array:
    """The whole positions that stand for coordinates."""
    if mode == "round_prefer_floor":
        return np.ceil(places - 0.5)
    if mode == "round_prefer_ceil":
        return np.floor(places + 0.5)
    if mode not in ("floor", "ceil"):
        call.unsupported(f"nearest_mode {mode!r}")
    return np.floor(places) if mode == "floor" else np.ceil(places)


def weights(call: Call, axis: Axis, places: Array) -> tuple[Array, Array]:
    """The neighbours of every coordinate (may lie outside) and what each of them counts."""
    reach = 2 if call["mode"] == "cubic" else 1
    shrink = min(axis.scale, 1.0) if call.get("antialias") else 1.0
    index, factor = neighbours(places, reach, shrink, call.get("cubic_coeff_a", -0.75))
    if call.get("exclude_outside"):
        factor = np.where((index < 0) | (index >= axis.size), 0.0, factor)
    if call.get("exclude_outside") or call.get("antialias"):
        factor = factor / factor.sum(-1, keepdims=True)
    return index, factor


def along_axis(call: Call, x: Tensor, axis: Axis) -> Tensor:
    """x resized along one axis."""
    places = coordinates(call, axis)
    if call["mode"] == "nearest":
        mode = call.get("nearest_mode", "floor" if call.opset < 11 else "round_prefer_floor")
        y = picked(x, axis.axis, nearest(places, mode, call))
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
