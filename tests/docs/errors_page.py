"""Errors as users see them: `python -m tests.docs.errors_page` prints docs/errors.md. The programs
are those of `tests/errors/catalogue.py`; they are run, and the messages are what they raise."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from pathlib import Path

from graphc import errors
from tests.docs.code_blocks import Block, begin, python
from tests.errors.catalogue import MISTAKES, Mistake

HEAD = """# Errors

Printed by `python -m tests.docs.errors_page` from programs that were run; a test says whether it is
up to date. Do not edit.

Every error that a user can cause is a `GraphcError`, and also the built-in exception that fits
best, so that `except ValueError` catches a `ShapeError`. Mistakes are found where the graph is
defined whenever they can be known there. A message has

- a first line with the operation, what was wanted and what there was;
- the operands with their types, and the lines of your program that made them;
- the line of your program where it went wrong, and a hint where there is a usual cure.

Code can read the same as `error.message`, `error.operands`, `error.origin` and `error.hint`.
"""
KINDS = (
    errors.ShapeError, errors.DTypeError, errors.AxisError, errors.NameError, errors.GradientError,
    errors.ArgumentError, errors.UnsupportedError, errors.RuntimeCheckError,
    errors.MemoryBudgetError, errors.FormatError, errors.BackendError, errors.VerifyError,
)  # fmt: skip
WITHOUT_PROGRAM = {
    errors.BackendError: "The machine or the installation lacks what a backend needs, say after"
    ' `target="cuda"` where there is no GPU: `graphc doctor` says what there is.',
    errors.VerifyError: "graphc checks its own work after every pass. This is never your mistake:"
    ' please report it with the program that caused it. `target="interpret"` may help until then.',
}


def page() -> str:
    """The whole file."""
    return "".join([HEAD, *map(section, KINDS)])


def section(kind: type[Exception]) -> str:
    """What there is about one class."""
    meaning = " ".join((kind.__doc__ or "").split())
    bases = [base.__name__ for base in kind.__bases__ if base is not errors.GraphcError]
    also = f" Also a {' and a '.join(f'`{name}`' for name in bases)}."
    text = f"\n## {kind.__name__}\n\n{meaning}{also}\n"
    if kind in WITHOUT_PROGRAM:
        return f"{text}\n{wrapped(WITHOUT_PROGRAM[kind])}\n"
    return text + "".join(entry(mistake) for mistake in MISTAKES if mistake.kind is kind)


def entry(mistake: Mistake) -> str:
    """A program, what it raises, and the cure."""
    block = Block("python", ("file=program.py", f"raises={mistake.kind.__name__}"), lines(mistake))
    return (
        f"\n### {mistake.title}\n\n```python {' '.join(block.words)}\n{block.text}```\n\n"
        f"```text output\n{message(block)}\n```\n\n{wrapped(mistake.cure)}\n"
    )


def wrapped(text: str) -> str:
    """A paragraph in lines."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def lines(mistake: Mistake) -> str:
    """The whole program."""
    numpy = "import numpy as np\n" if "np." in mistake.program else ""
    return f"import graphc as gx\n{numpy}{mistake.program}"


def message(block: Block) -> str:
    """What a program raises, run in a folder of its own."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return python(block, *begin("program.py"))
        finally:
            os.chdir(before)


if __name__ == "__main__":
    sys.stdout.write(page())
