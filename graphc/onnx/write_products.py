"""Products and convolutions as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.ir import ops
from graphc.ir.dims import Size, floordiv, product
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.ops.contract import Labels, letters
from graphc.ir.ops.window import Window
from graphc.onnx.write_sums import wide
from graphc.onnx.write_views import cut
from graphc.onnx.writer import Rule, Writer


def dot(w: Writer, node: Node, a: str, b: str) -> str:
    """MatMul of transposes where the labels are those of matrices, else Einsum."""
    op, dtype = node.op, node.type.dtype
    assert isinstance(op, ops.Dot)
    if wide(dtype) != dtype:
        a, b = w.cast(a, wide(dtype)), w.cast(b, wide(dtype))
    y = as_matmul(w, op, a, b)
    if y is None:
        equation = f"{letters(op.a)},{letters(op.b)}->{letters(op.out)}"
        y = str(w.op("Einsum", a, b, equation=equation))
    return y if wide(dtype) == dtype else w.cast(y, dtype)


def as_matmul(w: Writer, op: ops.Dot, a: str, b: str) -> str | None:
    """MatMul of (batch, i, k) and (batch, k, j), of which one may lack the batch; else None."""
    if min(len(op.a), len(op.b), len(op.out)) < 2:
        return None
    *batch, i, j = op.out
    (x, x_labels), (y, y_labels) = (a, op.a), (b, op.b)
    if i not in op.a:
        (x, x_labels), (y, y_labels) = (b, op.b), (a, op.a)
    summed = [k for k in op.a if k in op.b and k not in op.out]
    left, right = ([n for n in batch if n in labels] for labels in (x_labels, y_labels))
    rows, columns = [*left, i, *summed], [*right, *summed, j]
    fits = sorted(rows) == sorted(x_labels) and sorted(columns) == sorted(y_labels)
    whole = batch in (left, right) and left in ([], batch) and right in ([], batch)
    if not (fits and whole and len(summed) == 1):
        return None
    x = w.transpose(x, [x_labels.index(label) for label in rows])
    y = w.transpose(y, [y_labels.index(label) for label in columns])
    return str(w.op("MatMul", x, y))


@dataclass(frozen=True)
class Roles:
    """What the labels of a convolution are; every one but the windows' may be missing."""

    batch: Labels
    group: Labels
    summed: Labels
    made: Labels


def conv(w: Writer, node: Node, a: str, b: str) -> str:
    """Conv, or ConvTranspose where the result has the inputs of the windows."""
    op = node.op
    assert isinstance(op, ops.Conv)
    if not node.type.dtype.is_float:
        w.unsupported(node, f"of {node.type.dtype.name} has no counterpart in ONNX")
    if any(window.tap in op.out for window in op.windows):
        w.unsupported(node, "to the kernel (the gradient of a convolution) is none of ONNX")
    swapped = op.windows[0].tap in op.a
    x, kernel, names = (op.b, op.a, (b, a)) if swapped else (op.a, op.b, (a, b))
    back = op.windows[0].input in op.out
    if any((window.input in op.out) != back for window in op.windows):
        w.unsupported(node, "of windows in two directions has no counterpart in ONNX")
    ends = [i for window in op.windows for i in (window.input, window.output, window.tap)]
    roles = Roles(
        tuple(i for i in x if i in op.out and i not in kernel and i not in ends),
        tuple(i for i in x if i in op.out and i in kernel),
        tuple(i for i in x if i not in op.out and i not in ends),
        tuple(i for i in kernel if i in op.out and i not in x),
    )
    sizes = op.sizes(node.inputs[0].type, node.inputs[1].type)
    return convolved(w, node, roles, sizes, (x, kernel), names, back)


