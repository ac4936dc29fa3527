"""Graphs and schedules as text."""

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.inspect.graph_printer import graph_text, schedule_text, text
from graphc.inspect.names import bytes_text, count_text, name_nodes
from graphc.inspect.stages import STAGES, defined_part
from graphc.ir.graph import Graph
from tests.inspect.programs import classifier, program, scaled_sum

WHOLE = """\
graph step
inputs
  x  : f32[batch,3]   model.py:1
parameters
  w  : f32[3]   model.py:2
forward
  %0 = broadcast_to(w, shape=(batch, 3))    : f32[batch,3]   model.py:3
  %1 = multiply(x, %0)                      : f32[batch,3]   model.py:3
  %2 = broadcast_to(0.5, shape=(batch, 3))  : f32[batch,3]   model.py:4
  %3 = multiply(%1, %2)                     : f32[batch,3]   model.py:4
  %4 = sum(%3, axes=(0, 1))                 : f32[]          model.py:4
backward
  %5 = reshape(1.0, shape=(1, 1))          : f32[1,1]       model.py:4
  %6 = broadcast_to(%5, shape=(batch, 3))  : f32[batch,3]   model.py:4
  %7 = multiply(%6, %2)                    : f32[batch,3]   model.py:4
  %8 = multiply(%7, x)                     : f32[batch,3]   model.py:3
  %9 = sum(%8, axes=(0,))                  : f32[3]         model.py:3
update
  %10 = subtract(w, %9)  : f32[3]   model.py:6
outputs
  total = %4
updates
  w <- %10
"""


def test_whole_graph():
    assert graph_text(scaled_sum()) == WHOLE


def test_defined_stage_is_the_forward_part_with_the_same_numbers():
    assert graph_text(defined_part(scaled_sum())) == WHOLE.split("backward\n")[0] + (
        "outputs\n  total = %4\n"
    )


def test_defined_stage_of_a_gradient_shows_what_it_is_the_gradient_of():
    x = gx.input("x", (4,))
    loss = gx.exp(x).sum()
    (dx,) = gx.grad(loss, [x])
    shown = graph_text(defined_part(Graph((x.node,), (("dx", dx.node),))), origins=False)
    assert shown.splitlines() == [
        "graph step",
        "inputs",
        "  x  : f32[4]",
        "forward",
        *shown.splitlines()[4:],
    ]
    assert "exp(x)" in shown
    assert "multiply" not in shown


def test_names_that_need_quotes_and_names_that_occur_twice():
    a, b = gx.input("two words", (2,)), gx.input("x", (2,))
    p = gx.parameter("x", (2,))
    c = gx.constant(np.ones(2, "float32"))
    total = a + b + p + c
    graph = Graph((a.node, b.node), (("out,put", total.node),))
    names = {n.type: name for n, name in name_nodes(graph).items()}
    assert names
    shown = graph_text(graph, origins=False)
    assert '"two words"' in shown
    assert '"out,put" = %2' in shown
    assert "  x    : f32[2]" not in shown
    assert sorted(name for n, name in name_nodes(graph).items() if n.name == "x") == ["x", "x.2"]


def test_input_and_updated_parameter_that_nothing_reads_are_listed():
    x, w = gx.input("x", (2,)), gx.parameter("w", (2,))
    graph = Graph((x.node,), (), ((w.node, gx.zeros((2,)).node),))
    shown = graph_text(graph, origins=False)
    assert "inputs\n  x  : f32[2]" in shown
    assert "updates\n  w <- " in shown


def test_schedule_without_and_with_a_plan():
    made = program(classifier())
    bare = schedule_text(made.schedule, origins=False)
    assert bare.splitlines()[0] == (
        f"schedule train: {len(made.schedule.calls)} calls,"
        f" {len(made.schedule.barriers) + 1} phases"
    )
    assert "batch FLOP" in bare or "*batch" in bare  # sizes are not known yet
    plan = made.plan({"batch": 8})
    planned = schedule_text(made.schedule, plan, {"batch": 8}, origins=False)
    assert f"arena {plan.arena_bytes:,} bytes" in planned
    for storage, at in plan.offsets.items():
        assert f"{storage.name}@{at}" in planned
    for written, read in plan.shared.items():
        assert f"{written.name}@{plan.offsets[written]} in place of {read.name}" in planned
    assert "*batch" not in planned


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_text(stage):
    made = program(scaled_sum())
    shown = text(made, stage)
    assert shown.startswith("schedule step" if stage in ("fused", "planned") else "graph step")
    assert ("\nkernel multiply_sum" in shown) == (stage == "fused")
    assert ("backward" in shown) == (stage in ("differentiated", "optimized"))


def test_unknown_stage():
    with pytest.raises(ArgumentError, match="stage must be one of defined, differentiated"):
        text(program(scaled_sum()), "optimised")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (32768, "32.8 kB"), (10**6, "1 MB"),
     (1234567, "1.23 MB"), (5 * 10**9, "5 GB"), (5 * 10**12, "5,000 GB"),
     (gx.dim("n") * 4, "4*n B")],
)  # fmt: skip
def test_bytes_for_people(size, shown):
    assert bytes_text(size) == shown


def test_counts_for_people():
    assert [count_text(n, "FLOP") for n in (0, 999, 1500, 12_800_000)] == [
        "0 FLOP", "999 FLOP", "1.5 kFLOP", "12.8 MFLOP",
    ]  # fmt: skip
    assert bytes_text(gx.dim("n") * 4, {"n": 1000}) == "4 kB"
