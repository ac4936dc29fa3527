"""Write pictures to files, through Graphviz where pixels or curves are wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from graphc import origin as origins
from graphc.errors import ArgumentError, UnsupportedError, VerifyError
from graphc.files import write_whole

TEXT = (".dot", ".gv")
DRAWN = (".svg", ".png", ".pdf")


def write_picture(text: str, path: str | os.PathLike[str]) -> None:
    """Write DOT text to a .dot or .gv file, or draw it to a .svg, .png or .pdf file.

    Raises ArgumentError for other endings, UnsupportedError where drawing needs Graphviz and
    there is none, OSError where the file cannot be written.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"dot: path must be the path of a file, got {path!r:.60}", origin=origins.find_origin()
        )
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix in TEXT:
        write_whole(target, text.encode())
    elif suffix in DRAWN:
        write_whole(target, draw(text, suffix[1:]))
    else:
        raise ArgumentError(
            f"dot: {target.name} must end in one of {', '.join((*TEXT, *DRAWN))}",
            origin=origins.find_origin(),
        )


def draw(text: str, format: str) -> bytes:
    """The picture that Graphviz makes of DOT text; raises UnsupportedError without Graphviz."""
    program = find_program()
    if program is None:
        raise UnsupportedError(
            f"dot: a .{format} picture needs the program `dot` of Graphviz, which is not installed",
            origin=origins.find_origin(),
            hint="install graphviz (apt, brew, winget, conda), or write a .dot file",
        )
    found = subprocess.run([program, f"-T{format}"], input=text.encode(), capture_output=True)
    if found.returncode:
        raise VerifyError(f"Graphviz did not take the picture: {found.stderr.decode()[:500]}")
    return found.stdout


def find_program() -> str | None:
    """Graphviz's `dot`, or None."""
    return shutil.which("dot")
