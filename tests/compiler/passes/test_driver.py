"""The table of passes, and what the driver checks and records."""

from __future__ import annotations

import re
import time

import pytest

import graphc as gx
from graphc.compiler import passes
from graphc.compiler.passes import GRAPH_PASSES
from graphc.compiler.passes.driver import run_passes
from graphc.errors import VerifyError
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph, apply
from graphc.ir.ops import Add, Neg, Tanh


def graph_of(*outputs: Tensor) -> Graph:
    """A graph of one input x."""
    inputs = dict.fromkeys(n for t in outputs for n in Graph((), (("y", t.node),)).nodes)
    leaves = tuple(n for n in inputs if n.op.name == "input")
    return Graph(leaves, tuple((f"y{i}", t.node) for i, t in enumerate(outputs)))


def chain(length: int) -> Graph:
    """Five nodes a link, some of which merge, some of which fold."""
    x = gx.input("x", ("batch", 8))
    y = x
    for _ in range(length // 5):
        y = gx.tanh(y * 1.5 + y * 2.0 + 0.0)
    return graph_of(y)


def test_table_has_a_line_for_every_pass() -> None:
    rows = passes.table()
    assert [name for name, _ in rows] == [p.__name__ for p in GRAPH_PASSES]
    assert all(re.fullmatch(r"[A-Z].*\.", line) for _, line in rows)


def test_every_pass_has_a_file_of_its_name() -> None:
    for apply_pass in GRAPH_PASSES:
        file = apply_pass.__module__.removeprefix("graphc.compiler.passes.")
        # bodies of loops get the whole table, so that pass stands beside it
        assert file in (apply_pass.__name__, "loops", "graphc.compiler.passes")


def test_trace_says_what_changed() -> None:
    x = gx.input("x", (3,))
    graph, trace = run_passes(graph_of(x * 1.0 + x), GRAPH_PASSES)
    changed = [step.name for step in trace if step.changed]
    assert changed == ["simplify"]
    step = next(step for step in trace if step.name == "simplify")
    assert (step.nodes_before, step.nodes_after) == (5, 2)
    assert step.graph is graph
    assert all(s.seconds >= 0 for s in trace)


def test_trace_of_equal_counts_says_that_it_changed() -> None:
    x = gx.input("x", (3,))
    _, trace = run_passes(graph_of(x / 4.0), GRAPH_PASSES)
    step = next(step for step in trace if step.name == "simplify")
    assert step.changed
    assert step.nodes_before == step.nodes_after


def test_pass_that_changes_a_type_is_refused() -> None:
    x = gx.input("x", (3,))

    def drop_output(graph: Graph) -> Graph:
        return Graph(graph.inputs, (("y0", gx.sum(x).node),))

    with pytest.raises(VerifyError, match=r"drop_output: a root changed from f32\[3\] to f32\[\]"):
        run_passes(graph_of(gx.tanh(x)), (drop_output,))


def test_pass_that_changes_inputs_is_refused() -> None:
    x = gx.input("x", (3,))

    def add_input(graph: Graph) -> Graph:
        return Graph((*graph.inputs, gx.input("z", (1,)).node), graph.outputs)

    with pytest.raises(VerifyError, match="add_input: the inputs or the updated parameters"):
        run_passes(graph_of(gx.tanh(x)), (add_input,))


def test_node_of_a_wrong_type_is_refused() -> None:
    x = gx.input("x", (3,))

    def cheat(graph: Graph) -> Graph:
        wrong = apply(Tanh(), apply(Neg(), x.node))
        wrong.inputs[0].type = gx.input("w", (4,)).node.type
        return Graph(graph.inputs, (("y0", wrong),))

    with pytest.raises(VerifyError, match="cheat"):
        run_passes(graph_of(gx.tanh(x)), (cheat,))


def test_new_nodes_inherit_line_and_part() -> None:
    x = gx.input("x", (3,))
    y = x + -gx.tanh(x)
    dy = gx.grad(gx.sum(y * y), x)
    graph, _ = run_passes(graph_of(y, dy), GRAPH_PASSES)
    assert {n.origin.filename for n in graph.nodes} == {__file__}
    assert [n.step_part for n in graph.roots] == ["forward", "backward"]


def test_time_grows_with_the_graph_alone() -> None:
    seconds = {}
    for length in (1000, 10_000):
        graph = chain(length)
        best = 1e9
        for _ in range(3):
            fresh = Graph(graph.inputs, graph.outputs)
            start = time.process_time()
            run_passes(fresh, GRAPH_PASSES)
            best = min(best, time.process_time() - start)
        seconds[length] = best
    assert seconds[10_000] < 2.5
    assert seconds[10_000] < 25 * seconds[1000]


def test_depth_is_no_recursion() -> None:
    x = gx.input("x", (3,))
    node = x.node
    for _ in range(5000):
        node = apply(Neg(), apply(Add(), node, x.node))
    graph, _ = run_passes(Graph((x.node,), (("y", node),)), GRAPH_PASSES)
    assert len(graph.nodes) > 5000
