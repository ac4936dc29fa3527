"""Softmax divides once a row."""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.compiler.passes.divide_rows import divide_rows
from graphc.compiler.passes.driver import run_passes
from graphc.ir.graph import Graph
from graphc.runtime.interpret_backend import Executor
from tests.tolerances import LAST_BITS

X = gx.input("x", ("batch", 7))


def divisions(y: gx.Tensor, *inputs: gx.Tensor) -> list[str]:
    """The types of the quotients after the pass; it must leave the values as they are."""
    graph = Graph(tuple(t.node for t in inputs), (("y", y.node),))
    after, _ = run_passes(graph, (divide_rows,))
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((3, 7)).astype(np.float32) for _ in inputs]
    a, b = (Executor(g).compute(given, {"batch": 3}, (0, 0))[0][0] for g in (graph, after))
    np.testing.assert_allclose(a, b, **LAST_BITS)
    return [str(n.type) for n in after.nodes if n.op.name == "divide"]


def test_softmax() -> None:
    assert divisions(gx.nn.softmax(X), X) == ["f32[batch]"]


def test_written_out() -> None:
    powers = gx.exp(X)
    assert divisions(powers / powers.sum(axis=0, keepdims=True), X) == ["f32[7]"]


def test_other_quotients_stay() -> None:
    y = gx.input("y", ("batch", 7))
    assert divisions(X / gx.exp(y).sum(axis=-1, keepdims=True), X, y) == ["f32[batch,7]"]
    assert divisions(gx.exp(X) / (1.0 + gx.exp(y)), X, y) == ["f32[batch,7]"]
