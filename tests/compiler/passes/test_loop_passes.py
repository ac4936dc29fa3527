"""Loops run once for all their results, and their bodies are as good as graphs."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.passes.loops import merge_loops
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph
from graphc.ir.ops.loop import Scan
from graphc.runtime.interpret_backend import Executor
from graphc.testing import assert_close

ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def graph_of(x: Tensor, *outputs: Tensor) -> Graph:
    """A graph of one input."""
    return Graph((x.node,), tuple((f"y{i}", t.node) for i, t in enumerate(outputs)))


def loops_of(graph: Graph) -> list[Scan]:
    """The loops' results in a graph."""
    return [n.op for n in graph.nodes if isinstance(n.op, Scan)]


def same_values(before: Graph, after: Graph) -> None:
    """Assert that two graphs compute the same."""
    for a, b in zip(*(Executor(g).compute([ROWS], {}, (0, 0))[0] for g in (before, after))):
        assert_close(a, b, tolerance="ulps", each=True)


def test_gradient_shares_the_forward_loop() -> None:
    x = gx.input("x", (4, 3))
    last, rows = gx.scan(lambda c, r: (gx.tanh(c * r + 1.0), gx.exp(c)), gx.zeros((3,)), x)
    loss = gx.sum(last) + gx.sum(rows)
    graph = graph_of(x, loss, gx.grad(loss, x))
    after, _ = run_passes(graph, GRAPH_PASSES)
    assert len({op.body for op in loops_of(after)}) == 2  # one forwards, one back
    same_values(graph, after)


def test_rows_that_nobody_reads_are_dropped() -> None:
    x = gx.input("x", (4, 3))
    last, _ = gx.scan(lambda c, r: (c + r, gx.exp(c)), gx.zeros((3,)), x)
    after, _ = run_passes(graph_of(x, last), (merge_loops,))
    assert [len(op.body.outputs) for op in loops_of(after)] == [1]


def test_bodies_of_bodies_are_simplified() -> None:
    x = gx.input("x", (4, 3))

    def inner(c: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        return c + -(r * 1.0), gx.log(gx.exp(c))

    def outer(c: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        last, rows = gx.scan(inner, gx.sum(c) * 0.5, r)
        return c * 0.5 + last, rows

    last, rows = gx.scan(outer, gx.zeros((3,)), x)
    graph = graph_of(x, last, rows)
    after, _ = run_passes(graph, GRAPH_PASSES)
    (body,) = {op.body for op in loops_of(after)}
    (nested,) = {n.op.body for n in body.nodes if isinstance(n.op, Scan)}
    assert [n.op.name for n in nested.nodes if n.inputs] == ["subtract"]
    same_values(graph, after)


def test_what_is_good_stays() -> None:
    x = gx.input("x", (4, 3))
    last, rows = gx.scan(lambda c, r: (gx.tanh(c + r), c), gx.zeros((3,)), x)
    after, _ = run_passes(graph_of(x, last, rows), GRAPH_PASSES)
    _, trace = run_passes(after, GRAPH_PASSES)
    assert not any(step.changed for step in trace)
