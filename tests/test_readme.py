"""README.md: its programs run, its names and files exist, its commands are commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import graphc as gx
from graphc.cli import main
from tests.docs.code_blocks import run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
QUOTED = re.findall(
    r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
)


def test_programs_run(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(README)
    assert names["history"].last("val_accuracy") > 0.9
    assert (tmp_path / "step.dot").exists()


@pytest.mark.parametrize("name", sorted({q for q in QUOTED if re.match(r"gx\.[\w.]+", q)}))
def test_names_exist(name: str) -> None:
    if name.startswith("gx.onnx"):
        pytest.importorskip("onnx")
    value: Any = gx
    for part in re.match(r"gx\.([\w.]+)", name)[1].split("."):  # type: ignore[index]
        value = getattr(value, part)


FILES = sorted({q for q in QUOTED if re.fullmatch(r"[\w./]+(/[\w.]*|\.(py|txt|md))|LICENSE", q)})


@pytest.mark.parametrize("name", FILES)
def test_files_exist(name: str) -> None:
    assert (ROOT / name).exists() or (ROOT / "examples" / name).exists()


COMMANDS = sorted(set(re.findall(r"(?:^|&& |`)graphc ([a-z]+)", TEXT, re.MULTILINE)))


def test_commands_exist() -> None:
    assert "demo" in COMMANDS
    for command in COMMANDS:
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0, command
