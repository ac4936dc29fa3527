"""Loops as ONNX: Scan where rows are read, else Loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from onnx import helper

from graphc.ir.graph import Node
from graphc.ir.ops.base import Op
from graphc.ir.ops.loop import Scan
from graphc.ir.types import TensorType, bool_, int64
from graphc.onnx.writer import Rule, Writer, living


def scan(w: Writer, node: Node, *xs: str) -> str:
    """One result of a loop, which is written once for all of them."""
    op = node.op
    assert isinstance(op, Scan)
    key = (replace(op, index=0), node.inputs)
    if key not in w.loops:
        partial = op.counted or op.condition is not None
        plain = op.scanned and op.length != 0 and not partial  # runtimes refuse a Scan of no rows
        w.loops[key] = rows(w, node, xs) if plain else loop(w, node, xs)
    return w.loops[key][op.index]


class Inside:
    """The graph of one iteration."""

    def __init__(self, w: Writer, node: Node, xs: tuple[str, ...]) -> None:
        assert isinstance(node.op, Scan)
        op = self.op = node.op
        self.writer = Writer(w.rules, w.layers, (), around=w)
        inputs = op.body.inputs
        self.carries, after = inputs[: op.carries], inputs[op.carries :]
        self.rows, shared = after[: op.scanned], after[op.scanned :]
        for node_, name in zip(shared, xs[op.carries + op.scanned :]):
            self.writer.values[node_] = name

    def declare(self, nodes: tuple[Node, ...]) -> list[Any]:
        """Inputs of the graph."""
        for node in nodes:
            self.writer.values[node] = self.writer.names.fresh(node.name or "row")
        return [self.writer.declared(self.writer.values[n], n.type) for n in nodes]

    def finish(self, inputs: list[Any], first: list[Any]) -> Any:
        """The graph whose outputs are `first` and those of the body."""
        writer, op = self.writer, self.op
        writer.write_all(n for n in op.body.nodes if n not in op.body.inputs)
        outputs = []
        for node in op.body.outputs:
            name = writer.names.fresh("next")
            writer.nodes.append(helper.make_node("Identity", [writer[node]], [name], name))
            outputs.append(writer.declared(name, node.type))
        nodes = living(writer.nodes, [o.name for o in outputs])
        return helper.make_graph(nodes, "body", inputs, [*first, *outputs])


def rows(w: Writer, node: Node, xs: tuple[str, ...]) -> list[str]:
    """A Scan over all rows."""
    inside = Inside(w, node, xs)
    op, stacks = inside.op, len(inside.op.body.outputs) - inside.op.carries
    inputs = inside.declare(inside.carries + inside.rows)
    given = xs[: op.carries + op.scanned]
    directions: dict[str, Any] = {"scan_input_directions": [int(op.reverse)] * op.scanned}
    if stacks:  # an empty list has no type that can be stored
        directions["scan_output_directions"] = [int(op.reverse)] * stacks
    found = w.op(
        "Scan", *given, count=op.carries + stacks, body=inside.finish(inputs, []),
        num_scan_inputs=op.scanned, **directions,
    )  # fmt: skip
    return [found] if isinstance(found, str) else list(found)


def loop(w: Writer, node: Node, xs: tuple[str, ...]) -> list[str]:
    """A Loop that may end early; stacks are filled up with zeros."""
    inside = Inside(w, node, xs)
    op, inner = inside.op, inside.writer
    partial = op.counted or op.condition is not None
    if op.reverse and partial:
        w.unsupported(node, "in reverse that may end early has no counterpart in ONNX")
    step, going = inner.names.fresh("step"), inner.names.fresh("going")
    heads = [
        inner.declared(step, TensorType(int64, ())),
        inner.declared(going, TensorType(bool_, ())),
    ]
    inputs = [*heads, *inside.declare(inside.carries)]
    place = step
    if op.reverse:
        place = inner.op("Sub", inner.size(op.length - 1), step)
    for row, name in zip(inside.rows, xs[op.carries :]):
        inner.values[row] = inner.op("Gather", name, place, axis=0)
    after = inner.names.fresh("going")
    graph = inside.finish(inputs, [inner.declared(after, TensorType(bool_, ()))])
    outputs = [o.name for o in graph.output[1:]]
    source = going if op.condition is None else outputs[op.condition]
    graph.node.append(helper.make_node("Identity", [source], [after], after))
    count = xs[-1] if op.counted else w.size(op.length)
    first = w.constant(True) if op.condition is None else xs[op.condition]
    found = w.op("Loop", count, first, *xs[: op.carries], count=len(outputs), body=graph)
    names = [found] if isinstance(found, str) else list(found)
    stacks = zip(names[op.carries :], op.body.outputs[op.carries :])
    return names[: op.carries] + [stacked(w, op, name, n.type, partial) for name, n in stacks]


def stacked(w: Writer, op: Scan, name: str, row: TensorType, partial: bool) -> str:
    """The rows of all iterations in the order of the arrays."""
    if op.reverse:
        bounds = (w.ints(-1), w.ints(-(2**63)), w.ints(0), w.ints(-1))
        return str(w.op("Slice", name, *bounds))
    if not partial:
        return name
    there = w.op("Shape", name, start=0, end=1)
    missing = w.op("Sub", w.sizes((op.length,)), there)
    none = w.ints(*[0] * row.ndim)
    widths = w.op("Concat", w.ints(*[0] * (row.ndim + 1)), missing, none, axis=0)
    return str(w.op("Pad", name, widths, w.number(0, row.dtype)))


RULES: dict[type[Op], Rule] = {Scan: scan}
