"""The pictures are those that programs draw: `pictures.py` the tutorial's, `rooms.py` the rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphc as gx
from tests.docs import rooms
from tests.docs.code_blocks import run
from tests.docs.pictures import PAGE, PICTURES, ROOT, mark


def test_pictures_are_those_of_the_program(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    stages = run(PAGE)["step"].stages
    for stage in stages:
        assert f"(pictures/{stage}.svg)" in PAGE.read_text(encoding="utf-8")
        dot = (tmp_path / f"{stage}.dot").read_text(encoding="utf-8")
        hint = "draw again: python -m tests.docs.pictures"
        assert (PICTURES / f"{stage}.dot").read_text(encoding="utf-8") == dot, hint
        assert (PICTURES / f"{stage}.svg").read_text(encoding="utf-8").endswith(mark(dot)), hint
    assert set(stages) == set(gx.compile([], 1.0).stages)
    assert {p.stem for p in PICTURES.iterdir()} == {*stages, rooms.PICTURE.stem}


def test_the_picture_of_the_rooms_is_made_of_the_imports() -> None:
    hint = "draw again: python -m tests.docs.rooms"
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.draw(), hint
    assert "(pictures/rooms.svg)" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
