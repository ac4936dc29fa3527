"""The page in a browser: it opens soon, draws itself, and shows what is clicked."""

import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest

import graphc as gx
from graphc.inspect.html import page
from tests.inspect.test_page import EVIL, deep

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="needs Chromium or Chrome")

HELP = """
<script>
const button = name => [...document.querySelectorAll("button")].find(b => b.textContent === name);
const side = () => document.getElementById("side").innerText;
const links = () => [...document.querySelectorAll("#side a")];
const type = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event("input"));
};
let result;
try { result = (() => { %s })(); } catch (error) { result = `${error.stack}`; }
document.documentElement.dataset.result = encodeURIComponent(JSON.stringify(result));
</script></body></html>
"""


def opened(tmp_path, text, act="return null"):
    """What the page says about itself when it is ready, and what an action on it returns."""
    file = tmp_path / "page.html"
    file.write_text(text.replace("</body></html>", HELP % act))
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={tmp_path / 'browser'}", file.as_uri(),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    root = re.match(r"<!DOCTYPE html>\s*<html([^>]*)>", found.stdout)[1]
    said = {k: unquote(v) for k, v in re.findall(r'data-(\w+)="([^"]*)"', root)}
    assert "ready" in said, found.stderr[-2000:]
    return {k: json.loads(v) for k, v in said.items()}, found.stdout


def test_ten_thousand_nodes_open_in_three_seconds(tmp_path):
    step = deep(80)
    assert len(step.program.defined.nodes) >= 10_000
    act = "button('open all').click(); return document.querySelectorAll('#side td').length"
    said, _ = opened(tmp_path, page(step), act)
    assert said["ready"] < 3000  # milliseconds since the browser began to load it
    assert 0 < said["drawn"] < said["boxes"] < 1000  # scopes are closed, and only what is in view
    assert said["result"] > 0


def test_search_finds_nodes_and_choosing_one_shows_everything_about_it(tmp_path):
    step = deep(2)
    step.specialize(batch=8)
    act = """
    type("search", "relu block1/dense forward");
    type("search", "relu block1/dense");
    const hits = links().map(a => a.textContent);
    links().find(a => a.textContent.startsWith("relu")).click();
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    return [hits, side()];
    """
    said, text = opened(tmp_path, page(step, step_profile(step)), act)
    hits, shown = said["result"]
    assert any(h.startswith("relu") for h in hits)
    kernel = next(k for k in step.kernels if "relu" in k.ops and k.part == "forward")
    for words in (
        "relu()", "f32[batch,8]", "test_page.py", 'activation="relu"', "forward", "block1",
        "64 FLOP", "256 B, kept for the backward half", "1234.00 µs", "on one thread",
    ):  # fmt: skip
        assert words in shown, words
    assert kernel.name.partition("_")[2] in shown
    assert "mul_by_one" in shown  # the pass that took the product with 1 away from it
    assert "define internal void @step." in text


def step_profile(step):
    from graphc.inspect.profile import Profile

    return Profile(step.kernels, (1234e-6,) * len(step.kernels))


def test_slider_goes_through_the_passes(tmp_path):
    step = deep(1)
    act = "return [0, 4, 1].map(k => { type('slider', k); return side(); })"
    said, _ = opened(tmp_path, page(step), act)
    first, simplify, second = said["result"]
    trace = step.program.trace
    assert first.startswith("0. defined")
    assert str(len(step.program.defined.nodes)) in first
    assert simplify.startswith(f"4. {trace[3].name}")
    assert "mul_by_one" in simplify
    assert second.startswith(f"1. {trace[0].name}")


def test_memory_and_schedule_are_drawn(tmp_path):
    step = deep(1)
    act = """
    const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
    return ["memory", "schedule", "graph"].map(tab => {
      const words = [], write = pen.fillText;
      pen.fillText = text => words.push(text);
      button(tab).click();
      button("fit").click();
      drawNow();
      pen.fillText = write;
      return words;
    });
    """
    text = page(step).replace("\nbuild();\n", "\nwindow.drawNow = draw;\nbuild();\n")
    said, _ = opened(tmp_path, text, act)
    memory, schedule, graph = said["result"]
    assert any(words.startswith("arena ") for words in memory)
    assert {"thread 0", "0", "1"} <= set(schedule)
    assert [w for w in schedule if w.startswith("k00_")]
    assert {"forward", "backward", "update"} <= set(graph)


def test_names_are_text_and_nothing_else(tmp_path):
    x, w = gx.input("x", (2,)), gx.parameter(EVIL, (2,))
    run = gx.compile([x], {EVIL: (x * w).sum()}, name=EVIL)
    act = """
    type("search", "/script");
    links()[0].click();
    const bold = document.querySelectorAll("b").length;
    return [bold, document.title, document.querySelector("h1").innerText, side()];
    """
    said, _ = opened(tmp_path, page(run), act)
    bold, title, heading, shown = said["result"]
    assert bold == 1  # the name of the pass beside the slider
    assert title == heading == EVIL
    assert EVIL in shown


def identity():
    x = gx.input("x", (3,))
    return gx.compile([x], x)


def unused():
    x = gx.input("x", (3,))
    return gx.compile([x], gx.constant([1.0, 2.0]) * 2.0)


def prepared():
    x, w = gx.input("x", (4, 32)), gx.parameter("w", (32, 32))
    return gx.compile([x], x @ (w * 2.0 + w.mT))


def loop():
    x = gx.input("x", ("n", 3))
    return gx.compile([x], gx.scan(lambda c, row: (gx.tanh(c + row), c), gx.zeros((3,)), x))


@pytest.mark.parametrize("build", [identity, unused, prepared, loop])
def test_unusual_programs(tmp_path, build):
    act = """
    for (const tab of ["memory", "schedule", "report", "graph"]) button(tab).click();
    for (const name of ["close all", "open all", "fit"]) button(name).click();
    type("search", "x");
    for (let i = 0; i < links().length; i++) { links()[i].click(); type("search", "x"); }
    type("slider", 0);
    return "done";
    """
    said, _ = opened(tmp_path, page(build()), act)
    assert said["result"] == "done"
    assert said["boxes"] > 0
