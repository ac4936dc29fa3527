"""The page about a function: what is in it, against the program that it is about."""

import json
import re
import time

import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.inspect.content import PARTS, code, content
from graphc.inspect.html import SCRIPTS, html, page
from graphc.inspect.memory import saved_nodes
from graphc.inspect.names import all_nodes
from graphc.inspect.notebook import function_html
from graphc.inspect.profile import Profile
from graphc.inspect.report import kernels
from tests.inspect.programs import classifier, program, scaled_sum

COLUMNS = ("op", "attributes", "name", "type", "part", "line", "scope", "inputs", "bytes", "flops")


def blocks(text):
    """What a browser's JSON.parse gets from each of the two data elements."""
    pattern = r'<script type="application/json" id="(\w+)">(.*?)</script>'
    return {name: json.loads(words) for name, words in re.findall(pattern, text, re.DOTALL)}


def deep(layers, width=8):
    """Residual blocks with scopes, and one step of Adam."""
    gx.seed(0)
    x, t = gx.input("x", ("batch", width)), gx.input("t", ("batch",), dtype="int32")
    y = x
    for i in range(layers):
        with gx.name_scope(f"block{i}"):
            y = y + gx.nn.Dense(width)(gx.nn.Dense(width, activation="relu")(y) * 1.0)
    loss = gx.nn.softmax_cross_entropy(y, t).mean()
    return gx.compile([x, t], loss, updates=gx.optim.Adam(1e-3).minimize(loss))


@pytest.mark.parametrize("made", [program(classifier()), program(scaled_sum()), deep(2)])
def test_every_node_of_every_pass(made):
    found, made = content(made), getattr(made, "program", made)
    graphs = [made.defined, *(step.graph for step in made.trace)]
    names = ["defined", *(step.name for step in made.trace)]
    assert [p["name"] for p in found["passes"]] == names
    here, number = set(), {}
    for graph, p in zip(graphs, found["passes"]):
        here = here - {old for old, _, _ in p["gone"]} | set(p["new"])
        fresh = [n for n in all_nodes(graph) if n not in number]
        number.update(zip(fresh, p["new"]))
        assert len(fresh) == len(p["new"])
        assert here == {number[n] for n in all_nodes(graph)}
        assert p["outputs"] == [(name, number[n]) for name, n in graph.outputs]
    assert len(found["nodes"]) == len(number)
    for node, i in number.items():
        row = dict(zip(COLUMNS, found["nodes"][i]))
        assert row["op"] == node.op.name
        assert found["types"][row["type"]] == str(node.type)
        assert PARTS[row["part"]] == node.step_part
        assert found["lines"][row["line"]] == (str(node.origin), node.origin.text)
        assert row["inputs"] == [number[k] for k in node.inputs]
        assert all(k < i for k in row["inputs"])  # the page relies on it


def test_rules_are_those_of_the_trace():
    made = deep(2).program
    found = content(made)
    rules = {r for p in found["passes"] for _, _, why in p["gone"] for r in why}
    assert rules == {r for s in made.trace for _, why in s.became.values() for r in why}
    assert "mul_by_one" in rules
    simplified = next(p for p in found["passes"] if p["name"] == "simplify")
    old, now, why = next(g for g in simplified["gone"] if "mul_by_one" in g[2])
    assert found["nodes"][old][0] == "multiply"
    assert found["nodes"][now][0] == "relu"
    assert now in {i for p in found["passes"][:-1] for i in p["new"]}
    assert why == ("mul_by_one",)


@pytest.mark.parametrize("build", [classifier, scaled_sum])
def test_kernels_costs_and_offsets_are_those_of_the_program(build):
    made = program(build())
    dims = {"batch": 64} if build is scaled_sum else dict(content(made)["dims"])
    plan, found = made.plan(dims), content(made)
    listed = [k for k in found["kernels"] if k["phase"] >= 0]
    assert found["dims"] == dims
    assert [k["name"] for k in listed] == [k.name for k in kernels(made)]
    assert [k["phase"] for k in listed] == list(made.schedule.phases())
    assert sum(k["flops"] for k in listed) == found["flops"] > 0
    assert sum(k["bytes"] for k in listed) == found["bytes"] > 0
    assert len(found["kernels"]) == len(made.schedule.calls) + len(made.schedule.prepare)
    for row, call in zip(listed, made.schedule.calls):
        ops = [found["nodes"][i][0] for i in row["nodes"]]
        assert ops == [n.op.name for n in call.nodes]
        assert [found["storages"][i]["name"] for i in row["reads"]] == [s.name for s in call.reads]
    placed = [
        (s["name"], s["offset"], s["bytes"], s["phases"])
        for s in found["storages"]
        if "phases" in s
    ]
    assert sorted(placed) == sorted(
        (s.name, plan.offsets[s], plan.sizes[s], plan.lifetimes[s]) for s in plan.offsets
    )
    assert found["memory"]["timeline"] == plan.timeline
    assert found["memory"]["arena"] == plan.arena_bytes
    assert len(found["kept"]) == len(saved_nodes(made.schedule))


def test_figures_of_a_function_are_its_own():
    step = deep(1)
    step.specialize(batch=8)
    found = content(step)
    assert (found["flops"], found["bytes"]) == (step.cost.flops, step.cost.bytes)
    assert found["dims"] == {"batch": 8}
    assert found["memory"]["arena"] == step.memory.arena_bytes
    assert found["report"] == step.report()