def convolved(
    w: Writer, node: Node, roles: Roles, sizes: dict[int, Size], labels: tuple[Labels, Labels],
    names: tuple[str, str], back: bool,
) -> str:  # fmt: skip
    """The operator between changes of layout."""
    op, r = node.op, roles
    assert isinstance(op, ops.Conv)
    seen = tuple(i.output if back else i.input for i in op.windows)
    shown = tuple(i.input if back else i.output for i in op.windows)
    taps = tuple(i.tap for i in op.windows)
    x = arranged(w, names[0], labels[0], (r.batch, r.group + r.summed, *zip(seen)), sizes)
    order = (r.group + r.summed, r.made) if back else (r.group + r.made, r.summed)
    kernel = arranged(w, names[1], labels[1], (*order, *zip(taps)), sizes)
    attributes: dict[str, Any] = {
        "strides": [i.stride for i in op.windows],
        "dilations": [i.dilation for i in op.windows],
        "group": int(product(sizes[i] for i in r.group)),  # type: ignore[arg-type]
    }
    if back:
        y = transposed(w, node, x, kernel, back_pads(w, node, sizes), **attributes)
    else:
        x, pads = forward_pads(w, node, x, sizes)
        y = w.op("Conv", x, kernel, pads=pads, **attributes)
    found = (*r.batch, *r.group, *r.made, *shown)
    y = w.op("Reshape", y, w.sizes([sizes[i] for i in found]), allowzero=1)
    perm = [found.index(i) for i in op.out]
    return y if perm == sorted(perm) else w.transpose(y, perm)


def arranged(
    w: Writer, x: str, labels: Labels, axes: tuple[Labels, ...], sizes: dict[int, Size]
) -> str:
    """A tensor with these axes, each of several labels or of none."""
    order = [i for axis in axes for i in axis]
    perm = [labels.index(i) for i in order]
    if perm != sorted(perm):
        x = w.transpose(x, perm)
    if all(len(axis) == 1 for axis in axes):
        return x
    shape = [product(sizes[i] for i in axis) for axis in axes]
    return str(w.op("Reshape", x, w.sizes(shape), allowzero=1))


def forward_pads(w: Writer, node: Node, x: str, sizes: dict[int, Size]) -> tuple[str, list[int]]:
    """The input without what no window sees, and the zeros before and after it."""
    assert isinstance(node.op, ops.Conv)
    before, after = [], []
    for axis, window in enumerate(node.op.windows, 2):
        size, start = sizes[window.input], max(0, -window.before)
        count = sizes[window.output]
        end = behind(window, size, count, sizes[window.tap])
        if end is None:
            w.unsupported(node, f"from {size} to {count} elements has no counterpart in ONNX")
        if start or end < 0:
            x = cut(w, x, axis, start, size - start + min(0, end))
        before.append(max(0, window.before))
        after.append(max(0, end))
    return x, before + after


def behind(window: Window, size: Size, count: Size, taps: Size) -> int | None:
    """How many zeros come after the input (negative: how much of it no window sees).

    None where no number gives so many outputs for all sizes.
    """
    assert isinstance(taps, int)
    reach = window.dilation * (taps - 1) + 1 - window.before
    exact = window.stride * (count - 1) + reach - size
    if isinstance(exact, int):
        return exact
    ends = range(reach + window.before + window.stride)
    fitting = (n for n in ends if floordiv(size + n - reach, window.stride) + 1 == count)
    return next(fitting, None)


def back_pads(w: Writer, node: Node, sizes: dict[int, Size]) -> list[int]:
    """What is cut off before and after the result (negative: zeros that are added)."""
    assert isinstance(node.op, ops.Conv)
    before, after = [], []
    for window in node.op.windows:
        size, count, taps = (sizes[i] for i in (window.input, window.output, window.tap))
        whole = window.stride * (count - 1) + window.dilation * (taps - 1) + 1
        end = whole - window.before - size
        if not isinstance(end, int):
            w.unsupported(node, f"from {count} to {size} elements has no counterpart in ONNX")
        before.append(window.before)
        after.append(end)
    return before + after


def transposed(
    w: Writer, node: Node, x: str, kernel: str, pads: list[int], **attributes: Any
) -> str:
    """ConvTranspose; zeros around it where it is too small."""
    kept = [max(0, n) for n in pads]
    y = str(w.op("ConvTranspose", x, kernel, pads=kept, **attributes))
    if kept == pads:
        return y
    zeros, n = [max(0, -n) for n in pads], len(pads) // 2
    widths = [0, 0, *zeros[:n], 0, 0, *zeros[n:]]
    return str(w.op("Pad", y, w.ints(*widths), w.number(0, node.type.dtype)))


RULES: dict[type[Op], Rule] = {ops.Dot: dot, ops.Conv: conv}
