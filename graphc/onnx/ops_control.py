"""Graphs inside nodes: choices and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto

import graphc as gx
from graphc.errors import ShapeError, UnsupportedError
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Poly, Size
from graphc.onnx.call import OnnxNode, Result, Table
from graphc.onnx.values import OnnxValue

UNROLLED_ITERATIONS = 8  # as many iterations become copies of the body, which may differ in shape
MAX_UNROLLED_ITERATIONS = 1024  # iterations that are written out where nothing else will do
DEFAULT_MAX_ITERATIONS = 2**16  # iterations at most of loops that name no number


def tensors(values: list[OnnxValue]) -> tuple[Tensor, ...]:
    """Values as tensors."""
    return tuple(v.tensor for v in values)


# ------------------------------------------------------------------------------ choices


def branch(call: OnnxNode) -> Any:
    """One of two graphs: known now, or chosen when the model runs."""
    condition = call.value(0).known()
    if condition is not None and condition.dtype != object:
        chosen = call.graph("then_branch" if condition.reshape(-1)[0] else "else_branch")
        return tuple(call.scope.inner().run_graph(chosen, ()))

    def side(name: str) -> tuple[Tensor, ...]:
        values = call.scope.inner().run_graph(call.graph(name), ())
        if any(value.items is not None for value in values):
            call.known(0)  # sequences are chosen while loading
        return tensors(values)

    test = gx.reshape(call.x(0), ())
    try:
        return gx.cond(test, lambda: side("then_branch"), lambda: side("else_branch"))
    except ShapeError:
        call.known(0)  # the branches have other shapes: the condition must be known
        raise


# -------------------------------------------------------------------------------- loops


def loop(call: OnnxNode) -> Result:
    """A graph run as often as a number and a condition say."""
    body = call.graph("body")
    carried = [call.value(i) for i in range(2, len(call.inputs))]
    stacked = len(body.output) - 1 - len(carried)
    count, going = known_start(call, 0, DEFAULT_MAX_ITERATIONS), known_start(call, 1, True)
    if count is None or going is None:
        if not stacked:
            return open_loop(call, body, carried, count)
        call.known(0 if count is None else 1)  # how many rows there are must be known
    if isinstance(count, Poly) and going:
        try:
            return counted_loop(call, body, carried, count)
        except (ShapeError, UnsupportedError):
            if stacked:
                raise
            return open_loop(call, body, carried, None)
    count = int(count) if going else 0
    why = "it carries sequences"
    one = count > UNROLLED_ITERATIONS or (
        stacked and not count
    )  # of no iterations a loop knows the rows
    if one and all(value.items is None for value in carried):
        try:
            return counted_loop(call, body, carried, count)
        except (ShapeError, UnsupportedError) as error:
            # a body that needs to know the iteration, or whose shapes change
            why = error.message
    return written_out(call, body, carried, count, stacked, why)


def known_start(call: OnnxNode, i: int, default: Any) -> Any:
    """A number or condition that is known before the loop; None if it is not."""
    if not call.has(i):
        return default
    array = call.value(i).known()
    if array is None:
        return None
    return array.reshape(-1)[0] if array.dtype == object else array.reshape(-1)[0].item()


def run_body(
    call: OnnxNode, body: GraphProto, step: OnnxValue, carried: list[OnnxValue]
) -> tuple[OnnxValue, list[OnnxValue], list[OnnxValue]]:
    """One iteration: whether it goes on, what it carries, and its rows."""
    going = OnnxValue(array=np.asarray(True))
    first, *rest = call.scope.inner().run_graph(body, [step, going, *carried])
    return first, rest[: len(carried)], rest[len(carried) :]


def counted_loop(call: OnnxNode, body: GraphProto, carried: list[OnnxValue], count: Size) -> Result:
    """A loop whose condition stays true, as a scan over its iterations."""

    def step(state: tuple[Tensor, ...], i: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        going, after, rows = run_body(call, body, OnnxValue(i), [OnnxValue(t) for t in state])
        if not condition_of(call, going):
            call.unsupported("a condition that ends the loop")
        return tensors(after), tensors(rows) or None

    numbers = gx.arange(count, dtype="int64")
    last, rows = gx.scan(step, tensors(carried), numbers)
    return (*last, *(rows or ()))


def open_loop(call: OnnxNode, body: GraphProto, carried: list[OnnxValue], count: Any) -> Result:
    """A loop whose number of iterations is known when the model runs; it has no rows."""
    limit = call.x(0) if call.has(0) else gx.constant(np.int64(DEFAULT_MAX_ITERATIONS))
    going = gx.reshape(call.x(1), ()) if call.has(1) else gx.constant(np.bool_(True))

    def goes_on(state: Any) -> Tensor:
        more: Tensor = (state[0] < gx.reshape(limit, ())) & state[1]
        return more

    def step(state: Any) -> Any:
        again, after, _ = run_body(
            call, body, OnnxValue(state[0]), [OnnxValue(t) for t in state[2:]]
        )
        return (state[0] + 1, gx.reshape(again.tensor, ()), *tensors(after))

    start = (gx.constant(np.int64(0)), going, *tensors(carried))
    most = count if isinstance(count, int) else DEFAULT_MAX_ITERATIONS
    return tuple(gx.while_loop(goes_on, step, start, max_steps=most)[2:])


def written_out(
    call: OnnxNode, body: GraphProto, carried: list[OnnxValue], count: int, stacked: int, why: str
) -> Result:
    """Copies of the body, one after the other; `why` says why it is not one loop."""
    if not count and stacked:
        return (*carried, *no_rows(call, body, carried))
    rows: list[list[Tensor]] = [[] for _ in range(stacked)]
    for i in range(min(count, MAX_UNROLLED_ITERATIONS + 1)):
        if i == MAX_UNROLLED_ITERATIONS:
            call.unsupported(
                f"more than {MAX_UNROLLED_ITERATIONS} iterations, written out one by one",
                hint=f"make it one loop, which is not possible now: {why}",
            )
        step = OnnxValue(array=np.asarray(i, np.int64))
        going, carried, parts = run_body(call, body, step, carried)
        for stack, value in zip(rows, parts):
            stack.append(value.tensor)
        if going.known() is None and not stacked and i == 0:
            first = [call.value(k) for k in range(2, len(call.inputs))]
            return open_loop(call, body, first, count)
        if not condition_of(call, going):
            break
    return (*carried, *(gx.stack(r, 0) for r in rows))


def condition_of(call: OnnxNode, value: OnnxValue) -> bool:
    """A condition that must be known."""
    known = value.known()
    if known is None:
        call.unknown(1, value)
    return bool(known.reshape(-1)[0])


def no_rows(call: OnnxNode, body: GraphProto, carried: list[OnnxValue]) -> tuple[Tensor, ...]:
    """Rows of which there is none; an iteration that nothing reads tells their shapes."""
    _, _, rows = run_body(call, body, OnnxValue(array=np.asarray(0, np.int64)), carried)
    return tuple(gx.zeros((0, *r.tensor.shape), r.tensor.dtype) for r in rows)


# --------------------------------------------------------------------------------- scans


def scan(call: OnnxNode) -> Result:
    """A graph run along axes of its inputs."""
    body, count = call.graph("body"), call["num_scan_inputs"]
    if call.opset < 9:
        return scan_of_batches(call, body, count)
    first = len(call.inputs) - count
    axes = call.get("scan_input_axes") or (0,) * count
    backwards = call.get("scan_input_directions") or (0,) * count
    inputs = []
    for i in range(count):
        x = call.x(first + i)
        rows = gx.moveaxis(x, call.normal(axes[i], x.ndim), 0)
        inputs.append(gx.flip(rows, 0) if backwards[i] else rows)
    states = [call.value(i) for i in range(first)]
    last, ys = scanned(call, body, states, inputs)
    ahead = call.get("scan_output_directions") or (0,) * len(ys)
    places = call.get("scan_output_axes") or (0,) * len(ys)
    results = []
    for y, reverse, axis in zip(ys, ahead, places):
        rows = gx.flip(y, 0) if reverse else y
        results.append(gx.moveaxis(rows, 0, call.normal(axis, y.ndim)))
    return (*last, *results)


def scanned(
    call: OnnxNode, body: GraphProto, states: list[OnnxValue], inputs: list[Tensor]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The last states, and the rows of every other output."""

    def step(state: tuple[Tensor, ...], rows: tuple[Tensor, ...]) -> tuple[Any, Any]:
        given = [OnnxValue(t) for t in (*state, *rows)]
        outputs = tensors(call.scope.inner().run_graph(body, given))
        return outputs[: len(states)], outputs[len(states) :] or None

    last, ys = gx.scan(step, tensors(states), tuple(inputs))
    return tuple(last), tuple(ys or ())


def scan_of_batches(call: OnnxNode, body: GraphProto, count: int) -> Result:
    """The first form: every operand has a batch axis before the others."""
    if call.has(0):
        call.unsupported("sequence lengths")
    first = len(call.inputs) - count
    batch = call.extent(0, first)
    backwards = call.get("directions") or (0,) * count
    found = []
    for n in range(batch):
        states = [OnnxValue(call.x(i)[n]) for i in range(1, first)]
        inputs = [call.x(first + i)[n] for i in range(count)]
        turned = [gx.flip(x, 0) if b else x for x, b in zip(inputs, backwards)]
        last, ys = scanned(call, body, states, turned)
        found.append([*last, *ys])
    return tuple(gx.stack(list(parts), 0) for parts in zip(*found))


TABLE: Table = {("If", 1): branch, ("Loop", 1): loop, ("Scan", 8): scan}
