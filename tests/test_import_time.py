"""`import graphc` is quick and brings in nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "llvmlite", "matplotlib", "ml_dtypes", "networkx", "click", "PIL", "rich", "safetensors",
    "scipy", "sklearn",
)  # fmt: skip


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


def test_exported_libraries_need_nothing_of_the_compiler() -> None:
    loaded = run("import graphc as gx, sys; gx.load_library; print(*sys.modules)").split()
    found = {name for name in loaded if name.startswith("graphc")}
    needed = {"graphc", "graphc.errors", "graphc.origin"}
    assert found == needed | {
        "graphc.export",
        "graphc.export.library",
        "graphc.export.library_files",
        "graphc.export.load",
    }


def cpu_seconds(code: str) -> float:
    """The least processor time of several runs, in fresh processes."""
    timed = f"import time; t = time.process_time(); {code}; print(time.process_time() - t)"
    run(timed)  # warms the file cache and writes bytecode
    return min(float(run(timed)) for _ in range(7))


def test_import_with_numpy_takes_less_than_150_milliseconds() -> None:
    assert cpu_seconds("import numpy, graphc") < 0.150


def test_a_bare_import_takes_less_than_20_milliseconds() -> None:
    assert cpu_seconds("import graphc") < 0.020


def test_layers_and_optimisers_do_not_bring_the_compiler_in() -> None:
    loaded = run("import graphc as gx, sys; gx.nn; gx.optim.Adam; print(*sys.modules)").split()
    assert "graphc.runtime.function" not in loaded
