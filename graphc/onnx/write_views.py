"""Views and joins as ONNX."""

from __future__ import annotations

from typing import Any

from graphc.ir import ops
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.ops.padding import EDGE, REFLECT, WRAP
from graphc.ir.ops.window import Window
from graphc.onnx.writer import Rule, Writer

BEFORE_FIRST = -(2**63)  # an end in front of all elements, for steps back


def broadcast(w: Writer, node: Node, x: str) -> str:
    """Expand."""
    return str(w.op("Expand", x, w.sizes(node.type.shape)))


def reshape(w: Writer, node: Node, x: str) -> str:
    """Reshape; sizes that are not known are left to the runtime or taken from the input."""
    shape, source = node.type.shape, node.inputs[0].type.shape
    unknown = [i for i, size in enumerate(shape) if not isinstance(size, int)]
    copied = all(i < len(source) and source[i] == shape[i] for i in unknown)
    if unknown and 0 not in shape and (copied or len(unknown) == 1):
        stands = 0 if copied else -1
        known = [stands if i in unknown else int(s) for i, s in enumerate(shape)]  # type: ignore[arg-type]
        return str(w.op("Reshape", x, w.ints(*known)))
    return str(w.op("Reshape", x, w.sizes(shape), allowzero=1))


def permute(w: Writer, node: Node, x: str) -> str:
    """Transpose."""
    assert isinstance(node.op, ops.Permute)
    if not node.op.axes:
        return x
    return w.transpose(x, node.op.axes)


def cut(w: Writer, x: str, axis: int, start: Size, count: Size, step: int = 1) -> str:
    """`count` elements of an axis."""
    end = start + count * step
    stop: Size = BEFORE_FIRST if step < 0 and isinstance(end, int) and end < 0 else end
    bounds = (w.sizes((start,)), w.sizes((stop,)), w.ints(axis), w.ints(step))
    return str(w.op("Slice", x, *bounds))


def slice_(w: Writer, node: Node, x: str) -> str:
    """Slice, of the axes that change."""
    op, shape = node.op, node.inputs[0].type.shape
    assert isinstance(op, ops.Slice)
    for axis, (start, size, step) in enumerate(zip(op.starts, op.sizes, op.steps)):
        if (start, size, step) != (0, shape[axis], 1):
            x = cut(w, x, axis, start, size, step)
    return x


def padded(w: Writer, x: str, before: Any, after: Any, node: Node, mode: str = "constant") -> str:
    """Pad; the axes are all of them."""
    widths = w.sizes((*before, *after))
    if mode != "constant":
        return str(w.op("Pad", x, widths, mode=mode))
    return str(w.op("Pad", x, widths, w.number(0, node.type.dtype)))


def pad(w: Writer, node: Node, x: str) -> str:
    """Zeros around; between elements by a new axis of zeros behind each."""
    op, shape = node.op, list(node.inputs[0].type.shape)
    assert isinstance(op, ops.Pad)
    n = len(shape)
    if n == 0:
        return x
    for axis, step in enumerate(op.steps):
        if step == 1 or shape[axis] == 0:
            continue
        apart = w.op("Unsqueeze", x, w.ints(axis + 1))
        widths = [0] * (n + 1)
        apart = padded(w, apart, widths, [*widths[: axis + 1], step - 1, *widths[axis + 2 :]], node)
        shape[axis] = shape[axis] * step
        x = w.op("Reshape", apart, w.sizes(shape), allowzero=1)
        shape[axis] = shape[axis] - (step - 1)
        x = cut(w, x, axis, 0, shape[axis])
    empty = [i for i, size in enumerate(shape) if size == 0]
    if empty:  # where nothing is there the sizes may end before they begin
        return str(w.op("Expand", w.number(0, node.type.dtype), w.sizes(node.type.shape)))
    return padded(w, x, op.before, op.after, node)


