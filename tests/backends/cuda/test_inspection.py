"""The report, the pictures and the page of a function for a GPU say what is launched."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.runtime.function import CompiledFunction
from graphc_cuda.assemble import find_tool


@pytest.fixture(scope="module")
def step() -> CompiledFunction:
    """A layer and its update: a tile, rows, elements."""
    x = gx.input("x", ("batch", 24))
    labels = gx.input("labels", ("batch",), dtype="int32")
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(12)(x), labels).mean()
    made: CompiledFunction = gx.compile(
        [x, labels], loss, gx.optim.SGD(0.1).minimize(loss), name="step", target="cuda-simulate"
    )
    made.specialize(batch=20)
    return made


def test_report_lists_every_launch(step: CompiledFunction) -> None:
    text = step.report()
    runner = step.variants[0].runner
    assert runner is not None
    launches = runner.launches()
    assert len(launches) >= len(step.kernels)
    table = text[text.index("launch  ") :].splitlines()[1:]
    assert [row.split()[0] for row in table] == [x.name[:39] for x in launches]
    assert "least time on H200" in text
    assert all(x.form and x.grid >= 1 and x.block >= 1 for x in launches)
    assert {x.call for x in launches} <= set(range(len(step.kernels)))
    assert any(x.form.startswith("tile") for x in launches)


def test_least_times_are_those_of_the_gpu(step: CompiledFunction) -> None:
    for kernel in step.kernels:
        expected = max(kernel.cost.flops / 67e12, kernel.cost.bytes / 4.8e12)
        assert kernel.seconds == pytest.approx(expected)


@pytest.mark.skipif(find_tool("ptxas") is None, reason="no ptxas says what kernels take")
def test_registers_come_from_the_assembler(step: CompiledFunction) -> None:
    runner = step.variants[0].runner
    assert runner is not None
    for launch in runner.launches():
        assert launch.registers is not None
        assert 0 < launch.registers <= 255
        assert launch.spilled_bytes == 0
        assert launch.occupancy is not None
        assert 0 < launch.occupancy <= 1


def test_pictures_and_page(step: CompiledFunction, tmp_path: Path) -> None:
    assert "tile 1 x" in step.dot(stage="planned")
    assert "tile 1 x" not in step.dot(stage="fused")
    page = tmp_path / "step.html"
    step.html(page)
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script[^>]*id="content"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["language"] == "cuda"
    assert all(kernel["launches"] for kernel in data["kernels"])
    assert "@cuda.jit" in text


def test_source_is_what_runs(step: CompiledFunction) -> None:
    names = re.findall(r"^def (k\d\w+)\(", step.source("cuda"), re.MULTILINE)
    runner = step.variants[0].runner
    assert runner is not None
    assert sorted(set(names)) == sorted({x.name for x in runner.launches()})
    with pytest.raises(gx.errors.ArgumentError, match="cuda"):
        step.source("llvm")


def test_a_repeated_launch_is_listed_once() -> None:
    x = gx.input("x", (7, 3))
    total = gx.scan(lambda carry, row: (carry * 2 + row,) * 2, x[0], x)[1]
    f = gx.compile([x], total, target="cuda-simulate")
    data = np.arange(21, dtype="float32").reshape(7, 3)
    expected = gx.compile([x], total, target="interpret")(data)
    assert np.array_equal(f(data), expected)
    runner = f.variants[0].runner
    assert runner is not None
    assert max(launch.count for launch in runner.launches()) >= 7


@pytest.mark.skipif(find_spec("numba") is None, reason="numba-cuda is not installed")
def test_either_compiler_makes_the_machine_code(step: CompiledFunction) -> None:
    from graphc_cuda.machine_code import compile_program
    from graphc_cuda.plan_launches import plan_launches

    program = plan_launches(step.program, {"batch": 20}).program
    made = {route: compile_program(program, (9, 0), route=route) for route in ("nvptx", "numba")}
    for compiled in made.values():
        assert set(compiled.code.entries) == {k.name for k in program.kernels}
        known = compiled.assembled.kernels
        assert not known or set(compiled.code.entries.values()) <= set(known)
    assert made["nvptx"].code.image != made["numba"].code.image
