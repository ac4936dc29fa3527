"""Write the text of every case: the process that has one compiler imported."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import graphc as gx

from .capture import Enough, capture
from .command import CONTENT
from .files import file_cases
from .models import model_cases
from .names import prepare
from .programs import ROOT, benchmark_cases, example_cases, page_cases
from .samples import op_cases, random_cases, without_lines
from .texts import digest, function_text, section

Case = tuple[str, Callable[[], Any]]


def cases(quick: bool) -> Iterator[Case]:
    """All of them, or the quick ones. A case that returns text adds it to that of its functions."""
    yield from benchmark_cases(quick)
    yield from example_cases(quick)
    yield from page_cases(quick)
    yield from model_cases(quick)
    yield from op_cases(quick)
    yield from random_cases(quick)
    yield from file_cases(quick)


def record(chosen: Iterable[Case], directory: Path, root: Path = ROOT) -> int:
    """Write every case and the checksums; how many cases failed."""
    assert Path(gx.__file__).is_relative_to(root), f"{gx.__file__} is not of {root}"
    directory.mkdir(parents=True, exist_ok=True)
    totals, failed = {}, 0
    for group, members in itertools.groupby(chosen, lambda c: c[0].partition("/")[0]):
        begin = time.perf_counter()
        for name, run in members:
            text, error = case_text(name, run, str(root))
            file = f"{name.replace('/', '.')}{CONTENT}"
            (directory / file).write_bytes(gzip.compress(text.encode(), 1, mtime=0))
            totals[file] = digest(text.encode())
            failed += bool(error)
            sys.stderr.write(f"{name}: {error}\n" if error else "")
        sys.stderr.write(f"{group}: {time.perf_counter() - begin:.1f} s\n")
    lines = (f"{total}  {name}\n" for name, total in sorted(totals.items()))
    (directory / "SUMS").write_text("".join(lines), encoding="utf-8")
    return failed


def case_text(name: str, run: Callable[[], Any], root: str) -> tuple[str, str]:
    """What a program compiles, as text without the paths of this machine; and why it failed."""
    gx.seed(0)
    with elsewhere() as folder, capture() as captured:
        error, more = "", None
        try:
            more = run()
        except (Exception, SystemExit) as raised:
            error = f"{type(raised).__name__}: {raised}"
        except Enough:
            pass
    parts = [section("failed", error)] if error else []
    parts += [more] if isinstance(more, str) else []
    clean = without_lines if name.startswith("random/") else str
    for i, step in enumerate(captured.steps):
        label = f"{i + 1} {step.name}"
        try:
            parts += function_text(step, captured.dims(step), label, clean)
        except Exception as raised:  # a refusal (no such sizes, say) or a fault of the compiler
            parts.append(section(f"{label}: refused", f"{type(raised).__name__}: {raised}"))
            if not isinstance(raised, gx.errors.GraphcError):
                sys.stderr.write(f"{name}: {label}: {type(raised).__name__}: {raised}\n")
    text = "\n".join(parts)
    for path in (folder, root, str(ROOT)):
        text = text.replace(path, "")
    return text, error


@contextlib.contextmanager
def elsewhere() -> Iterator[str]:
    """Work in an empty directory, without warnings."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(here)


def main(root: str, directory: str, quick: str, only: str) -> int:
    """Record the cases whose names begin with `only`; the exit status."""
    prepare(Path(root))
    chosen = (c for c in cases(quick == "1") if c[0].startswith(only))
    return int(record(chosen, Path(directory), Path(root)) > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
