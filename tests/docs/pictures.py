"""The pictures of docs/tutorial.md: what its program draws, as DOT text and, by Graphviz, as SVG.

python -m tests.docs.pictures
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from graphc.inspect.render import write_picture
from tests.docs.code_blocks import run

ROOT = Path(__file__).parent.parent.parent
PAGE, PICTURES = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "pictures"


def mark(dot: str) -> str:
    """What says, at the end of a drawing, which DOT text it shows."""
    return f"<!-- of the DOT text {hashlib.sha256(dot.encode()).hexdigest()} -->\n"


def write(folder: Path) -> None:
    """Draw the DOT files in a folder into docs/pictures."""
    PICTURES.mkdir(exist_ok=True)
    for found in sorted(folder.glob("*.dot")):
        dot = found.read_text(encoding="utf-8")
        picture = PICTURES / f"{found.stem}.svg"
        write_picture(dot, picture)
        picture.write_text(picture.read_text(encoding="utf-8") + mark(dot), encoding="utf-8")
        (PICTURES / found.name).write_text(dot, encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run(PAGE)
        write(Path(folder))
