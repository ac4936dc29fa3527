"""README.md: its programs run, its names and files exist, its commands are commands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import graphc as gx
from graphc.cli import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
QUOTED = re.findall(
    r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
)


def test_programs_run(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """One after the other: later ones use names of the first."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if "bundle.load()" in block and not any(map(shutil.which, ("ld", "ld.lld", "cc"))):
            continue  # there is no shared library to load
        exec(compile(block, "README.md", "exec"), names)
    assert names["history"].last("val_accuracy") > 0.9
    printed = capsys.readouterr().out
    assert str(names["step"].memory.arena_bytes) in printed
    assert (tmp_path / "step.dot").exists()


def test_there_is_a_program() -> None:
    assert BLOCKS


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
