"""What is computed once, and what must stay apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import graphc as gx
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.passes.merge_common import merge_common
from graphc.frontend.tensor import Tensor, lift_op
from graphc.inspect.graph_printer import graph_text
from graphc.ir import ops
from graphc.ir.graph import Graph
from graphc.ir.ops.leaf import RandomBits


def merged(*outputs: Tensor) -> Graph:
    """The graph after the pass alone."""
    named = tuple((f"y{i}", t.node) for i, t in enumerate(outputs))
    inputs = [n for n in Graph((), named).nodes if n.op.name == "input"]
    return run_passes(Graph(tuple(inputs), named), (merge_common,))[0]


def count(graph: Graph, name: str) -> int:
    """How many nodes apply an op."""
    return [n.op.name for n in graph.nodes].count(name)


def test_text(golden: Callable[[str, str], None]) -> None:
    x, y = gx.input("x", (3,)), gx.input("y", (3,))
    graph = merged(gx.tanh(x + y) * gx.tanh(y + x), gx.exp(x) - gx.exp(x))
    golden("merge_common", graph_text(graph, origins=False))


def test_outputs_may_become_one() -> None:
    x = gx.input("x", (3,))
    first, second = merged(gx.tanh(x), gx.tanh(x)).roots
    assert first is second


def test_the_first_one_keeps_its_line() -> None:
    x = gx.input("x", (3,))
    first = gx.tanh(x)
    second = gx.tanh(x)
    (_, root) = merged(first, second).roots
    assert root.origin == first.node.origin != second.node.origin


def test_order_matters_where_it_does() -> None:
    x, y = gx.input("x", (3,)), gx.input("y", (3,))
    assert count(merged(x - y, y - x), "subtract") == 2
    assert count(merged(gx.maximum(x, y), gx.maximum(y, x)), "maximum") == 2
    assert count(merged(x * y, y * x), "multiply") == 1


def test_attributes_matter() -> None:
    x = gx.input("x", (3, 3))
    assert count(merged(gx.sum(x, axis=0), gx.sum(x, axis=1)), "sum") == 2


def test_numbers_are_compared_by_their_bits() -> None:
    numbers = [gx.asarray(v, dtype="float32") for v in (0.1, np.float32(0.1), 0.0, -0.0)]
    graph = merged(*numbers, gx.asarray(float("nan")), gx.asarray(float("nan")))
    assert count(graph, "literal") == 4
    assert count(merged(gx.asarray(1, dtype="int32"), gx.asarray(True)), "literal") == 2


def test_constants_are_compared_by_their_bits() -> None:
    a = gx.constant(np.array([1.0, 0.0], np.float32))
    b = gx.constant(np.array([1.0, 0.0], np.float32))
    c = gx.constant(np.array([1.0, -0.0], np.float32))
    d = gx.constant(np.array([[1.0, 0.0]], np.float32))
    assert count(merged(a, b, c, d), "constant") == 3


def test_parameters_and_inputs_are_themselves() -> None:
    p = [gx.parameter("p", value=np.zeros(3, np.float32)) for _ in range(2)]
    assert count(merged(*p), "parameter") == 2
    assert count(merged(gx.input("x", (3,)), gx.input("x", (3,))), "input") == 2


def test_streams_are_themselves() -> None:
    same = [lift_op(RandomBits((3,), 1)) for _ in range(2)]
    other = lift_op(RandomBits((3,), 2))
    assert count(merged(*same, other), "random_bits") == 2


def test_checks_stay_apart() -> None:
    x = gx.input("x", (3,))
    checks = [lift_op(ops.Guard("positive"), x, x > 0) for _ in range(2)]
    assert count(merged(*checks), "guard") == 2
