"""The line that is shown is the user's: no tool that runs a program, none that it calls."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx


def line_of(tensor: gx.Tensor) -> str:
    """FILE:LINE of what made a tensor."""
    return str(tensor.node.origin)


def tool(name: str) -> Callable[..., Any]:
    """A function of a module of that name, which calls back."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile("def call(f, *args):\n    return f(*args)\n", f"{name}.py", "exec"), names)
    called: Callable[..., Any] = names["call"]
    return called


@pytest.mark.parametrize(
    "name", ["click.core", "IPython.core.interactiveshell", "_pytest.python", "sklearn.pipeline"]
)
def test_a_tool_between_is_not_the_user(name: str) -> None:
    x = gx.input("x", (3,))
    made = tool(name)(gx.exp, x)  # HERE
    text = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(i for i, row in enumerate(text, 1) if row.endswith("# HERE"))
    assert line_of(made) == f"{Path(__file__).name}:{line}"


def test_a_package_on_graphc_is_a_user() -> None:
    assert line_of(tool("layers_of_mine.blocks")(gx.exp, gx.input("x", (3,)))).startswith(
        "layers_of_mine.blocks.py:2"
    )


def test_a_function_that_scipy_calls() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    seen = []

    def height(values: Any) -> float:
        x = gx.parameter("x", value=np.asarray(values))
        seen.append(line_of(x * x))
        return float(values @ values)

    optimize.minimize(height, np.ones(2), options={"maxiter": 1})
    assert {place.partition(":")[0] for place in seen} == {Path(__file__).name}


def test_commands_show_the_line_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    program.write_text(
        "import graphc as gx\n"
        "x = gx.input('x', (2, 3))\n"
        "step = gx.compile([x], gx.sum(gx.exp(x)), name='mine')\n"
    )
    for arguments in (["dot", str(program)], ["inspect", str(program)]):
        command = [sys.executable, "-m", "graphc", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        places = set(re.findall(r"\b\w+\.py:\d+", done.stdout))
        assert "mine.py:3" in places, (arguments, places)
        assert {place.partition(":")[0] for place in places} == {"mine.py"}


def test_the_demo_shows_its_own_lines() -> None:
    from graphc.cli.demo import train

    trained = train(0, "interpret", 1, seed=0, verbose=False)
    places = re.findall(r"\b(\w+\.py):\d+", str(trained.step.report()))
    assert set(places) == {"demo.py"}
