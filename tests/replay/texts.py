"""A compiled function as text, from the graph to the code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .names import find

HEAD = "======== "  # begins the line above a section


class Files(find("Dump")):  # type: ignore[misc]
    """What GRAPHC_DUMP writes, in memory; of pictures a checksum."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self.count = 0
        self.clean = clean
        self.texts: dict[str, str] = {}

    def write(self, name: str, content: str) -> None:
        """Keep one file."""
        text = self.clean(content)
        self.texts[name] = digest(text.encode()) if name.endswith(".dot") else text


def function_text(
    step: Any, dims: Mapping[str, int], label: str, clean: Callable[[str], str] = str
) -> Iterator[str]:
    """The stages of a function, cleaned of what is not compared, then its code for some targets."""
    program = step.program
    files = Files(clean)
    files.program(program, dims)
    for name, content in files.texts.items():
        yield section(f"{label}: {name}", content)
    emit, host, make = find("emit_program"), find("host_target")(), find("make_target")
    variants = (
        ("this machine", host, dims),
        ("this machine, all sizes", host, None),
        ("baseline", make("baseline"), dims),
        ("neon", make("neon"), dims),
    )
    for name, target, sizes in variants:
        yield section(f"{label}: code for {name}", emit(program, target, sizes).text)


def section(title: str, content: str) -> str:
    """A titled part of a case's text."""
    return f"{HEAD}{title}\n{content.rstrip()}\n"


def digest(content: bytes) -> str:
    """A checksum."""
    return hashlib.sha256(content).hexdigest()
