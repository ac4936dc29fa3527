"""Pack what graphc needs on a machine that has a GPU and no package index.

    python -m tests.gpu_bundle DIR [--python 3.12] [--with numpy] [--limit 60]

Wheels of the versions that are installed here, for another Python if need be, packed again with
LZMA: for `python -m tests.gpu_check --bundle DIR` there, or `pip install --no-index DIR/*.whl`.
NumPy, PyTorch and JAX are expected to be there; the checkout itself travels by other means.
Ends with 1 where it is larger than the limit (in MB) or a wheel is missing.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "llvmlite", "cuda-bindings", "cuda-pathfinder", "ml_dtypes", "networkx", "safetensors",
    "rich", "click", "pygments", "markdown-it-py", "mdurl", "greenlet",
    "pytest", "pytest-xdist", "execnet", "pluggy", "iniconfig", "packaging",
    "optax", "absl-py",
)  # fmt: skip
OLD = ("manylinux2014_x86_64", "manylinux1_x86_64")
PLATFORMS = (*(f"manylinux_2_{n}_x86_64" for n in (34, 31, 28, 27, 24, 17, 12, 5)), *OLD)


def download(name: str, python: str, into: Path) -> Path | None:
    """The wheel of a package; None where there is none."""
    try:
        wanted = f"{name}=={version(name)}"
    except PackageNotFoundError:
        wanted = name
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for known in PLATFORMS:
        command += ["--platform", known]
    before = set(into.glob("*.whl"))
    done = subprocess.run([*command, "-d", str(into), wanted], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(f"{wanted}: {done.stderr.strip().splitlines()[-1]}\n")
        return None
    (found,) = set(into.glob("*.whl")) - before
    return found


def repack(wheel: Path) -> int:
    """Pack a wheel with LZMA; its bytes."""
    smaller = wheel.with_suffix(".new")
    with (
        zipfile.ZipFile(wheel) as old,
        zipfile.ZipFile(smaller, "w", zipfile.ZIP_LZMA) as new,
    ):
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), zipfile.ZIP_LZMA)
    smaller.replace(wheel)
    return wheel.stat().st_size


def main() -> int:
    """Make the bundle and say what it contains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    here = ".".join(platform.python_version_tuple()[:2])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--python", default=here, help="of the machine with the GPU")
    parser.add_argument("--with", nargs="+", default=[], dest="more", metavar="PACKAGE")
    parser.add_argument("--limit", type=float, default=60.0, help="megabytes of all")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for stale in options.directory.glob("*.whl"):
        stale.unlink()
    contents: dict[str, Any] = {}
    for name in (*PACKAGES, *options.more):
        wheel = download(name, options.python, options.directory)
        if wheel is None:
            contents[name] = None
            continue
        contents[name] = {"wheel": wheel.name, "bytes": repack(wheel)}
        sys.stdout.write(f"{contents[name]['bytes'] / 1e6:8.2f} MB  {wheel.name}\n")
        sys.stdout.flush()
    return finish(options, contents)


def finish(options: argparse.Namespace, contents: dict[str, Any]) -> int:
    """Write the list of contents; whether all is there and small enough."""
    missing = [name for name, found in contents.items() if found is None]
    total = sum(found["bytes"] for found in contents.values() if found)
    facts = {"python": options.python, "bytes": total, "missing": missing, "packages": contents}
    (options.directory / "contents.json").write_text(json.dumps(facts, indent=1))
    sys.stdout.write(f"{total / 1e6:8.2f} MB  in all, for Python {options.python}\n")
    if missing:
        sys.stdout.write(f"missing: {', '.join(missing)}\n")
    if total > options.limit * 1e6:
        sys.stdout.write(f"this is more than {options.limit:.0f} MB\n")
    return int(bool(missing) or total > options.limit * 1e6)


if __name__ == "__main__":
    sys.exit(main())
