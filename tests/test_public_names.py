"""The package's attributes: all there, lazily, and known to type checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gx

EXPECTED = (
    "dim", "input", "parameter", "constant", "seed", "name_scope", "Tensor", "Parameter",
    "grad", "vjp", "jvp", "hvp", "jacobian", "hessian", "vmap", "check_gradients",
    "custom_gradient", "stop_gradient", "substitute", "compile", "CompiledFunction", "dot",
    "cond", "scan", "while_loop", "summary", "fit", "History", "save", "load", "callbacks",
    "ema", "ensemble", "data", "decode", "errors", "init", "linalg", "nn", "optim", "random",
    "schedules", "regularizers", "explain", "explain_grad", "diff_graphs", "precision",
    "exp", "sum", "matmul", "where", "float32", "bool", "pi", "inf",
)  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_name(name: str) -> None:
    assert getattr(gx, name) is not None
    assert name in dir(gx)


def test_functions_are_no_modules() -> None:
    for name in ("dot", "substitute", "grad", "compile", "input", "fit", "summary", "explain"):
        assert callable(getattr(gx, name)), name


def test_types_and_numbers() -> None:
    assert gx.float32.numpy == np.float32
    assert gx.bool.name == "bool"
    assert gx.pi == np.pi


@pytest.mark.parametrize("name", ["nonsense", "_private", "__wrapped__"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'graphc' has no attribute '{name}'"):
        getattr(gx, name)


PROGRAM = """
import graphc as gx

x = gx.input("x", ("batch", 3))
y: gx.Tensor = gx.exp(x) + gx.sum(x, axis=0)
loss = gx.nn.mse(y, x).mean() + gx.linalg.norm(gx.cond(gx.sum(x) > 0.0, lambda: x, lambda: y))
step: gx.CompiledFunction = gx.compile([x], loss, updates=gx.optim.Adam(1e-3).minimize(loss))
history: gx.History = gx.fit(step, [])
gx.nonsense
"""


def test_type_checkers_know_the_names(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(gx.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(program)],
        capture_output=True, text=True, timeout=600, cwd=root, check=False,
    )  # fmt: skip
    complaints = [line for line in result.stdout.splitlines() if "program.py" in line]
    assert len(complaints) == 1, result.stdout
    assert 'Module has no attribute "nonsense"' in complaints[0]
