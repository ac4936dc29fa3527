"""What things are called elsewhere: every line of the page runs, and every name is answered."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.elsewhere import ARGUMENTS, ROWS, SETTING, answer
from graphc.errors import ArgumentError
from tests.docs.elsewhere_page import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "guide" / "coming_from.md"


@pytest.fixture(scope="module")
def setting() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(SETTING, names)
    return names


def test_the_page_is_what_the_table_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_every_line_runs(
    row: Any, setting: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "gx.onnx" in row[2] and find_spec("onnx") is None:
        pytest.skip("needs the package onnx")
    monkeypatch.chdir(tmp_path)
    eval(row[2], dict(setting))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_every_name_is_answered(row: Any) -> None:
    head = row[1].partition("(")[0]
    name, method = head.rpartition(".")[2], head.startswith("t.")
    told = answer(name, (), methods=method)
    assert told is not None
    assert not method or not hasattr(gx.Tensor, name)


def test_modules_tell_what_is_meant() -> None:
    for module, name, told in (
        (gx.nn, "Linear", "gx.nn.Dense(3)"),
        (gx.nn, "softmx", "softmax"),
        (gx.optim, "adam", "gx.optim.Adam(1e-3)"),
        (gx.schedules, "CosineAnnealingLR", "gx.schedules.cosine(1e-3, 100)"),
        (gx, "concatenate", "gx.concat([x, x])"),
        (gx, "Sum", "sum"),
    ):
        with pytest.raises(AttributeError) as caught:
            getattr(module, name)
        assert str(caught.value).splitlines()[1] == f"  did you mean   {told}", name


def test_nobody_guesses_what_cannot_be_known() -> None:
    for module, name in ((gx.nn, "qqqq"), (gx, "__wrapped__"), (gx.optim, "_private")):
        with pytest.raises(AttributeError) as caught:
            getattr(module, name)
        assert "did you mean" not in str(caught.value)
    assert not hasattr(gx.input("x", (2,)), "__array_interface__")


def test_methods_tell_what_is_meant() -> None:
    x = gx.input("x", (2, 3))
    with pytest.raises(AttributeError, match=r"did you mean   gx.stop_gradient\(x\)"):
        x.detach()
    with pytest.raises(AttributeError, match="did you mean   reshape"):
        x.Reshape((6,))


def test_arguments_tell_what_is_meant() -> None:
    w = gx.parameter("w", value=np.ones(3, np.float32))
    for call, word in (
        (lambda: gx.optim.Adam(lr=0.1), "learning_rate"),  # type: ignore[call-arg]
        (lambda: gx.nn.Dense(3, bias=False), "use_bias"),  # type: ignore[call-arg]
        (lambda: gx.sum(w, dim=0), "axis"),  # type: ignore[call-arg]
        (lambda: gx.sum(w, keepdim=True), "keepdims"),  # type: ignore[call-arg]
        (lambda: gx.nn.Conv2D(8, 3, stride=2), "strides"),  # type: ignore[call-arg]
        (lambda: gx.nn.softmax(w, axes=0), "axis"),  # type: ignore[call-arg]
    ):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert caught.value.hint == f"did you mean {word}?", caught.value
    with pytest.raises(TypeError, match="Dropout: takes no argument qqqq") as caught:
        gx.nn.Dropout(qqqq=0.5)  # type: ignore[call-arg]
    assert "it takes rate" in str(caught.value)


def test_words_for_arguments_are_words_here() -> None:
    assert all(theirs != ours for theirs, ours in ARGUMENTS.items())
