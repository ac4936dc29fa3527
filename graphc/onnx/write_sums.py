"""Reductions, running sums, sorts and searches as ONNX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import helper

from graphc.ir import ops
from graphc.ir.dims import product
from graphc.ir.graph import Node
from graphc.ir.ops.base import Op, Reduce
from graphc.ir.types import DType, TensorType, bool_, float32, float64, int32, int64
from graphc.onnx.writer import Rule, Writer

REDUCIBLE_DTYPES = (float32, float64, int32, int64)  # what runtimes reduce


def wide(dtype: DType) -> DType:
    """The dtype to compute in: itself, or one that holds all its numbers (64 bits wrap alike)."""
    return dtype if dtype in REDUCIBLE_DTYPES else float32 if dtype.is_float else int64


def in_wide(w: Writer, node: Node, x: str, compute: Callable[[str], str]) -> str:
    """Compute in a dtype that runtimes have, and return to that of the result."""
    given, result = node.inputs[0].type.dtype, node.type.dtype
    found = compute(x if wide(given) == given else w.cast(x, wide(given)))
    return found if wide(given) == given or result == int64 else w.cast(found, result)


def reduction(kind: str) -> Rule:
    """A reduction over axes."""

    def rule(w: Writer, node: Node, x: str) -> str:
        assert isinstance(node.op, Reduce)
        axes = node.op.axes
        if not axes:
            return x
        return in_wide(w, node, x, lambda v: str(w.op(kind, v, w.ints(*axes), keepdims=0)))

    return rule


def any_of(w: Writer, node: Node, x: str) -> str:
    """Whether the number of true elements is not 0; a maximum of nothing is no 0."""
    assert isinstance(node.op, Reduce)
    if not node.op.axes:
        return x
    count = w.op("ReduceSum", w.cast(x, int64), w.ints(*node.op.axes), keepdims=0)
    return w.cast(str(count), bool_)


def all_of(w: Writer, node: Node, x: str) -> str:
    """Whether no element is false."""
    return str(w.op("Not", any_of(w, node, str(w.op("Not", x)))))


def place(kind: str) -> Rule:
    """Where an extreme is; several axes are joined first."""

    def rule(w: Writer, node: Node, x: str) -> str:
        op, shape = node.op, node.inputs[0].type.shape
        assert isinstance(op, Reduce)
        axis, given = op.axes[0] if op.axes else 0, node.inputs[0].type.dtype
        if len(op.axes) != 1:
            order = [i for i in range(len(shape)) if i not in op.axes] + list(op.axes)
            kept, axis = order[: len(shape) - len(op.axes)], len(shape) - len(op.axes)
            x = w.op("Transpose", x, perm=order) if order else x
            joined = product(shape[i] for i in op.axes)
            x = w.op("Reshape", x, w.sizes([*(shape[i] for i in kept), joined]), allowzero=1)
        x = x if given == wide(given) else w.cast(x, wide(given))
        return str(w.op(kind, x, axis=axis, keepdims=0))

    return rule


def running_sum(w: Writer, node: Node, x: str) -> str:
    """CumSum."""
    assert isinstance(node.op, ops.CumulativeSum)
    axis = w.constant(np.int64(node.op.axis))
    return in_wide(w, node, x, lambda v: str(w.op("CumSum", v, axis)))


def running(kind: str) -> Rule:
    """A loop along the axis that combines each element with what came before."""

    def rule(w: Writer, node: Node, x: str) -> str:
        dtype = node.type.dtype
        ends = np.iinfo(dtype.numpy) if not dtype.is_float else None
        least, most = (-np.inf, np.inf) if ends is None else (ends.min, ends.max)
        start = {"Mul": 1, "Max": least, "Min": most}[kind]
        return along(w, node, [x], start, lambda s, v: [(kind, (s, v[0]))])

    return rule


def recurrence(w: Writer, node: Node, a: str, b: str) -> str:
    """s becomes a s + b."""

    def step(state: str, rows: list[str]) -> list[tuple[str, tuple[str, ...]]]:
        product = w.names.fresh("mul")
        return [("Mul:" + product, (rows[0], state)), ("Add", (product, rows[1]))]

    return along(w, node, [a, b], 0, step)


def along(
    w: Writer,
    node: Node,
    xs: list[str],
    start: float,
    step: Callable[[str, list[str]], list[tuple[str, tuple[str, ...]]]],
) -> str:
    """A Scan along the op's axis; `step` gives the nodes from state and rows to the next state."""
    op, shape = node.op, node.type.shape
    assert isinstance(
        op, (ops.Recurrence, ops.CumulativeProd, ops.CumulativeMax, ops.CumulativeMin)
    )
    if 0 in shape:
        return xs[0]
    others = shape[: op.axis] + shape[op.axis + 1 :]
    first = w.op("Expand", w.number(start, node.type.dtype), w.sizes(others))
    state, rows = w.names.fresh("state"), [w.names.fresh("row") for _ in xs]
    steps, nodes, last = step(state, rows), [], ""
    for kind, inputs in steps:
        kind, _, last = kind.partition(":")
        last = last or w.names.fresh("next")
        nodes.append(helper.make_node(kind, list(inputs), [last], last))
    out = w.names.fresh("out")
    nodes.append(helper.make_node("Identity", [last], [out], out))
    row = TensorType(node.type.dtype, others)
    declared = [w.declared(n, row) for n in (state, *rows, last, out)]
    body = helper.make_graph(nodes, "body", declared[: 1 + len(rows)], declared[1 + len(rows) :])
    _, found = w.op(
        "Scan", first, *xs, count=2, body=body, num_scan_inputs=len(xs),
        scan_input_axes=[op.axis] * len(xs), scan_output_axes=[op.axis],
    )  # fmt: skip
    return str(found)


