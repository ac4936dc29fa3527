"""Contractions whose results are permuted."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.absorb_permutes import absorb_permutes
from graphc.compiler.passes.driver import run_passes
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph
from graphc.runtime.interpret_backend import Executor
from graphc.testing import assert_close

X = gx.input("x", ("batch", 3))
W = gx.input("w", (5, 3))


def ops_of(graph: Graph) -> list[str]:
    """Each op with its attributes, without leaves."""
    return [f"{n.op.name} {n.op.attributes()}" for n in graph.nodes if n.inputs]


def absorbed(*outputs: Tensor) -> Graph:
    """The graph after the pass alone."""
    named = tuple((f"y{i}", t.node) for i, t in enumerate(outputs))
    return run_passes(Graph((X.node, W.node), named), (absorb_permutes,))[0]


def test_result() -> None:
    dot = X @ gx.constant(np.ones((3, 5), np.float32))
    assert ops_of(absorbed(dot.T)) == ["dot ab,bc->ca"]


def test_result_of_higher_rank() -> None:
    x = gx.input("x", (2, 3, 4))
    dot = gx.einsum("abc,cd->abd", x, gx.constant(np.ones((4, 5), np.float32)))
    graph = Graph((x.node,), (("y", gx.permute_dims(dot, (2, 0, 1)).node),))
    after, _ = run_passes(graph, (absorb_permutes,))
    assert [s for s in ops_of(after) if s.startswith("permute")] == []
    value = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    a, b = (Executor(g).compute([value], {}, (0, 0))[0][0] for g in (graph, after))
    np.testing.assert_array_equal(a, b)


def test_result_with_two_readers_is_not_computed_twice() -> None:
    dot = X @ gx.constant(np.ones((3, 5), np.float32))
    for outputs in ((dot, dot.T), (gx.exp(dot), dot.T)):
        assert sum(s.startswith("dot") for s in ops_of(absorbed(*outputs))) == 1


def test_gradient_of_a_transposed_weight_needs_no_transpose() -> None:
    loss = gx.sum(gx.tanh(X @ W.T))
    graph = Graph((X.node, W.node), (("y", gx.grad(loss, W).node),))
    after, _ = run_passes(graph, GRAPH_PASSES)
    assert not any(s.startswith("permute") for s in ops_of(after))
    values = [np.linspace(-1, 1, n, dtype=np.float32).reshape(-1, 3) for n in (12, 15)]
    a, b = (Executor(g).compute(values, {"batch": 4}, (0, 0))[0][0] for g in (graph, after))
    assert_close(a, b, tolerance="ulps", each=True)
