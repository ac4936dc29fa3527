"""Commands on files: compile, run, dot, inspect, bench, cache, completion; JSON; exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import graphc as gx
from graphc.cli import main
from graphc.config import environment
from graphc.testing import assert_close

onnx = pytest.importorskip("onnx")

needs_linker = pytest.mark.skipif(
    not any(map(shutil.which, ("ld", "ld.lld", "cc"))), reason="needs a linker"
)


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """relu(x @ w), x of an unknown number of rows."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    w = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2) - 2, "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    x, y = (helper.make_tensor_value_info(n, kind, ["N", k]) for n, k in (("x", 3), ("y", 2)))
    graph = helper.make_graph(nodes, "small", [x], [y], [w])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save(made, tmp_path / "small.onnx")
    return tmp_path / "small.onnx"


SCRIPT = """
import graphc as gx
x = gx.input("x", (gx.dim("n", max=4), 3))
w = gx.parameter("w", (3,), init=gx.init.ones())
loss = gx.sum((x @ w) ** 2)
step = gx.compile([x], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss))
predict = gx.compile([x], x @ w, name="predict")
if __name__ == "__main__":
    raise SystemExit("not reached")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(SCRIPT)
    return tmp_path / "net.py"


@needs_linker
def test_a_model_becomes_a_library_that_computes(model: Path, tmp_path: Path) -> None:
    result = invoke("compile", model, "-o", tmp_path / "out", "--dim", "N=1:8")
    assert result.exit_code == 0, result.output
    assert "small.h" in result.output
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    arguments = ["run", tmp_path / "out", "--input", f"x={tmp_path / 'x.npy'}"]
    result = invoke(*arguments, "--check", "-o", tmp_path / "results")
    assert result.exit_code == 0, result.output
    assert "float32[5, 2]" in result.output
    wanted = np.maximum(x @ (np.arange(6, dtype=np.float32).reshape(3, 2) - 2), 0)
    assert_close(np.load(tmp_path / "results" / "y.npy"), wanted, tolerance="ulps", each=True)
    found = json.loads(invoke(*arguments, "--json").output)
    assert_close(found["outputs"]["y"]["values"], wanted.reshape(-1), each=True)
    manifest = json.loads(invoke("inspect", tmp_path / "out", "--json").output)
    assert manifest["functions"][0]["dims"] == [{"name": "N", "min": 1, "max": 8}]
    shown = invoke("inspect", tmp_path / "out").output
    assert "small_run (inference)" in shown
    assert "1 to 8" in shown
    timed = json.loads(invoke("bench", tmp_path / "out", "--seconds", "0", "--json").output)
    assert timed[0]["median_us"] > 0


def test_one_size(model: Path, tmp_path: Path) -> None:
    result = invoke("compile", model, "-o", tmp_path / "out", "--dim", "N=4", "--json")
    assert result.exit_code == 0, result.output
    assert "small.o" in json.loads(result.output)["files"]
    manifest = json.loads((tmp_path / "out" / "small.json").read_text())
    assert manifest["functions"][0]["dims"] == []
    assert manifest["functions"][0]["inputs"][0]["shape"] == [4, 3]


def test_scripts(script: Path, tmp_path: Path) -> None:
    result = invoke("compile", script, "-o", tmp_path / "out", "--function", "step")
    assert result.exit_code == 0, result.output
    assert "net_step" in (tmp_path / "out" / "net.h").read_text()
    result = invoke("dot", script)
    assert result.exit_code == 1
    assert "choose with --function step | predict" in result.output
    for stage in ("defined", "planned"):
        text = invoke("dot", script, "--function", "predict", "--stage", stage).output
        assert text.startswith("digraph")
    invoke("dot", script, "--function", "step", "-o", tmp_path / "step.dot")
    assert (tmp_path / "step.dot").read_text().startswith("digraph")
    facts = json.loads(invoke("inspect", script, "--json").output)
    assert facts["step"]["mode"] == "train"
    assert facts["predict"]["inputs"] == ["x f32[n,3]"]
    timed = invoke("bench", script, "--function", "predict", "--seconds", "0", "--dim", "n=2")
    assert timed.exit_code == 0, timed.output


def test_models_can_be_looked_at(model: Path) -> None:
    assert "relu" in invoke("dot", model, "--stage", "defined").output
    shown = invoke("inspect", model).output
    assert "x f32[N,3]" in shown
    assert "1 arrays, 24 B" in shown


def test_weights_can_be_looked_at(tmp_path: Path) -> None:
    gx.save(tmp_path / "w.safetensors", {"a/b": np.ones((2, 3), np.float32)})
    facts = json.loads(invoke("inspect", tmp_path / "w.safetensors", "--json").output)
    assert facts == {"a/b": {"dtype": "float32", "shape": [2, 3]}}
    assert "float32[2, 3]" in invoke("inspect", tmp_path / "w.safetensors").output


def test_bench_has_networks_of_its_own() -> None:
    rows = json.loads(invoke("bench", "--seconds", "0", "--json").output)
    assert len(rows) == 3
    assert all(row["gflops"] > 0 and row["calls"] >= 5 for row in rows)


def test_bench_takes_a_target(model: Path) -> None:
    asked = ("bench", model, "--dim", "N=2", "--seconds", "0", "--json")
    (row,) = json.loads(invoke(*asked, "--target", "cuda-simulate").output)
    assert row["calls"] >= 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["compile", "none.onnx"], "there is no none.onnx"),
        (["compile", "{model}", "--dim", "M=3"], "there is no dim M, there are N"),
        (["compile", "{model}", "--dim", "N"], "--dim must be given as NAME=VALUE"),
        (["compile", "{model}", "--dim", "N=x"], "--dim must be NAME=SIZE or NAME=LEAST:MOST"),
        (["compile", "{model}"], "dim N of small has no maximum"),
        (["compile", "{model}", "--dim", "N=4", "--target", "z80"], "no target 'z80'"),
        (["compile", "{model}", "--dim", "N=4", "--max-flash", "1kB"], "bytes of flash"),
        (["compile", "{script}", "--function", "fit"], "has no function fit"),
        (["run", "{folder}", "--input", "x=1"], "must hold one manifest"),
        (["inspect", "{text}"], "ends in .onnx or .py"),
        (["inspect", "{broken}"], "broken.onnx"),
        (["dot", "{empty}"], "leaves no compiled function"),
        (["bench", "{model}"], "the size of N is not known"),
        (["bench", "{script}", "--target", "cuda"], "--target is for ONNX models"),
    ],
)
def test_mistakes_are_exit_code_1(
    arguments: list[str], text: str, model: Path, script: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("text.txt", "broken.onnx", "empty.py"):
        (tmp_path / name).write_text("a = 1\n")
    places = {
        "model": model, "script": script, "folder": tmp_path / "folder",
        "text": tmp_path / "text.txt", "broken": tmp_path / "broken.onnx",
        "empty": tmp_path / "empty.py",
    }  # fmt: skip
    output = ["-o", tmp_path / "out"] if arguments[0] == "compile" else []
    result = invoke(*(a.format(**places) for a in arguments), *output)
    assert result.exit_code == 1, result.output
    assert text in result.output
    assert "Traceback" not in result.output


def test_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))
    environment.cache_clear()
    try:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "a.gxo").write_bytes(b"12345")
        facts = json.loads(invoke("cache", "--json").output)
        assert (facts["files"], facts["bytes"]) == (1, 5)
        assert invoke("cache", "path").output.strip() == str(tmp_path / "cache")
        assert "removed 1 files" in invoke("cache", "clear").output
        assert not list((tmp_path / "cache").iterdir())
        assert "0, 0 B" in invoke("cache").output
    finally:
        monkeypatch.undo()
        environment.cache_clear()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    text = invoke("completion", shell).output
    assert "_GRAPHC_COMPLETE" in text
    assert "graphc" in text


@pytest.mark.parametrize("command", ["doctor", "passes"])
def test_json_of_the_rest(command: str) -> None:
    assert json.loads(invoke(command, "--json").output)


@needs_linker
def test_demo_as_json(tmp_path: Path) -> None:
    facts = json.loads(invoke("demo", "--epochs", "2", "-o", tmp_path, "--json").output)
    assert facts["parameters"] == "17,226 in 6 arrays"
    text = " ".join(facts["written"])
    assert "passes its self-test" in text
    assert "the same digits" in text
    if shutil.which("cc"):
        assert "agrees" in text


@pytest.mark.parametrize("command", main.commands)
def test_every_command_has_help_with_examples(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
