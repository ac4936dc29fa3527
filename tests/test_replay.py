"""The comparison of what the compiler makes: equal where nothing changed, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.replay.command import compare, start
from tests.replay.files import saved, sorts
from tests.replay.models import half, mlp, model_cases
from tests.replay.names import PLACES, find
from tests.replay.programs import ROOT
from tests.replay.record import record

CASES = (
    ("models/half", half),
    ("models/mlp", mlp),
    ("onnx/sorts", lambda: saved(sorts)),
)


@pytest.fixture(scope="module")
def before(tmp_path_factory: Any) -> Path:
    folder = Path(tmp_path_factory.mktemp("before"))
    assert record(CASES, folder) == 0
    return folder


def test_nothing_differs_where_nothing_changed(before: Path, tmp_path: Path, capsys: Any) -> None:
    assert record(CASES, tmp_path) == 0
    assert compare(before, tmp_path) == 0
    assert "0 of 3 files differ" in capsys.readouterr().out


def test_a_changed_kernel_is_shown(
    before: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    tanh = next(op for op in find("ALL_OPS") if op.name == "tanh")
    monkeypatch.setattr(tanh, "emit", lambda self, e, x: e.neg(e.tanh(x)))
    assert record(CASES, tmp_path) == 0
    assert compare(before, tmp_path) == 1
    shown = capsys.readouterr().out
    assert "2 of 3 files differ" in shown
    assert "models.mlp.txt.gz" in shown
    assert "kernels/" in shown


def test_a_failing_case_and_a_missing_file_are_shown(
    before: Path, tmp_path: Path, capsys: Any
) -> None:
    assert record([("onnx/sorts", lambda: 1 // 0)], tmp_path) == 1
    assert compare(before, tmp_path) == 1
    (tmp_path / "SUMS").write_text("")
    assert compare(before, tmp_path) == 1
    assert "nothing is recorded" in capsys.readouterr().out


def test_every_program_is_there(tmp_path: Path) -> None:
    assert start(ROOT, tmp_path, quick=False, only="none of them").wait() == 0
    assert (tmp_path / "SUMS").read_text() == ""
    assert {"models/gpt", "models/losses"} <= {name for name, _ in model_cases(quick=True)}


@pytest.mark.parametrize("name", [name for table in PLACES.values() for name in table])
def test_every_name_is_found(name: str) -> None:
    assert find(name)
