"""Compile the recording driver, and run a scenario against it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
SECONDS = 60


def c_compiler() -> str:
    """A C compiler; skips where there is none."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux for the recording driver")
    return found


@cache
def build_fake(folder: Path) -> Path:
    """The folder with libcuda.so.1 in it."""
    sources = [str(p) for p in sorted(HERE.glob("fake_driver*.c"))]
    library = folder / "libcuda.so.1"
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command = [
        c_compiler(), *options, "-Wl,-soname,libcuda.so.1", "-o", str(library), *sources, "-ldl",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=SECONDS)
    return folder


@dataclass(frozen=True)
class Run:
    """What the driver has recorded."""

    lines: tuple[str, ...]

    def starting(self, head: str) -> list[str]:
        """Lines with such a beginning."""
        return [line for line in self.lines if line.startswith(head)]

    def check_clean(self) -> None:
        """Nothing wrong was done, and nothing is left."""
        assert self.starting("wrong:") == []
        assert [line for line in self.starting("left ") if not line.endswith("=0")] == []


def run_program(command: list[str], fake: Path, log: Path, **options: object) -> Run:
    """Run a program that finds the recording driver."""
    environment = {f"FAKE_CUDA_{k.upper()}": str(v) for k, v in options.items()}
    path = os.pathsep.join([str(ROOT), *(p for p in sys.path if p)])
    environment |= {
        "LD_LIBRARY_PATH": str(fake),
        "FAKE_CUDA_LOG": str(log),
        "PYTHONPATH": path,
    }
    log.unlink(missing_ok=True)
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(tuple(log.read_text().splitlines()) if log.exists() else ())


def run_scenario(name: str, fake: Path, log: Path, **options: object) -> Run:
    """Run a function of `driver_scenarios` against the recording driver."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        pytest.skip("needs cuda-bindings")
    code = f"from tests.backends.cuda import driver_scenarios as s; s.{name}()"
    return run_program([sys.executable, "-c", code], fake, log, **options)
