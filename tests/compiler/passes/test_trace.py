"""What the driver records: what became of every node in a pass, and by which rules."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.absorb_permutes import absorb_permutes
from graphc.compiler.passes.driver import PassRecord, run_passes
from graphc.compiler.passes.fold_constants import fold_constants
from graphc.compiler.passes.simplify import simplify
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph


def step_of(run, *outputs: Tensor) -> PassRecord:
    """The record of one pass over a graph of an input x."""
    graph = Graph((), tuple((f"y{i}", t.node) for i, t in enumerate(outputs)))
    _, (step,) = run_passes(graph, [run])
    return step


def test_rules_of_nodes_that_others_replace() -> None:
    x = gx.input("x", (3,))
    y = x * 1.0
    z = gx.tanh(y)
    step = step_of(simplify, z)
    (root,) = step.graph.roots
    assert step.became[y.node] == (x.node, ("mul_by_one",))
    assert step.became[z.node] == (root, ())  # on other inputs, by no rule
    assert root not in step.made


def test_rules_of_new_nodes_and_of_chains() -> None:
    x = gx.input("x", (3,))
    y = gx.negative(gx.negative(gx.reshape(gx.reshape(x, (1, 3)), (3, 1))))
    step = step_of(simplify, y)
    (root,) = step.graph.roots
    assert root.op.name == "reshape"
    assert root.inputs == (x.node,)
    image, rules = step.became[y.node]
    assert image is root
    assert rules  # one of the negations, seen from the outer one
    assert step.made[root] == "reshape_twice"


def test_nodes_that_nobody_reads_any_more() -> None:
    x = gx.input("x", (3,))
    unread = gx.exp(x)
    step = step_of(simplify, gx.where(gx.constant([True] * 3), x, unread) * 1.0)
    for image, _ in step.became.values():
        assert image is None or image in step.graph.nodes


def test_passes_without_rules() -> None:
    two = gx.constant([1.0, 2.0, 3.0]) + gx.constant([1.0, 2.0, 3.0])
    step = step_of(fold_constants, two)
    (root,) = step.graph.roots
    assert step.became[two.node] == (root, ())
    assert step.made[root] == ""


def test_rule_of_one_reader() -> None:
    a, b = gx.input("a", (3, 4)), gx.input("b", (4, 5))
    y = gx.permute_dims(a @ b, (1, 0))
    step = step_of(absorb_permutes, y)
    (root,) = step.graph.roots
    assert step.became[y.node] == (root, ("permute_of_dot",))
    assert step.made[root] == "permute_of_dot"


def test_nothing_changed_nothing_recorded() -> None:
    step = step_of(simplify, gx.tanh(gx.input("x", (3,))))
    assert (step.changed, step.made, step.became) == (False, {}, {})


@pytest.mark.parametrize("layers", [1, 3])
def test_every_node_has_a_fate_through_all_passes(layers: int) -> None:
    x, t = gx.input("x", ("batch", 8)), gx.input("t", ("batch",), dtype="int32")
    y = x
    for _ in range(layers):
        y = gx.nn.Dense(8, activation="relu")(y) * 1.0
    loss = gx.nn.softmax_cross_entropy(y, t).mean()
    step = gx.compile([x, t], loss, updates=gx.optim.Adam(1e-3).minimize(loss))
    before = step.program.defined
    for record in step.program.trace:
        gone = set(before.nodes) - set(record.graph.nodes)
        assert set(record.became) == gone
        assert {n for n, _ in record.became.values() if n} <= set(record.graph.nodes)
        assert set(record.made) <= set(record.graph.nodes) - set(before.nodes)
        for old, new in zip(before.roots, record.graph.roots):
            assert new is old or record.became[old][0] is new
        before = record.graph


def test_loops_do_not_confuse_the_record() -> None:
    x = gx.input("x", (5, 3))
    _, ys = gx.scan(lambda c, row: (c + row * 1.0, c * 1.0), gx.zeros((3,)), x)
    _, trace = run_passes(Graph((x.node,), (("y", (ys * 1.0).node),)), GRAPH_PASSES)
    images = [image for record in trace for image, _ in record.became.values()]
    assert images
    for record in trace:
        assert {i for i, _ in record.became.values() if i} <= set(record.graph.nodes)
