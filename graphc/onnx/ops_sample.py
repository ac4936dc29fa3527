"""Images read at positions that are data: grids, regions of interest, deformed kernels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import graphc as gx
from graphc.errors import FormatError
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir.ops.window import Fold, Window
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_conv import with_bias
from graphc.onnx.ops_index import checked_places


@dataclass(frozen=True)
class Border:
    """What lies outside an axis of a known size: zeros, the last elements, or mirror images."""

    size: int
    kind: str
    corners: bool  # whether mirrors stand on the last elements, and not half an element beyond

    def fold(self, t: Tensor) -> Tensor:
        """Positions moved inside, but for zeros."""
        if self.kind == "border":
            return gx.clip(t, 0.0, float(self.size - 1))
        if self.kind != "reflection":
            return t
        low = 0.0 if self.corners else -0.5
        span = float(self.size - 1) if self.corners else float(self.size)
        if span == 0:
            return gx.zeros_like(t)
        wave = gx.remainder(t - low, 2 * span)
        return gx.minimum(wave, 2 * span - wave) + low

    def index(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Whole positions as indices, and whether each was inside."""
        if self.kind == "reflection":
            t = gx.trunc(self.fold(t))
        inside = (t >= 0) & (t <= self.size - 1)
        return gx.astype(gx.clip(t, 0.0, float(self.size - 1)), "int64"), inside


def taps_of(t: Tensor, mode: str) -> list[tuple[Tensor, Tensor | None]]:
    """The whole positions around coordinates, with their weights (None: 1)."""
    if mode == "nearest":
        return [(gx.round(t), None)]
    first = gx.floor(t)
    part = t - first
    if mode == "linear":
        return [(first, 1.0 - part), (first + 1.0, part)]
    return [(first + float(k), keys_weight(part - float(k))) for k in (-1, 0, 1, 2)]


def keys_weight(t: Tensor, a: float = -0.75) -> Tensor:
    """Weights of cubic convolution at a distance below 2 (Keys 1981)."""
    d = gx.abs(t)
    near = ((a + 2) * d - (a + 3)) * d * d + 1.0
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return gx.where(d <= 1, near, far)


def sample(x: Tensor, places: list[Tensor], mode: str, borders: list[Border]) -> Tensor:
    """x (batch, channels, *sizes) at coordinates (batch, *out), one tensor an axis.

    Returns (batch, channels, *out).
    """
    batch, channels = x.shape[:2]
    rows = gx.reshape(gx.permute_dims(x, (0, *range(2, x.ndim), 1)), (-1, channels))
    # Cubic weights are those of the place that was asked for; each tap is moved inside by itself.
    folded = places if mode == "cubic" else [b.fold(t) for b, t in zip(borders, places)]
    base = gx.reshape(gx.arange(batch, dtype="int64"), (batch,) + (1,) * (places[0].ndim - 1))
    total: Tensor | None = None
    for taps in itertools.product(*(taps_of(t, mode) for t in folded)):
        position, weight = base, None
        for (tap, factor), border in zip(taps, borders):
            index, inside = border.index(tap)
            position = position * border.size + index
            if factor is not None:
                weight = factor if weight is None else weight * factor
            if border.kind == "zeros":
                weight = gx.where(inside, 1.0 if weight is None else weight, 0.0)
        values = gx.take(rows, position, 0)
        if weight is not None:
            values = values * gx.astype(gx.expand_dims(weight, -1), values.dtype)
        total = values if total is None else total + values
    assert total is not None
    return gx.moveaxis(total, -1, 1)


def grid_sample(call: OnnxNode) -> Result:
    """x at the positions of a grid whose coordinates run from -1 to 1."""
    x, grid = call.x(0), call.x(1)
    sizes, corners = call.extents(2), bool(call["align_corners"])
    if grid.ndim != x.ndim or call.extent(-1, 1) != len(sizes):
        raise FormatError(f"{call.where}: a grid {grid.type} names no places of {x.type}")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(call["mode"], call["mode"])
    places = []
    for size, part in zip(sizes, reversed(gx.unstack(grid, -1))):
        scaled = (
            (part + 1.0) * (0.5 * (size - 1))
            if corners
            else (((part + 1.0) * float(size) - 1.0) * 0.5)
        )
        places.append(gx.round(scaled) if mode == "nearest" else scaled)
    borders = [Border(size, call["padding_mode"], corners) for size in sizes]
    return sample(x, places, mode, borders)