def ordered(w: Writer, node: Node, x: str) -> tuple[str, str]:
    """The values and places of a sorted axis, or of its front."""
    op = node.op
    assert isinstance(op, (ops.Sort, ops.ArgSort, ops.TopK))
    count = op.k if isinstance(op, ops.TopK) else node.type.shape[op.axis]
    largest = op.largest if isinstance(op, ops.TopK) else op.descending
    given = node.inputs[0].type.dtype
    x = x if given == wide(given) else w.cast(x, wide(given))
    size = w.sizes((count,))
    values, places = w.op("TopK", x, size, count=2, axis=op.axis, largest=int(largest), sorted=1)
    return values, places


def sort(w: Writer, node: Node, x: str) -> str:
    """The values that TopK puts in order."""
    values, dtype = ordered(w, node, x)[0], node.type.dtype
    return values if dtype == wide(dtype) else w.cast(values, dtype)


def places(w: Writer, node: Node, x: str) -> str:
    """Where TopK found them."""
    return ordered(w, node, x)[1]


def search(w: Writer, node: Node, x: str, values: str) -> str:
    """How many elements are smaller (not larger)."""
    assert isinstance(node.op, ops.SearchSorted)
    given = node.inputs[0].type.dtype
    if given == bool_:
        x, values = w.cast(x, int32), w.cast(values, int32)
    if node.inputs[0].type.shape[0] == 0:
        return str(w.op("Expand", w.constant(0, "int64"), w.sizes(node.type.shape)))
    column = w.op("Unsqueeze", values, w.ints(-1))
    below = w.op("LessOrEqual" if node.op.right else "Less", x, column)
    if given.is_float:  # NaN is larger than every number
        last = w.op("IsNaN", column)
        last = last if node.op.right else w.op("And", last, w.op("Not", w.op("IsNaN", x)))
        below = w.op("Or", below, last)
    return str(w.op("ReduceSum", w.cast(below, int64), w.ints(-1), keepdims=0))


RULES: dict[type[Op], Rule] = {
    ops.Sum: reduction("ReduceSum"),
    ops.Prod: reduction("ReduceProd"),
    ops.Max: reduction("ReduceMax"),
    ops.FirstMax: reduction("ReduceMax"),
    ops.Min: reduction("ReduceMin"),
    ops.Any_: any_of,
    ops.All: all_of,
    ops.ArgMax: place("ArgMax"),
    ops.ArgMin: place("ArgMin"),
    ops.CumulativeSum: running_sum,
    ops.CumulativeProd: running("Mul"),
    ops.CumulativeMax: running("Max"),
    ops.CumulativeMin: running("Min"),
    ops.Recurrence: recurrence,
    ops.Sort: sort,
    ops.ArgSort: places,
    ops.TopK: places,
    ops.SearchSorted: search,
}
