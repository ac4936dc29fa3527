"""Every pass by itself: the graph before and after it, as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.compiler.precision import round_operands
from graphc.frontend.tensor import Tensor, handle
from graphc.inspect.graph_printer import graph_text
from graphc.ir.graph import Graph
from graphc.ir.ops.loop import Scan

PASSES = {p.__name__: p for p in GRAPH_PASSES}
ELSEWHERE = {"merge_common", "fold_constants"}  # in the file of tests of that name


def running_sums() -> list[Tensor]:
    """Two results of one loop; a third one is not asked for."""
    x = gx.input("x", (4, 3))
    last, (sums, _) = gx.scan(lambda c, r: (c + r, (c * 2.0, gx.exp(c))), gx.zeros((3,)), x)
    return [last, sums]


def wordy_body() -> list[Tensor]:
    """A loop whose body says the same thing twice, and with a factor of 1."""
    x = gx.input("x", (4, 3))
    return list(gx.scan(lambda c, r: (gx.tanh(c) * 1.0, gx.tanh(c) - r), gx.zeros((3,)), x))


def recurrent_product() -> list[Tensor]:
    """A loop that rounds its weights at every iteration."""
    w = gx.input("w", (2, 2))

    def step(h: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        return h @ w.T + r, h

    last, _ = gx.scan(step, gx.zeros((3, 2)), gx.input("x", (4, 2)))
    graph = Graph((), (("last", last.node),))
    return [handle(n) for n in round_operands(graph, gx.precision("bf16")).roots]


def wordy() -> list[Tensor]:
    x = gx.input("x", (3, 2))
    return [(x * 1.0).T.T + 0.0, gx.negative(gx.negative(x))]


def sum_of_products() -> list[Tensor]:
    a, b = gx.input("a", ("t", 2, 3)), gx.input("b", ("t", 3, 5))
    return [gx.sum(a @ b, axis=0)]


def transposed_product() -> list[Tensor]:
    x, w = gx.input("x", ("batch", 3)), gx.input("w", (5, 3))
    return [(x @ w.T).T]


def log_of_sum() -> list[Tensor]:
    x = gx.input("x", ("batch", 3))
    return [gx.log(gx.sum(gx.exp(x), axis=1))]


def log_of_sigmoid() -> list[Tensor]:
    x = gx.input("x", (3,))
    return [gx.log(gx.sigmoid(x)), gx.log(1.0 + x)]


def softmax() -> list[Tensor]:
    powers = gx.exp(gx.input("x", ("batch", 3)))
    return [powers / gx.sum(powers, axis=1, keepdims=True)]


def few_rows() -> list[Tensor]:
    w = gx.parameter("w", value=np.zeros((150, 5), np.float32))
    return [gx.input("x", ("batch", 5)) @ w.T]


SAMPLES = {
    "merge_loops": running_sums, "hoist_casts": recurrent_product, "simplify_bodies": wordy_body,
    "simplify": wordy,
    "absorb_sums": sum_of_products, "absorb_permutes": transposed_product,
    "shift_exponents": log_of_sum, "stabilise": log_of_sigmoid, "divide_rows": softmax,
    "pack_parameters": few_rows,
}  # fmt: skip


def text(graph: Graph) -> str:
    """The graph, and the body of every loop as a graph."""
    loops = [n.op for n in graph.nodes if isinstance(n.op, Scan)]
    graphs = [graph]
    for body in dict.fromkeys(op.body for op in loops):
        outputs = tuple((str(i), n) for i, n in enumerate(body.outputs))
        graphs.append(Graph(body.inputs, outputs, name="body"))
    return "".join(graph_text(g, origins=False) for g in graphs)


@pytest.mark.parametrize("name", SAMPLES)
def test_text(name: str, golden: Callable[[str, str], None]) -> None:
    outputs = tuple((f"y{i}", t.node) for i, t in enumerate(SAMPLES[name]()))
    inputs = [n for n in Graph((), outputs).nodes if n.op.name == "input"]
    before = Graph(tuple(inputs), outputs)
    after, _ = run_passes(before, (PASSES[name],))
    texts = [text(graph) for graph in (before, after)]
    assert texts[0] != texts[1]
    golden(name, "before: {}\nafter: {}".format(*texts))


def test_every_pass_has_a_golden_file() -> None:
    assert set(SAMPLES) | ELSEWHERE == set(PASSES)
    missing = [p for p in PASSES if not (Path(__file__).parent / "golden" / f"{p}.txt").exists()]
    assert not missing
