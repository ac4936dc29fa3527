"""Convolutions, their transposes, and pooling."""

from __future__ import annotations

import itertools
from typing import Any

import graphc as gx
from graphc import nn
from graphc.frontend.functions.creation import size_as
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size, product
from graphc.ir.types import int64
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.ops_index import checked_places
from graphc.onnx.ops_pad import cropped

Pairs = tuple[tuple[int, int], ...]
FIRST = "channels_first"


def window(
    call: OnnxNode, sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], Pairs]:
    """Strides, dilations and padding of a window of these sizes."""
    rank = len(sizes)
    strides = tuple(call.get("strides") or (1,) * rank)
    dilations = tuple(call.get("dilations") or (1,) * rank)
    return strides, dilations, padding(call, sizes, strides, dilations)


def padding(
    call: OnnxNode, sizes: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> Pairs:
    """(before, after) for every spatial axis; with auto_pad ceil(n / stride) outputs."""
    rank = len(sizes)
    auto = call.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = call.get("pads") or (0,) * (2 * rank)
        return tuple(zip(pads[:rank], pads[rank:]))
    if auto == "VALID":
        return ((0, 0),) * rank
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        call.unsupported(f"auto_pad {auto!r}")
    pairs = []
    for axis, (size, stride, dilation) in enumerate(zip(sizes, strides, dilations), 2):
        span = dilation * (size - 1) + 1
        rest = 1 if stride == 1 else (call.extent(axis) - 1) % stride + 1
        pairs.append(halves(max(0, span - rest), auto))
    return tuple(pairs)


def halves(total: int, auto: str) -> tuple[int, int]:
    """A number of zeros on both sides; the odd one behind with SAME_UPPER."""
    less, more = total // 2, total - total // 2
    return (less, more) if auto != "SAME_LOWER" else (more, less)


def kernel(w: Tensor) -> Tensor:
    """A stored kernel (out, in, *spatial) as graphc has it, (*spatial, in, out)."""
    return gx.permute_dims(w, (*range(2, w.ndim), 1, 0))


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """y with a number added to every channel."""
    return y if bias is None else y + gx.reshape(bias, (bias.shape[0],) + (1,) * (y.ndim - 2))


def conv(call: OnnxNode) -> Result:
    """A convolution with a bias."""
    return with_bias(convolved(call, call.x(0), call.x(1)), call.optional(2))


def convolved(call: OnnxNode, x: Tensor, w: Tensor, kernel_input: int = 1) -> Tensor:
    """A convolution of two tensors with a node's attributes."""
    strides, dilations, pads = window(call, call.extents(2, kernel_input))
    return nn.conv(x, kernel(w), strides, pads, dilations, call.get("group", 1), FIRST)


def conv_transpose(call: OnnxNode) -> Result:
    """The transpose of a convolution, with a bias."""
    x, w = call.x(0), call.x(1)
    sizes = call.extents(2, 1)
    rank = len(sizes)
    strides = tuple(call.get("strides") or (1,) * rank)
    dilations = tuple(call.get("dilations") or (1,) * rank)
    extra = tuple(call.get("output_padding") or (0,) * rank)
    pads = transposed_padding(call, sizes, strides, dilations, extra)
    taps = gx.permute_dims(w, (*range(2, w.ndim), 1, 0))
    groups = call.get("group", 1)
    if all(min(p) >= 0 for p in pads) and all(
        e < max(s, d) for e, s, d in zip(extra, strides, dilations)
    ):
        y = nn.conv_transpose(x, taps, strides, pads, dilations, groups, FIRST, extra)
        return with_bias(y, call.optional(2))
    y = nn.conv_transpose(x, taps, strides, "valid", dilations, groups, FIRST)
    for axis, ((before, after), more) in enumerate(zip(pads, extra), 2):
        behind = more - after
        y = cropped(y, axis, max(0, before), max(0, -behind))
        widths = [(0, 0)] * y.ndim
        widths[axis] = max(0, -before), max(0, behind)
        y = gx.pad(y, widths)
    return with_bias(y, call.optional(2))


def transposed_padding(
    call: OnnxNode,
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    extra: tuple[int, ...],
) -> Pairs:
    """What is cut from both sides: as given, or what the wanted output sizes leave."""
    auto, wanted = call.get("auto_pad", "NOTSET"), call.get("output_shape")
    if wanted is None and auto not in ("SAME_UPPER", "SAME_LOWER"):
        return padding(call, sizes, strides, dilations)
    rank = len(sizes)
    pairs = []
    for i in range(rank):
        # beyond as many elements as there are strides
        total = extra[i] + dilations[i] * (sizes[i] - 1) + 1 - strides[i]
        if wanted is not None:
            total += strides[i] * call.extent(2 + i) - wanted[-rank:][i]
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return tuple(pairs)


def pool_arguments(call: OnnxNode) -> dict[str, Any]:
    """The arguments that all poolings share."""
    sizes = tuple(call["kernel_shape"])
    strides, dilations, pads = window(call, sizes)
    return {
        "window": sizes, "strides": strides, "padding": pads, "dilation": dilations,
        "layout": FIRST, "ceil_mode": bool(call.get("ceil_mode")),
    }  # fmt: skip


def average_pool(call: OnnxNode) -> Result:
    """The means of windows."""
    counted = bool(call.get("count_include_pad"))
    return nn.avg_pool(call.x(), **pool_arguments(call), count_include_pad=counted)


def lp_pool(call: OnnxNode) -> Result:
    """The norms of windows."""
    return nn.lp_pool(call.x(), p=float(call["p"]), **pool_arguments(call))


def max_pool(call: OnnxNode) -> Result:
    """The largest elements of windows, and where they are."""
    x, arguments = call.x(), pool_arguments(call)
    largest = nn.max_pool(x, **arguments)
    if not call.is_output_used(1):
        return largest
    return largest, positions(call, largest, arguments)


def positions(call: OnnxNode, largest: Tensor, arguments: dict[str, Any]) -> Tensor:
    """Where in x, in row-major order, the first largest element of each window is."""
    shape = (*call.x().shape[:2], *call.extents(2))
    order = range(2, len(shape)) if not call["storage_order"] else range(len(shape) - 1, 1, -1)
    places = flat_places(shape, tuple(order))
    best = gx.full(largest.shape, -1, "int64")
    for taps in reversed(list(tap_slices(largest.shape, shape, arguments))):
        value, place, inside = (tapped(t, taps) for t in (call.x(), places, None))
        hit = ((value == largest) | gx.isnan(value)) & inside
        best = gx.where(hit, place, best)
    return best


def flat_places(shape: tuple[Size, ...], order: tuple[int, ...]) -> Tensor:
    """The position of every element; `order` names the spatial axes, the slowest first."""
    count = product(shape[2:])
    spatial = gx.reshape(gx.arange(count, dtype="int64"), tuple(shape[i] for i in order))
    spatial = gx.permute_dims(spatial, tuple(order.index(2 + i) for i in range(len(order))))
    images = gx.arange(shape[0] * shape[1], dtype="int64") * size_as(count, int64)
    return gx.reshape(images, shape[:2] + (1,) * len(order)) + spatial


def tap_slices(outputs: Any, shape: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
    """For every tap of a window, per axis: the outputs that it reaches, and their inputs."""
    axes = []
    for i, (size, stride, dilation, (before, _)) in enumerate(
        zip(*(arguments[k] for k in ("window", "strides", "dilation", "padding")))
    ):
        found = []
        for tap in range(size):
            start = dilation * tap - before
            first = max(0, -(start // stride))
            last = min(outputs[2 + i] - 1, (shape[2 + i] - 1 - start) // stride)
            found.append((first, last, start + stride * first, stride, outputs[2 + i]))
        axes.append(found)
    return itertools.product(*axes)


def tapped(x: Tensor | None, taps: Any) -> Tensor:
    """What one tap sees, in the shape of the outputs; without x, where it sees anything."""
    t = x
    if t is None:
        counts = [(max(0, last - first + 1), first, n) for first, last, _, _, n in taps]
        t = gx.ones((1, 1, *(c for c, _, _ in counts)), "bool")
        return gx.pad(t, [(0, 0), (0, 0), *((f, n - f - c) for c, f, n in counts)])
    widths = [(0, 0), (0, 0)]
    key: list[Any] = [slice(None)] * 2
    for first, last, start, stride, n in taps:
        count = max(0, last - first + 1)
        key.append(slice(start, start + stride * (count - 1) + 1, stride) if count else slice(0, 0))
        widths.append((first, n - first - count))
    return gx.pad(t[tuple(key)], widths)


def global_average(call: OnnxNode) -> Result:
    """The mean over all positions."""
    return gx.mean(call.x(), tuple(range(2, call.x().ndim)), keepdims=True)


def global_max(call: OnnxNode) -> Result:
    """The largest over all positions."""
    return gx.max(call.x(), tuple(range(2, call.x().ndim)), keepdims=True)


def global_lp(call: OnnxNode) -> Result:
    """The norm over all positions."""
    return nn.global_lp_pool(call.x(), float(call["p"]), FIRST, keepdims=True)


def max_unpool(call: OnnxNode) -> Result:
    """Elements put back to where a pooling found them, zeros elsewhere."""
    x, places = call.x(0), call.x(1)
    shape = x.shape
    strides = tuple(call.get("strides") or (1,) * (len(shape) - 2))
    pads = call.get("pads") or (0,) * (2 * (len(shape) - 2))
    rank = len(shape) - 2
    sizes = [
        (shape[2 + i] - 1) * strides[i] + call["kernel_shape"][i] - pads[i] - pads[i + rank]
        for i in range(rank)
    ]
    full = (*shape[:2], *sizes)
    count = product(full)
    flat_places = checked_places(call, gx.flatten(places), count)
    flat = gx.put_along_axis(gx.zeros((count,), x.dtype), flat_places, gx.flatten(x), 0)
    y = gx.reshape(flat, full)
    if not call.has(2):
        return y
    wanted = call.sizes(2)
    for axis, (w, n) in enumerate(zip(wanted, full)):
        widths = [(0, 0)] * y.ndim
        widths[axis] = (
            0,
            w - n if isinstance(w - n, int) else call.ints(2)[axis] - call.extent(axis),
        )
        y = gx.pad(y, widths)
    return y


TABLE: Table = {
    ("Conv", 1): conv,
    ("ConvTranspose", 1): conv_transpose,
    ("AveragePool", 1): average_pool,
    ("LpPool", 1): lp_pool,
    ("MaxPool", 1): max_pool,
    ("GlobalAveragePool", 1): global_average,
    ("GlobalMaxPool", 1): global_max,
    ("GlobalLpPool", 1): global_lp,
    ("MaxUnpool", 9): max_unpool,
}
