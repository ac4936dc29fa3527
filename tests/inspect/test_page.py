"""The page about a function, its charts, and measured times."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from models import classifier, program, scaled_sum

from graphc.errors import UnsupportedError
from graphc.inspect import html
from graphc.inspect.chart import kernels_svg, timeline_svg
from graphc.inspect.memory import memory
from graphc.inspect.profile import profile
from graphc.inspect.report import kernels

SVG = "{http://www.w3.org/2000/svg}"


def test_timeline_has_a_bar_a_phase_in_proportion():
    found = memory(program(classifier()))
    bars = list(ElementTree.fromstring(timeline_svg(found)).iter(f"{SVG}rect"))
    heights = [float(bar.get("height")) for bar in bars]
    alive = [live for _, live in found.timeline]
    assert len(bars) == len(alive)
    for height, live in zip(heights, alive):
        assert height == pytest.approx(160 * live / found.arena_bytes, abs=0.1)


def test_every_kernel_has_a_box_in_the_row_of_its_phase():
    made = program(classifier())
    listed = kernels(made)
    root = ElementTree.fromstring(kernels_svg(made.schedule, listed))
    boxes = {
        g.find(f"{SVG}title").text.split("\n")[0]: g.find(f"{SVG}rect")
        for g in root.iter(f"{SVG}g")
    }
    assert list(boxes) == [k.name for k in listed]
    tops = [float(boxes[k.name].get("y")) for k in listed]
    for a, b, k, other in zip(tops, tops[1:], listed, listed[1:]):
        assert (a == b) == (k.phase == other.phase)
        assert a <= b
    assert all(float(b.get("width")) > 0 for b in boxes.values())
    flows = {
        (made.schedule.calls.index(a), made.schedule.calls.index(b))
        for a in made.schedule.calls for b in made.schedule.calls
        if a is not b and set(a.writes) & set(b.reads)
        and made.schedule.calls.index(a) < made.schedule.calls.index(b)
    }  # fmt: skip
    assert len(list(root.iter(f"{SVG}path"))) == len(flows)


def test_charts_of_nothing():
    found = memory(program(scaled_sum()))
    assert found.arena_bytes == 0
    assert ElementTree.fromstring(timeline_svg(found)).tag == f"{SVG}svg"


@pytest.mark.parametrize("graphviz", [True, False])
def test_page_is_whole_and_needs_nothing_else(tmp_path, monkeypatch, graphviz):
    if not graphviz:
        monkeypatch.setattr("graphc.inspect.notebook.find_program", lambda: None)
    made = program(classifier())
    html.html(made, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</body></html>\n")
    for stage in ("defined", "differentiated", "optimized", "fused", "planned"):
        assert f"<summary>{stage}: picture</summary>" in text
    for call in made.schedule.calls:
        assert call.kernel.name in text
    assert not re.search(r'(src|href)="(?!#)', text.replace("xlink:", ""))
    assert ("digraph" in text) != (graphviz and shutil.which("dot") is not None)


# ------------------------------------------------------------------------ profile


class Runner:
    """Code that says how long its kernels took."""

    def __init__(self, seconds):
        self.seconds = seconds

    def profile(self, arrays, dims, rng):
        return [self.seconds] * 2


def function(run):
    made = program(scaled_sum())
    variants = []

    def specialize(**dims):
        variants.append(SimpleNamespace(dims=tuple(dims.items()), run=run))

    binding = SimpleNamespace(bind=lambda args, kwargs: (list(args), {"batch": 4}))
    return SimpleNamespace(
        program=made, variants=variants, specialize=specialize, binding=binding,
        name="step", target="cpu", rng=None,
    )  # fmt: skip


def test_profile_pairs_kernels_with_their_times():
    found = profile(function(Runner(2e-6)), [np.zeros((4, 3), "float32")], {})
    assert found.seconds == (2e-6, 2e-6)
    lines = str(found).splitlines()
    assert lines[1].split()[1:3] == ["2.00", "50.0%"]
    assert lines[-1].split() == ["total", "4.00"]
    assert len(lines) == 4


def test_profile_without_code_that_can_be_timed():
    with pytest.raises(UnsupportedError, match="step: kernels on target cpu cannot be timed"):
        profile(function(object()), [], {})