def test_nodes_are_in_the_scopes_of_their_layers():
    found = content(deep(2).program)
    rows = [dict(zip(COLUMNS, row)) for row in found["nodes"]]
    for part in PARTS:
        mine = {found["scopes"][r["scope"]] for r in rows if PARTS[r["part"]] == part}
        for layer in ("block0/dense", "block0/dense_1", "block1/dense", "block1/dense_1"):
            assert layer in mine
    relu = [r for r in rows if r["op"] == "relu"]
    assert {found["scopes"][r["scope"]] for r in relu} == {"block0/dense", "block1/dense"}


def test_code_of_every_kernel():
    step = deep(2)
    assert code(step)["functions"] == {}  # not compiled yet
    step.specialize(batch=8)
    found, whole = code(step), step.source("llvm")
    names = [k["name"] for k in content(step)["kernels"]]
    assert list(found["loops"]) == list(found["made_of"]) == names
    for name, loops in found["loops"].items():
        assert loops.startswith(f"kernel {name.partition('_')[2]}")
        (own,) = found["made_of"][name]
        text = found["functions"][own]
        assert f"@step.{own}(" in text
        assert all(f in whole for f in text.split("\n\n"))
    assert len(found["functions"]) < len(names)  # the blocks are equal, and share code
    tiles = re.findall(r"^define.*@step\.(\w+_tile\w+)\(", whole, re.MULTILINE)
    everything = "".join(found["functions"].values())
    assert tiles
    assert all(f"@step.{t}(" in everything for t in tiles)


def test_code_of_loops():
    x = gx.input("x", (5, 3))
    last, _ = gx.scan(lambda c, row: (gx.tanh(c + row), c), gx.zeros((3,)), x)
    run = gx.compile([x], last)
    run.specialize()
    found = code(run)
    assert any("tanh" in loops for loops in found["loops"].values())
    made = [found["functions"][k] for mine in found["made_of"].values() for k in mine]
    assert len(made) >= len(content(run)["kernels"]) > 0
    assert all("define" in text for text in made)


def test_measured_times_are_shown_only_when_given():
    made = program(classifier())
    assert all("seconds" not in k for k in content(made)["kernels"])
    seconds = tuple(float(i) for i in range(len(kernels(made))))
    found = content(made, Profile(kernels(made), seconds))
    assert tuple(k["seconds"] for k in found["kernels"] if "seconds" in k) == seconds


def test_profile_of_something_else(tmp_path):
    made, other = program(classifier()), program(scaled_sum())
    for wrong in (3.0, Profile(kernels(other), (1.0, 1.0))):
        with pytest.raises(ArgumentError, match="html: needs the profile of train, got"):
            html(made, tmp_path / "page.html", wrong)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------ the page


def test_page_is_whole_and_needs_nothing_else(tmp_path):
    made = program(classifier())
    html(made, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</body></html>\n")
    assert "default-src 'none'" in text
    assert not re.search(r"\b(src|href)=|https?:|import\(|fetch\(|url\(", text)
    found = blocks(text)
    assert found["content"] == json.loads(json.dumps(content(made)))
    assert list(found["code"]["loops"]) == [k["name"] for k in found["content"]["kernels"]]


def test_same_function_same_bytes(tmp_path):
    for name in ("a", "b"):
        step = deep(1)
        step.specialize(batch=8)
        step.html(tmp_path / name)
        step.html(tmp_path / f"{name}2")
    first = (tmp_path / "a").read_bytes()
    assert all((tmp_path / other).read_bytes() == first for other in ("a2", "b", "b2"))


EVIL = "</script><b>&amp;\"'<!--"


def test_names_cannot_leave_their_place():
    x, w = gx.input("x", (2,)), gx.parameter(EVIL, (2,))
    with gx.name_scope("<script>"):
        y = gx.compile([x], {EVIL: (x * w).sum()}, name="<i>")
    text = page(y)
    assert text.count("</script>") == text.count("<script") == 3
    assert EVIL not in text
    assert "<title>&lt;i&gt;</title>" in text
    found = blocks(text)["content"]
    assert EVIL in [row[2] for row in found["nodes"]]
    assert [name for name, _ in found["passes"][0]["outputs"]] == [EVIL]


def test_page_of_many_nodes():
    step = deep(60)
    count = len(step.program.defined.nodes)
    assert count > 7500
    start = time.perf_counter()
    text = page(step)
    assert time.perf_counter() - start < 30  # measured: 1.4 s for 10,000 nodes
    assert len(text) < 1000 * count
    # the same information a node, however many there are
    assert len(text) / count < 1.5 * len(page(deep(6))) / len(deep(6).program.defined.nodes)


def test_scripts_are_package_data():
    from importlib.resources import files

    folder = files("graphc.inspect") / "page"
    assert {f.name for f in folder.iterdir()} == {"page.css", *(f"{n}.js" for n in SCRIPTS)}


def test_notebooks_show_the_page_where_there_is_no_picture(monkeypatch):
    step = deep(1)
    monkeypatch.setattr("graphc.inspect.notebook.find_program", lambda: None)
    frame = function_html(step)
    assert frame.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert frame.count('"') == 4
    assert step._repr_html_() == frame
    monkeypatch.setattr("graphc.inspect.notebook.function_svg", lambda _: "<svg/>")
    assert function_html(step) is None
