"""Graphs inside nodes: choices and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto

import graphc as gx
from graphc.onnx.call import Call, Table
from graphc.onnx.values import Value
from graphc.tensor import Tensor

LONGEST = 1024  # iterations of loops that are written out


def branch(call: Call) -> Any:
    """One of two graphs: by a known condition, or both and then a choice."""
    condition = call.value(0).known()
    if condition is not None and condition.dtype != object:
        chosen = call.graph("then_branch" if condition.reshape(-1)[0] else "else_branch")
        return tuple(call.scope.inner().run_graph(chosen, ()))
    sides = [
        call.scope.inner().run_graph(call.graph(name), ())
        for name in ("then_branch", "else_branch")
    ]
    if any(a.tensor.type != b.tensor.type for a, b in zip(*sides)):
        call.known(0)
    test = gx.reshape(call.x(0), ())
    return tuple(gx.where(test, a.tensor, b.tensor) for a, b in zip(*sides))


def loop(call: Call) -> Any:
    """A graph run as often as a known number and condition say, written out."""
    body = call.graph("body")
    limit = int(call.number(0)) if call.has(0) else LONGEST + 1
    going = bool(call.number(1)) if call.has(1) else True
    carried: list[Value | None] = [call.value(i) for i in range(2, len(call.inputs))]
    stacks: list[list[Tensor]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    i = 0
    while i < limit and going:
        if i == LONGEST:
            call.unsupported(f"more than {LONGEST} iterations")
        step = Value(array=np.asarray(i, np.int64))
        outputs = call.scope.inner().run_graph(
            body, [step, Value(array=np.asarray(True)), *carried]
        )
        going = condition_of(call, outputs[0])
        carried = list(outputs[1 : 1 + len(carried)])
        for stack, value in zip(stacks, outputs[1 + len(carried) :]):
            stack.append(value.tensor)
        i += 1
    stacked = [stacked_rows(call, s, body, 1 + len(carried) + k) for k, s in enumerate(stacks)]
    return (*carried, *stacked)


def condition_of(call: Call, value: Value) -> bool:
    """A condition that must be known."""
    known = value.known()
    if known is None:
        call.unknown(1, value)
    return bool(known.reshape(-1)[0])


def stacked_rows(call: Call, rows: list[Tensor], body: GraphProto, i: int) -> Tensor:
    """What the iterations made, along a new first axis."""
    if not rows:
        call.unsupported(f"no iterations, and so no sizes of output {body.output[i].name}")
    return gx.stack(rows, 0)


def scan(call: Call) -> Any:
    """A graph run along axes of its inputs, written out."""
    body, count = call.graph("body"), call["num_scan_inputs"]
    if call.opset < 9:
        return scan_of_batches(call, body, count)
    first = len(call.inputs) - count
    axes = call.get("scan_input_axes") or (0,) * count
    backwards = call.get("scan_input_directions") or (0,) * count
    inputs = [
        gx.moveaxis(call.x(first + i), call.normal(axes[i], call.x(first + i).ndim), 0)
        for i in range(count)
    ]
    states = [call.value(i) for i in range(first)]
    outputs, stacks = scanned(call, body, states, inputs, backwards)
    ahead = call.get("scan_output_directions") or (0,) * len(stacks)
    places = call.get("scan_output_axes") or (0,) * len(stacks)
    results = []
    for rows, reverse, axis in zip(stacks, ahead, places):
        y = gx.stack(rows[::-1] if reverse else rows, 0)
        results.append(gx.moveaxis(y, 0, call.normal(axis, y.ndim)))
    return (*outputs, *results)


def scanned(
    call: Call, body: GraphProto, states: list[Value], inputs: list[Tensor], backwards: Any
) -> tuple[list[Value], list[list[Tensor]]]:
    """The last states, and for every other output its rows."""
    length = inputs[0].shape[0]
    if not isinstance(length, int) or not 0 < length <= LONGEST:
        call.unsupported(f"a loop over {length} rows")
    rows: list[list[Tensor]] = [[] for _ in range(len(body.output) - len(states))]
    for t in range(length):
        parts = [Value(x[length - 1 - t if b else t]) for x, b in zip(inputs, backwards)]
        outputs = call.scope.inner().run_graph(body, [*states, *parts])
        states = outputs[: len(states)]
        for stack, value in zip(rows, outputs[len(states) :]):
            stack.append(value.tensor)
    return states, rows


def scan_of_batches(call: Call, body: GraphProto, count: int) -> Any:
    """The first form: every operand has a batch axis before the others."""
    if call.has(0):
        call.unsupported("sequence lengths")
    first = len(call.inputs) - count
    batch = call.static(first)[0]
    backwards = call.get("directions") or (0,) * count
    found = []
    for n in range(batch):
        states = [Value(call.x(i)[n]) for i in range(1, first)]
        inputs = [call.x(first + i)[n] for i in range(count)]
        last, stacks = scanned(call, body, states, inputs, backwards)
        found.append([*(v.tensor for v in last), *(gx.stack(rows, 0) for rows in stacks)])
    return tuple(gx.stack(list(parts), 0) for parts in zip(*found))


TABLE: Table = {("If", 1): branch, ("Loop", 1): loop, ("Scan", 8): scan}
