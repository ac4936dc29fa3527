"""`import graphc` is quick and brings in nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = ("llvmlite", "networkx", "rich", "click", "ml_dtypes", "safetensors", "scipy", "sklearn")


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import graphc",
        "import graphc as gx; gx.input; gx.parameter; gx.nn.Dense; gx.optim.Adam; gx.fit",
        "import graphc as gx; gx.compile; gx.grad; gx.exp; gx.errors; gx.random.uniform",
    ],
)
def test_imports_nothing_heavy(code: str) -> None:
    loaded = run(f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == ""


def test_import_takes_less_than_150_milliseconds() -> None:
    code = "import time; t = time.perf_counter(); import numpy, graphc as gx; gx.Tensor; gx.nn"
    code += "; print(time.perf_counter() - t)"
    run(code)  # warms the file cache and writes bytecode
    assert min(float(run(code)) for _ in range(7)) < 0.150


def test_a_bare_import_takes_less_than_20_milliseconds() -> None:
    code = "import time; t = time.perf_counter(); import graphc; print(time.perf_counter() - t)"
    run(code)
    assert min(float(run(code)) for _ in range(5)) < 0.020


def test_starting_python_with_graphc_is_quick() -> None:
    def seconds(code: str) -> float:
        start = time.perf_counter()
        run(code)
        return time.perf_counter() - start

    bare = min(seconds("import numpy") for _ in range(5))
    assert min(seconds("import numpy, graphc") for _ in range(5)) < bare + 0.150
