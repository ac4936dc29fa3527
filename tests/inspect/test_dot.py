"""Pictures: what is in them, that Graphviz takes them, and what happens without Graphviz."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.inspect import render
from graphc.inspect.dot import function_dot, graph_dot
from graphc.inspect.dot_label import PAINT
from graphc.inspect.memory import kept_values
from graphc.inspect.notebook import tensor_svg
from graphc.ir.graph import Graph
from tests.inspect.programs import classifier, line, program, scaled_sum

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def boxes(picture):
    """The text in every box, by its key."""
    found = re.findall(r"^ +(\w+) \[label=<(.*?)>(?:, \w+=.*)?\];$", picture, re.MULTILINE)
    return {key: re.sub(r"<[^>]*>", "|", label) for key, label in found}


def edges(picture):
    """Pairs of texts at the ends of edges, with the attributes."""
    shown = boxes(picture)
    found = re.findall(r"^ +(\w+) -> (\w+) \[(.*)\];$", picture, re.MULTILINE)
    return [(shown[a], shown[b], look) for a, b, look in found]


def test_box_shows_name_op_type_and_line():
    shown = boxes(graph_dot(scaled_sum()))
    assert any(
        "|w|" in s and "f32[3]" in s and "parameter  model.py:2" in s for s in shown.values()
    )
    assert any(
        "|multiply|" in s and "(·, 0.5)" in s and "%3  model.py:4" in s for s in shown.values()
    )


def test_numbers_stand_in_labels_and_have_no_boxes():
    picture = graph_dot(scaled_sum())
    assert "literal" not in picture
    assert not any("broadcast_to" in s and "%2" in s for s in boxes(picture).values())
    # an output that is a number is drawn all the same
    lone = graph_dot(Graph((), (("three", gx.constant(3.0).node),)))
    assert any("literal" in s for s in boxes(lone).values())


def test_parts_are_clusters_with_colours_of_their_own():
    picture = graph_dot(classifier())
    for part, paint in PAINT.items():
        cluster = picture.split(f"subgraph cluster_{part} {{")[1].split("\n  }")[0]
        assert f"<B>{part}</B>" in cluster
        assert paint.fill in cluster
        others = [p.fill for name, p in PAINT.items() if name != part]
        assert not any(fill in cluster for fill in others)
    assert len({p.fill for p in PAINT.values()} | {p.line for p in PAINT.values()}) == 6


def test_forward_graph_has_no_other_cluster():
    x = gx.input("x", (3,))
    picture = gx.dot(gx.exp(x))
    assert "cluster_forward" in picture
    assert "cluster_backward" not in picture
    assert "cluster_update" not in picture


def test_values_kept_for_the_backward_half_are_dashed_with_their_bytes():
    graph = classifier(batch=10)
    kept = {n.op.name: size for n, size in kept_values(graph).items()}
    assert kept["relu"] == 10 * 16 * 4
    picture = graph_dot(graph)
    (relu,) = [
        row for row in picture.splitlines() if "<B>relu</B>" in row and "subgraph" not in row
    ]
    assert "kept: 640 B" in relu
    assert 'style="rounded,filled,dashed"' in relu
    dashed = [(a, b) for a, b, look in edges(picture) if 'style="dashed"' in look]
    assert any("relu" in a for a, _ in dashed)
    assert all("kept: " in a for a, _ in dashed)
    # inputs and parameters are there anyway
    assert not any("parameter" in a or "input" in a for a, _ in dashed)


def test_sizes_that_are_not_known_stay_polynomials():
    assert "kept: 64*batch B" in graph_dot(classifier())


@pytest.mark.parametrize("planned", [False, True])
def test_kernels_are_clusters(planned):
    made = program(classifier())
    dims = {"batch": 10}
    plan = made.plan(dims) if planned else None
    picture = graph_dot(made.optimized, made.schedule, plan, dims)
    for i, call in enumerate(made.schedule.calls):
        cluster = picture.split(f"subgraph cluster_k{i} {{")[1].split("\n  }")[0]
        assert f"k{i:02}_{call.kernel.name}" in cluster
        for node in call.nodes:
            assert f"<B>{node.op.name}</B>" in cluster
    assert ("in the arena" in picture) == planned
    stored = [s for s in made.plan(dims).offsets if s.node]
    for storage in stored if planned else ():
        at = made.plan(dims).offsets[storage]
        assert f"at {at:,} in the arena" in picture


def test_edges_join_the_right_boxes():
    found = [(a.split("|")[1], b.split("|")[1]) for a, b, _ in edges(graph_dot(scaled_sum()))]
    assert ("x", "multiply") in found
    assert ("multiply", "sum") in found
    assert ("sum", "total") in found
    assert ("w", "subtract") in found
    assert ("subtract", "w") in found  # the new value
    assert len(found) == 12


def test_picture_is_the_same_every_time():
    assert graph_dot(classifier()) == graph_dot(classifier())
    first, again = program(classifier()), program(classifier())
    assert function_dot(first, stage="planned") == function_dot(again, stage="planned")


NAMES = ['<b>&amp;"', "back\\slash", "new\nline", "ünïcödé 漢字", "a]b};->", "%n\\N", "'"]


@needs_dot
@pytest.mark.parametrize("name", NAMES)
def test_any_name_survives_graphviz(name):
    with line(1, filename=f"{name.replace('/', '')}.py"):
        x = gx.input("x", (2,))
        w = gx.parameter(name.replace("\n", " "), (2,))
        y = x * w
    graph = Graph((x.node,), ((name, y.node),), (), name)
    drawn = render.draw(graph_dot(graph), "svg").decode()
    texts = [
        "".join(e.itertext())
        for e in ElementTree.fromstring(drawn).iter()
        if e.tag.endswith("}text")
    ]
    shown = name.replace("\n", "\\n")
    assert shown in texts


@needs_dot
@pytest.mark.parametrize("stage", ["defined", "differentiated", "optimized", "fused", "planned"])
def test_graphviz_draws_every_stage(stage):
    picture = function_dot(program(classifier()), stage=stage)
    found = subprocess.run(["dot", "-Tsvg"], input=picture.encode(), capture_output=True)
    assert (found.returncode, found.stderr) == (0, b"")


# ------------------------------------------------------------------------ what dot takes


def test_dot_takes_tensors_in_any_structure_and_updates():
    x, w = gx.input("x", (2,)), gx.parameter("w", (2,))
    y = x * w
    assert gx.dot(y) == gx.dot({"output": y})
    both = boxes(gx.dot({"a": y, "b": [x, y + x]})).values()
    assert {"|a|", "|b/0|", "|b/1|"} <= set(both)
    assert any("new value" in s for s in boxes(gx.dot({w: y})).values())


def test_dot_refuses_what_is_no_tensor():
    with pytest.raises(ArgumentError, match="dot: needs tensors, got int"):
        gx.dot([gx.input("x", (2,)), 3])


@pytest.mark.parametrize("ending", ["dot", "gv", "DOT"])
def test_text_files_need_no_graphviz(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(render, "find_program", lambda: None)
    y = gx.exp(gx.input("x", (2,)))
    text = gx.dot(y, tmp_path / f"y.{ending}")
    assert (tmp_path / f"y.{ending}").read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == [f"y.{ending}"]


@needs_dot
@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_pictures_are_drawn(tmp_path, ending, start):
    gx.dot(gx.exp(gx.input("x", (2,))), str(tmp_path / f"y.{ending}"))
    assert (tmp_path / f"y.{ending}").read_bytes().startswith(start)


def test_drawing_without_graphviz_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "find_program", lambda: None)
    with pytest.raises(UnsupportedError) as caught:
        gx.dot(gx.exp(gx.input("x", (2,))), tmp_path / "y.svg")
    assert "a .svg picture needs the program `dot` of Graphviz" in caught.value.message
    assert ".dot file" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_other_endings(tmp_path):
    with pytest.raises(ArgumentError, match=r"y\.jpg must end in one of \.dot, \.gv, \.svg"):
        gx.dot(gx.exp(gx.input("x", (2,))), tmp_path / "y.jpg")


def test_directory_that_does_not_exist(tmp_path):
    with pytest.raises(OSError, match="no/such"):
        gx.dot(gx.exp(gx.input("x", (2,))), tmp_path / "no/such/y.dot")


def test_notebook_shows_svg_or_nothing(monkeypatch):
    y = gx.exp(gx.input("x", (2,)))
    if shutil.which("dot"):
        assert "<svg" in y._repr_svg_()
        many = y
        for _ in range(400):
            many = gx.exp(many)
        assert tensor_svg(many) is None
    monkeypatch.setattr("graphc.inspect.notebook.find_program", lambda: None)
    assert y._repr_svg_() is None
