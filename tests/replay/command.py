"""Record, compare, and both."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SHOWN = 3  # lines of a difference
CONTENT = ".txt.gz"


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(description="Compare what the compiler makes.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("record", "against"):
        command = commands.add_parser(name)
        command.add_argument("directory" if name == "record" else "commit")
        command.add_argument("--quick", action="store_true")
        command.add_argument("--only", default="", help="cases whose names begin so")
        if name == "record":
            command.add_argument("--root", type=Path, default=TESTS.parent)
    command = commands.add_parser("compare")
    command.add_argument("first", type=Path)
    command.add_argument("second", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "compare":
        return compare(options.first, options.second)
    if options.command == "against":
        return against(options.commit, options.quick, options.only)
    return start(options.root, Path(options.directory), options.quick, options.only).wait()


def start(root: Path, directory: Path, quick: bool, only: str = "") -> subprocess.Popen[bytes]:
    """A process that records the compiler of a checkout."""
    root = root.resolve()
    helpers = sorted({str(p.parent) for p in (root / "tests").rglob("random_*.py")})
    benchmarks = [str(p.parent) for p in TESTS.rglob("workloads.py")]
    paths = [str(root), str(root / "backends"), *helpers, str(TESTS), *benchmarks]
    unset = ("GRAPHC_DUMP", "GRAPHC_CHECK", "GRAPHC_TIME", "GRAPHC_BACKEND")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "GRAPHC_CACHE": "off"}
    command = [sys.executable, "-P", "-m", "replay.record", str(root), str(directory.resolve())]
    return subprocess.Popen([*command, str(int(quick)), only], env=environment)


def compare(first: Path, second: Path) -> int:
    """Print what differs; 1 if anything does."""
    a, b = sums(first), sums(second)
    if not a or not b:
        sys.stdout.write("nothing is recorded there\n")
        return 1
    names = sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))
    for name in names:
        if name not in a or name not in b:
            sys.stdout.write(f"{name}: only in {first if name in a else second}\n")
            continue
        sys.stdout.write(f"{name}:\n{difference(read(first / name), read(second / name))}\n")
    sys.stdout.write(f"{len(names)} of {len(a.keys() | b.keys())} files differ\n")
    return int(bool(names))


def sums(directory: Path) -> dict[str, str]:
    """The checksums of a recording by file."""
    path = directory / "SUMS"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {name: total for total, name in (line.split("  ", 1) for line in lines)}


def read(path: Path) -> list[str]:
    """The lines of a file."""
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def difference(a: list[str], b: list[str]) -> str:
    """The first lines that differ, under the title of their section."""
    from .texts import HEAD

    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    title = next((x for x in reversed(a[: at + 1]) if x.startswith(HEAD)), "")
    lines = [f"  line {at + 1}: {title.removeprefix(HEAD)}"]
    lines += [f"  - {x[:200]}" for x in a[at : at + SHOWN]]
    lines += [f"  + {x[:200]}" for x in b[at : at + SHOWN]]
    return "\n".join(lines)


def against(commit: str, quick: bool, only: str = "") -> int:
    """Record a commit and this checkout, side by side, and compare."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        before = Path(folder, "before")
        unpack(commit, before)
        runs = [
            stack.enter_context(start(root, Path(folder, name), quick, only))
            for root, name in ((before, "a"), (TESTS.parent, "b"))
        ]
        failed = [run.wait() for run in runs]
        return compare(Path(folder, "a"), Path(folder, "b")) or int(any(failed))


def unpack(commit: str, folder: Path) -> None:
    """The files of a commit."""
    command = ["git", "-C", str(TESTS.parent), "archive", "--format=tar", commit]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