def deformed_conv(call: OnnxNode) -> Result:
    """A convolution whose taps are moved by offsets and weighed by a mask."""
    x, w, offset = call.x(0), call.x(1), call.x(2)
    (batch, channels), image = x.shape[:2], call.extents(2)
    taps = call.extents(2, 1)
    rank, groups, shared = len(taps), call["group"], call["offset_group"]
    strides = call.get("strides") or (1,) * rank
    dilations = call.get("dilations") or (1,) * rank
    pads = call.get("pads") or (0,) * (2 * rank)
    outputs = call.extents(2, 2)
    moved = gx.reshape(offset, (batch * shared, *taps, rank, *outputs))
    places = []
    for i in range(rank):
        at = [
            gx.reshape(
                gx.arange(n, dtype="float32") * float(step),
                tuple(n if k == place else 1 for k in range(1 + 2 * rank)),
            )
            for n, step, place in ((taps[i], dilations[i], 1 + i),
                                   (outputs[i], strides[i], 1 + rank + i))
        ]  # fmt: skip
        places.append(moved[(slice(None),) * (1 + rank) + (i,)] + at[0] + at[1] - float(pads[i]))
    seen = gx.reshape(x, (batch * shared, channels // shared, *image))
    found = sample(seen, places, "linear", [Border(n, "zeros", True) for n in image])
    if call.has(4):
        found = found * gx.reshape(call.x(4), (batch * shared, 1, *taps, *outputs))
    count, size = 1, 1
    for tap, out in zip(taps, outputs):
        count, size = count * tap, size * out
    found = gx.reshape(found, (batch, groups, channels // groups, count, size))
    kernels = gx.reshape(w, (groups, -1, channels // groups, count))
    y = gx.einsum("ngckp,gock->ngop", found, kernels)
    return with_bias(gx.reshape(y, (batch, -1, *outputs)), call.optional(3))


def roi_align(call: OnnxNode) -> Result:
    """Regions of an image averaged (or their largest samples) into bins."""
    x, rois, images = call.x(0), call.x(1), gx.astype(call.x(2), "int64")
    (count, channels), (height, width) = x.shape[:2], call.extents(2)
    images = checked_places(call, images, count)
    ratio = call["sampling_ratio"]
    if ratio <= 0:
        call.unsupported("sampling_ratio 0: the number of samples would depend on data")
    old = call.opset < 16
    mode = "output_half_pixel" if old else call["coordinate_transformation_mode"]
    half = 0.5 if mode == "half_pixel" else 0.0
    corners = rois * call["spatial_scale"] - half
    bins = (call["output_height"], call["output_width"])
    axes = []
    for i, (size, bin_count) in enumerate(zip((height, width), bins)):
        start, end = corners[:, 1 - i], corners[:, 3 - i]
        length = end - start if half else gx.maximum(end - start, 1.0)
        steps = (gx.arange(bin_count * ratio, dtype="float32") + 0.5) / float(ratio * bin_count)
        place = gx.expand_dims(start, 1) + gx.expand_dims(length, 1) * steps
        axes.append(bin_taps(place, size))
    rows = gx.reshape(gx.permute_dims(x, (0, 2, 3, 1)), (count * height * width, channels))
    base = gx.reshape(images, (-1, 1, 1))
    corner_values = []
    for (yi, yw), (xi, xw) in itertools.product(*axes):
        position = (base * height + gx.expand_dims(yi, 2)) * width + gx.expand_dims(xi, 1)
        weight = gx.expand_dims(yw, 2) * gx.expand_dims(xw, 1)
        values = gx.take(rows, position, 0) * gx.astype(gx.expand_dims(weight, -1), x.dtype)
        corner_values.append(values)
    return binned(call, corner_values, bins, ratio, channels)


def bin_taps(place: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Two indices and weights along one axis; weights are 0 beyond an element outside."""
    inside = (place >= -1.0) & (place <= float(size))
    t = gx.clip(place, 0.0, float(size - 1))
    low = gx.minimum(gx.floor(t), float(size - 1))
    part = t - low
    high = gx.minimum(low + 1.0, float(size - 1))
    pairs = ((low, 1.0 - part), (high, part))
    return [(gx.astype(i, "int64"), gx.where(inside, w, 0.0)) for i, w in pairs]


def binned(
    call: OnnxNode, values: list[Tensor], bins: tuple[int, int], ratio: int, channels: Any
) -> Tensor:
    """Samples combined into bins: their mean, or the largest weighted corner."""
    combine: Callable[[Tensor, Tensor], Tensor] = gx.add
    if call["mode"].lower() == "max":
        combine = gx.maximum
    total = values[0]
    for v in values[1:]:
        total = combine(total, v)
    parts = gx.reshape(total, (-1, bins[0], ratio, bins[1], ratio, channels))
    pooled = gx.max(parts, (2, 4)) if combine is gx.maximum else gx.mean(parts, (2, 4))
    return gx.permute_dims(pooled, (0, 3, 1, 2))


def columns_to_image(call: OnnxNode) -> Result:
    """Blocks added up where they lie in an image."""
    x, image, block = call.x(), call.ints(1), call.ints(2)
    rank = len(image)
    strides = call.get("strides") or (1,) * rank
    dilations = call.get("dilations") or (1,) * rank
    pads = call.get("pads") or (0,) * (2 * rank)
    counts = tuple(
        (image[i] + pads[i] + pads[i + rank] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    )
    batch = x.shape[0]
    parts = gx.reshape(x, (batch, -1, *block, *counts))
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    windows = tuple(
        Window(2 + i, 2 + i, 2 + rank + i, strides[i], dilations[i], pads[i]) for i in range(rank)
    )
    spread = lift_op(Fold(windows, image), gx.permute_dims(parts, order))
    return gx.sum(spread, tuple(range(2 + rank, 2 + 2 * rank)), dtype=x.dtype)


TABLE: Table = {
    ("GridSample", 16): grid_sample,
    ("DeformConv", 19): deformed_conv,
    ("RoiAlign", 10): roi_align,
    ("Col2Im", 18): columns_to_image,
}
