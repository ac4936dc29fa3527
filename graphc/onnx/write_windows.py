"""Layers that are told by what goes into them: convolutions, pooling, means, products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from graphc import nn
from graphc.errors import GraphcError
from graphc.frontend import functions as fn
from graphc.ir import ops
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.ops.window import Window
from graphc.nn.convolution import labels
from graphc.onnx.formulas import FIRST, LAST, LayerFormula, from_first, hole, to_first
from graphc.onnx.write_products import behind
from graphc.onnx.writer import Writer

Pads = tuple[tuple[int, int], ...]


def candidates(node: Node) -> Iterator[LayerFormula]:
    """The layers that might end in a node."""
    for pattern in PATTERNS.get(type(node.op), ()):
        try:
            yield from pattern(node)
        except (GraphcError, LookupError):  # built otherwise: it has no such axes or labels
            continue


def padding(
    windows: Sequence[Window], inputs: Sequence[Size], outputs: Sequence[Size], taps: Sequence[Size]
) -> Pads:
    """The zeros before and after each axis; LookupError where no number of them fits."""
    pads = []
    for v, size, count, tap in zip(windows, inputs, outputs, taps):
        after = behind(v, size, count, tap)
        if after is None:
            raise LookupError
        pads.append((v.before, max(0, after)))
    return tuple(pads)


def attributes(windows: Sequence[Window], pads: Pads) -> dict[str, Any]:
    """Windows in the format's terms."""
    return {
        "strides": [v.stride for v in windows],
        "dilations": [v.dilation for v in windows],
        "pads": [p[0] for p in pads] + [p[1] for p in pads],
    }


def pooling(node: Node) -> Iterator[LayerFormula]:
    """MaxPool; AveragePool with and without the padding."""
    largest = isinstance(node.op, ops.FirstMax)
    seen = node.inputs[0]
    if isinstance(seen.op, ops.Where if largest else ops.Sum):
        seen = seen.inputs[1 if largest else 0]
    op = seen.op
    if not isinstance(op, ops.Unfold):
        return
    shape = seen.inputs[0].type.shape[: -len(op.taps)]  # without the axes of the taps
    pads = padding(op.windows, [shape[v.input] for v in op.windows], op.sizes, op.taps)
    if any(max(p) >= taps for p, taps in zip(pads, op.taps)):
        return  # runtimes refuse padding as wide as the window
    layout = FIRST if op.windows[-1].input == len(shape) - 1 else LAST
    x, given = hole(*shape), attributes(op.windows, pads)
    windows = (op.taps, tuple(given["strides"]), pads, tuple(given["dilations"]), layout)
    write = partial(pool, {"kernel_shape": op.taps, **given}, layout, len(shape))
    if largest:
        yield LayerFormula(nn.max_pool(x, *windows), (x,), partial(write, "MaxPool"))
        return
    yield LayerFormula(nn.avg_pool(x, *windows), (x,), partial(write, "AveragePool"))
    counted = nn.avg_pool(x, *windows, count_include_pad=True)
    yield LayerFormula(counted, (x,), partial(write, "AveragePool", count_include_pad=1))


def pool(
    given: Mapping[str, Any], layout: str, ndim: int, kind: str, w: Writer, x: str, **more: int
) -> str:
    """A pooling operator."""
    attributes: dict[str, Any] = {**given, **more}
    return from_first(w, w.op(kind, to_first(w, x, layout, ndim), **attributes), layout, ndim)


def convolution(node: Node) -> Iterator[LayerFormula]:
    """Conv with its bias and its groups."""
    biased = isinstance(node.op, ops.Add)
    made = node.inputs[0] if biased else node
    made = made.inputs[0] if isinstance(made.op, ops.Reshape) else made
    op = made.op
    if not isinstance(op, ops.Conv):
        return
    sizes = op.sizes(made.inputs[0].type, made.inputs[1].type)
    batch, inner, outer, group = labels("nckg")
    groups: Any = sizes.get(group, 1)
    space, taps, shown = ([sizes[getattr(v, name)] for v in op.windows]
                          for name in ("input", "tap", "output"))  # fmt: skip
    pads, rank = padding(op.windows, space, shown, taps), len(taps)
    layout = FIRST if op.out[-1] == op.windows[-1].output else LAST
    channels = sizes[inner] * groups
    shape = (channels, *space) if layout == FIRST else (*space, channels)
    x, kernel = hole(sizes[batch], *shape), hole(*taps, sizes[inner], sizes[outer] * groups)
    bias = hole(sizes[outer] * groups)
    given = attributes(op.windows, pads)
    y = nn.conv(x, kernel, tuple(given["strides"]), pads, tuple(given["dilations"]), groups, layout)

    def write(w: Writer, x: str, kernel: str, *bias: str) -> str:
        stored = w.transpose(kernel, (rank + 1, rank, *range(rank)))
        first = to_first(w, x, layout, rank + 2)
        y = w.op("Conv", first, stored, *bias, group=groups, **given)
        return from_first(w, y, layout, rank + 2)

    if not biased:
        yield LayerFormula(y, (x, kernel), write)
        return
    along = fn.reshape(bias, (*bias.shape, *[1] * rank)) if layout == FIRST else bias
    yield LayerFormula(y + along, (x, kernel, bias), write)


def product(node: Node) -> Iterator[LayerFormula]:
    """Gemm: the product of two matrices and a bias."""
    shapes = [i.type.shape for i in node.inputs[0].inputs]
    if not isinstance(node.inputs[0].op, ops.Dot) or any(len(s) != 2 for s in shapes):
        return
    a, b, bias = hole(*shapes[0]), hole(*shapes[1]), hole(shapes[1][1])

    def write(w: Writer, a: str, b: str, bias: str) -> str:
        source, perm = w.transposed.get(b, (b, ()))
        return str(w.op("Gemm", a, source, bias, transB=int(perm == (1, 0))))

    yield LayerFormula(fn.matmul(a, b) + bias, (a, b, bias), write)


def mean(node: Node) -> Iterator[LayerFormula]:
    """ReduceMean."""
    total = node.inputs[0]
    kept = isinstance(total.op, ops.Reshape)
    total = total.inputs[0] if kept else total
    if not isinstance(total.op, ops.Sum):
        return
    axes, x = total.op.axes, hole(*total.inputs[0].type.shape)

    def write(w: Writer, x: str) -> str:
        source, perm = w.transposed.get(x, (x, tuple(range(total.inputs[0].type.ndim))))
        left = [p for i, p in enumerate(perm) if i not in axes]
        if kept or left != sorted(left):
            return str(w.op("ReduceMean", x, w.ints(*axes), keepdims=int(kept)))
        return str(w.op("ReduceMean", source, w.ints(*[perm[i] for i in axes]), keepdims=0))

    yield LayerFormula(fn.mean(x, axes, keepdims=kept), (x,), write)


PATTERNS: Mapping[type[Op], tuple[Callable[[Node], Iterator[LayerFormula]], ...]] = {
    ops.FirstMax: (pooling,),
    ops.Div: (pooling, mean),
    ops.Conv: (convolution,),
    ops.Reshape: (convolution,),
    ops.Add: (convolution, product),
}
