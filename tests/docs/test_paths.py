"""Files, folders and programs that pages name are there."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(p for p in (ROOT / "docs").rglob("*.md")),
]
NAMED = re.compile(r"(?<![\w/.<])((?:[\w*]+/)*[\w*]+\.(?:py|ll)|(?:[\w*]+/)+(?!\w))")
OURS = ("graphc", "backends", "tests", "docs", "examples")


@cache
def tree() -> list[str]:
    """Every file and folder of the checkout, folders with a slash at the end."""
    found = []
    for top in OURS:
        found += [p.relative_to(ROOT).as_posix() + "/" * p.is_dir() for p in ROOT.glob(f"{top}/**")]
        found += [p.relative_to(ROOT).as_posix() for p in ROOT.glob(f"{top}/**/*.*")]
    return found


def named(page: Path) -> set[str]:
    """What stands in backticks and looks like a file or folder of the checkout."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {
        word
        for quoted in re.findall(r"`([^`\n]+)`", prose)
        for word in NAMED.findall(quoted)
        if not word.endswith("/") or word.split("/")[0] in OURS
    }


def is_there(name: str) -> bool:
    """Whether a file or folder ends in these parts; a star stands for anything."""
    return any(fnmatch(path, name) or fnmatch(path, f"*/{name}") for path in tree())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    program = f"{page.stem}.py"  # what the page itself is, as its errors name it
    assert [name for name in sorted(named(page) - {program}) if not is_there(name)] == []


COMMAND = re.compile(r"python -m (tests[\w.]*)|(?:python|pytest)(?: -\S+)* (tests/[\w/.]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_in_commands_exist(page: Path) -> None:
    for module, path in COMMAND.findall(page.read_text(encoding="utf-8")):
        name = path.removesuffix("/") or module.replace(".", "/")
        there = [ROOT / name, ROOT / f"{name}.py", ROOT / name / "__main__.py"]
        assert any(p.exists() for p in there), f"{page.name}: {path or module}"


def test_commands_are_found() -> None:
    found = COMMAND.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert ("tests.fuzz", "") in found
    assert ("tests.replay", "") in found
    assert ("", "tests/ir/ops") in found


def test_what_is_missing_is_found() -> None:
    assert is_there("graphc/compiler/pipeline.py")
    assert is_there("emit_*.py")
    assert is_there("graphc/compiler/fusion/")
    assert not is_there("graphc/pipeline.py")
    assert not is_there("ordering.py")
    assert not is_there("graphc/fusion/")
