"""The code blocks of the pages in Markdown, run as a reader would type them.

The Python blocks of a page are one program: they run in order, in one namespace, in an empty
directory, as the file PAGE.py that errors name. Words after `python` say what is special:

- `no-run`: is not run; its first line is a comment that says why;
- `raises=ShapeError`: raises this, and the message counts as what it printed;
- `file=NAME`: begins another program, without what was before;
- `needs=NAME`: needs a package, a program, or "linker"; where there is none the page ends here.

A block `text output` after it is what the block printed, `...` being anything. In blocks
`console` or `sh` the lines `$ graphc ...` are run too, and what follows them is what they print.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import linecache
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import graphc as gx
from graphc.cli import main

FENCE = re.compile(r"^```(\w+)([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINKERS = ("ld", "ld.lld", "cc")
CHECKER, LOOSE = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, where it begins."""

    language: str
    words: tuple[str, ...]
    text: str
    place: str = ""

    def word(self, name: str) -> str | None:
        """What stands behind `name=`."""
        found = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return found[0] if found else None


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page that name their language."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"^[ \t]+```", text, re.MULTILINE), f"{page.name}: an indented block"
    return [
        Block(
            m[1], tuple(m[2].split()), m[3], f"{page.name}:{text.count(chr(10), 0, m.start()) + 1}"
        )
        for m in FENCE.finditer(text)
    ]


def run(page: Path) -> dict[str, Any]:
    """Run a page in the current directory, which is empty; returns the names it defines."""
    gx.seed(0)
    program, names = begin(f"{page.stem}.py")
    printed = ""
    for block in blocks_of(page):
        if name := block.word("file"):
            program, names = begin(name)
        if "no-run" in block.words:
            reason = re.match(r"\s*#\s*\w+", block.text)
            assert reason, f"{block.place}: the first line of a no-run block says why, as a comment"
        elif missing(block.word("needs")):
            break
        else:
            try:
                printed = step(block, program, names, printed)
            except BaseException as error:
                error.add_note(f"in the block at {block.place}")
                raise
    return names


def begin(name: str) -> tuple[Path, dict[str, Any]]:
    """An empty program and its names."""
    Path(name).write_text("", encoding="utf-8")
    return Path(name), {"__name__": "__main__"}


def step(block: Block, program: Path, names: dict[str, Any], printed: str) -> str:
    """Run or compare one block; returns what it printed."""
    if block.language == "python":
        return python(block, program, names)
    if block.language in ("console", "sh"):
        return console(block)
    if block.words == ("output",):
        compare(block.text, printed)
    return printed


def python(block: Block, program: Path, names: dict[str, Any]) -> str:
    """Run a block as the continuation of a program."""
    before = program.read_text(encoding="utf-8")
    program.write_text(before + block.text + "\n", encoding="utf-8")
    linecache.cache.pop(program.name, None)  # the lines that errors show
    code = compile("\n" * before.count("\n") + block.text, program.name, "exec")
    expected = block.word("raises")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            exec(code, names)
        except Exception as error:
            if type(error).__name__ != expected:
                raise
            return f"{out.getvalue()}{expected}: {error}"
    assert expected is None, f"nothing raised {expected}"
    return out.getvalue()


def console(block: Block) -> str:
    """Run the lines that call `graphc`."""
    printed = ""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        words = shlex.split(command, comments=True)
        if words[0] != "graphc":
            continue
        assert not {"|", ">", "&&"} & set(words), f"{command}: one plain command to a line"
        result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        if expected.strip():
            compare(expected, result.output)
        printed += result.output
    return printed


def compare(expected: str, printed: str) -> None:
    """What a page shows is what the program prints."""
    assert CHECKER.check_output(expected, printed, LOOSE), f"printed, not shown:\n{printed}"


def missing(need: str | None) -> bool:
    """Whether this machine lacks a package, a program, a linker."""
    if need is None:
        return False
    programs = LINKERS if need == "linker" else (need,)
    return not (any(map(shutil.which, programs)) or importlib.util.find_spec(need))
