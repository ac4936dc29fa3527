"""docs/export.md: its programs run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parent.parent.parent / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not any(map(shutil.which, ("ld", "ld.lld", "cc"))), reason="needs a linker")
def test_programs_run(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:  # each goes on where the one before ended
        exec(compile(block, "export.md", "exec"), names)
    assert (tmp_path / "net" / "net.h").exists()
