"""The five variables and the cache with functions for a GPU, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.config import Environment
from graphc.errors import UnsupportedError
from graphc_cuda import cuda_function

ROOT = Path(__file__).parents[3]
PROGRAM = """
from tests.networks import data, mlp_step

step = mlp_step("cuda-simulate")
for i in range(2):
    step(*data(8, i))
print(sum(hash(p.value.tobytes()) for p in step.parameters.values()))
"""


def start(cache: Path | str, **variables: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    given = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "GRAPHC_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, **given, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out, err


def test_a_cache_that_is_shared_damaged_or_no_directory(tmp_path: Path) -> None:
    """Two processes at once fill it; damaged entries are made again."""
    shared = tmp_path / "cache"
    one, two = start(shared), start(shared)
    expected = ended(one)
    assert ended(two) == expected
    entries = sorted(p for p in shared.rglob("*") if p.is_file())
    assert entries
    for number, path in enumerate(entries):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if number % 2 else content[:-1] + b"?")
    assert ended(start(shared)) == expected
    no_directory = tmp_path / "file"
    no_directory.write_text("")
    assert ended(start(no_directory)) == expected


def test_dump_and_time(tmp_path: Path) -> None:
    out, err = ended(start("off", GRAPHC_DUMP=str(tmp_path), GRAPHC_TIME="1"))
    assert "fuse" in out + err
    texts = [p.read_text() for p in tmp_path.rglob("*") if p.suffix == ".cuda"]
    assert any("@cuda.jit" in text for text in texts), [p.name for p in tmp_path.rglob("*")]


def test_dump_says_where_a_tool_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(cubin: bytes) -> str:
        raise UnsupportedError("nvdisasm is not here")

    asked = Environment(dump=tmp_path)  # a process reads its variables once
    monkeypatch.setattr("graphc.runtime.inspection.environment", lambda: asked)
    monkeypatch.setattr("graphc.inspect.watch.environment", lambda: asked)
    monkeypatch.setattr("graphc_cuda.compile_step.disassemble", missing)
    x = gx.input("x", (4,))
    gx.compile([x], x + 1.0, target="cuda-simulate", name="dumped")(np.ones(4, np.float32))
    found = {p.suffix: p.read_text() for p in tmp_path.rglob("code.*")}
    assert found[".sass"].startswith("nvdisasm is not here\n")
    assert "@cuda.jit" in found[".cuda"]


def test_check_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing compares a GPU's kernels call by call, and nobody shall believe it."""
    monkeypatch.setattr(cuda_function, "environment", lambda: Environment(check=True))
    x = gx.input("x", (3,))
    step = gx.compile([x], x + 1.0, target="cuda-simulate", name="step")
    with pytest.raises(UnsupportedError, match="step: GRAPHC_CHECK=1 compares"):
        step([1.0, 2.0, 3.0])