def extend(w: Writer, node: Node, x: str) -> str:
    """Pad by its modes; what mirrors behind the ends is joined."""
    op, source = node.op, node.inputs[0].type.shape
    assert isinstance(op, ops.Extend)
    n = len(source)
    before, after = ([0] * n, [0] * n)
    if op.mode in (REFLECT, EDGE, WRAP):
        widths: Any = (before, after)
        for side, width in zip(widths, (op.before, op.after)):
            side[op.axis] = width
        return padded(w, x, before, after, node, op.mode)
    parts = [x]
    if op.before != 0:
        parts.insert(0, cut(w, x, op.axis, op.before - 1, op.before, -1))
    if op.after != 0:
        parts.append(cut(w, x, op.axis, source[op.axis] - 1, op.after, -1))
    return str(w.op("Concat", *parts, axis=op.axis))


def roll(w: Writer, node: Node, x: str) -> str:
    """The end in front of the rest."""
    op, size = node.op, node.type.shape
    assert isinstance(op, ops.Roll)
    rest = size[op.axis] - op.shift
    parts = (cut(w, x, op.axis, rest, op.shift), cut(w, x, op.axis, 0, rest))
    return str(w.op("Concat", *parts, axis=op.axis))


def diagonal(w: Writer, node: Node, x: str) -> str:
    """The elements of a square where both axes are equal."""
    op, n = node.op, node.inputs[0].type.ndim
    assert isinstance(op, ops.Diagonal)
    count = node.type.shape[-1]
    x = cut(w, x, n - 2, max(0, -op.offset), count)
    x = cut(w, x, n - 1, max(0, op.offset), count)
    counter = w.op("Range", w.constant(0, "int64"), w.size(count), w.constant(1, "int64"))
    places = w.op("Unsqueeze", counter, w.ints(*range(n - 2), n - 1))
    places = w.op("Expand", places, w.sizes((*node.type.shape, 1)))
    found = w.op("GatherElements", x, places, axis=n - 1)
    return str(w.op("Squeeze", found, w.ints(n - 1)))


def concat(w: Writer, node: Node, *xs: str) -> str:
    """Concat."""
    assert isinstance(node.op, ops.Concat)
    return str(w.op("Concat", *xs, axis=node.op.axis))


def slide(w: Writer, node: Node, x: str) -> str:
    """Strided slices for each tap of a window, one window after the other."""
    op = node.op
    assert isinstance(op, ops.Unfold)
    shape = list(node.inputs[0].type.shape)
    for window, size, taps in zip(op.windows, op.sizes, op.taps):
        x = slid(w, node, x, shape, window, size, taps)
        shape[window.input], shape[window.tap] = size, taps
    return x


def slid(
    w: Writer, node: Node, x: str, shape: list[Size], window: Window, size: Size, taps: int
) -> str:
    """What one window sees."""
    axis, n = window.input, len(shape)
    last = window.stride * (size - 1) + window.dilation * (taps - 1) - window.before
    missing = last - (shape[axis] - 1)
    after = max(missing, 0) if isinstance(missing, int) else window.dilation * taps
    ends: tuple[list[int], list[int]] = ([0] * n, [0] * n)
    ends[0][axis], ends[1][axis] = window.before, after
    wide = padded(w, x, *ends, node)
    parts = []
    for tap in range(taps):
        part = wide
        if shape[window.tap] != 1:
            part = cut(w, part, window.tap, tap // window.step, 1)
        start = window.dilation * tap
        parts.append(last_cut(w, part, axis, start, size, window.stride))
    return str(w.op("Concat", *parts, axis=window.tap)) if taps > 1 else parts[0]


def last_cut(w: Writer, x: str, axis: int, start: int, count: Size, step: int) -> str:
    """`count` elements; the end is just behind the last one."""
    end = start + (count - 1) * step + 1
    bounds = (w.ints(start), w.sizes((end,)), w.ints(axis), w.ints(step))
    return str(w.op("Slice", x, *bounds))


RULES: dict[type[Op], Rule] = {
    ops.BroadcastTo: broadcast,
    ops.Reshape: reshape,
    ops.Permute: permute,
    ops.Slice: slice_,
    ops.Pad: pad,
    ops.Extend: extend,
    ops.Roll: roll,
    ops.Diagonal: diagonal,
    ops.Concat: concat,
    ops.Unfold: slide,
}
