"""The notebooks run from top to bottom, show their values, and reach what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import graphc as gx
from graphc.config import Environment
from tests.examples.notebooks import cells, displayed, execute

pytest.importorskip("matplotlib", reason="the notebooks draw (graphc[plots])")

FOLDER = Path(__file__).parent.parent.parent / "examples" / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
QUICK: dict[str, dict[str, int]] = {
    "1_logistic_regression": {"epochs": 3},
    "2_backprop_by_hand": {},
    "3_cnn": {"count": 120, "epochs": 1},
    "4_word2vec": {"sentences": 100, "epochs": 1},
    "5_lstm_text": {"sentences": 60, "units": 12, "epochs": 1},
    "6_gan": {"steps": 12, "batch": 32},
}


def test_there_are_six_that_are_listed() -> None:
    assert [path.stem for path in PATHS] == list(QUICK)
    index = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in PATHS if path.name not in index] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_well_formed_and_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in cells(path)}) == len(cells(path))
    kinds = [cell["cell_type"] for cell in cells(path)]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 4
    for cell in cells(path):
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "clear the outputs"
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Interpreted, as compiling would take most of the time; the slow test below compiles."""
    plain = Environment(backend="interpret")
    monkeypatch.setattr("graphc.runtime.backend.environment", lambda: plain)
    monkeypatch.chdir(tmp_path)
    _, shown = execute(path, QUICK[path.stem])
    assert len(shown) >= 1
    pictures = ["Figure" in type(value).__name__ for value in shown]
    assert any(pictures)
    for value, is_picture in zip(shown, pictures):
        assert is_picture or displayed(value)
    assert not any(tmp_path.iterdir()), "a notebook leaves no files"


@pytest.mark.slow
def test_they_reach_what_they_say(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = {path.stem[0]: execute(path, {})[0] for path in PATHS}
    assert found["1"]["history"].last("val_accuracy") > 0.95
    assert found["3"]["accuracy"] > 0.85
    verbs = {"likes", "finds", "sees", "hears", "follows", "carries"}
    assert len(verbs & set(found["4"]["neighbours"]("likes", 5))) >= 4
    assert found["5"]["history"].last("val_bits") < 1.0
    assert abs(found["6"]["radius"].mean() - 2.0) < 0.2


def test_models_histories_and_sweeps_show_themselves() -> None:
    net = gx.nn.Sequential([gx.nn.Dense(3, input_shape=(2,), name="first"), gx.nn.relu])
    net.build()
    assert "f32[batch,3]" in str(displayed(net)["_repr_html_"])
    assert "_repr_html_" not in displayed(gx.nn.Sequential())
    assert "first" in str(displayed(gx.summary(net))["_repr_html_"])
    history = gx.History()
    history.add({"loss": 2.0, "<name>": float("nan")})
    history.add({"loss": 1.0, "<name>": 1.0})
    page = str(displayed(history)["_repr_html_"])
    assert "points='3.0,3.0 157.0,25.0'" in page
    assert "&lt;name&gt;" in page
    sweep = gx.RateSweep(*([1e-3, 1e-2, 1e-1],) * 3, suggestion=1e-2, divergence=None)  # type: ignore[arg-type]
    assert bytes(displayed(sweep)["_repr_png_"])[:4] == b"\x89PNG"  # type: ignore[arg-type]
