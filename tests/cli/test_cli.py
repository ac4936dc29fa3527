"""The command line: help, exit codes, what the demo writes, what the doctor says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import graphc
from graphc.cli import demo as demos
from graphc.cli import doctor as doctors
from graphc.cli import main
from graphc.cli.show import bytes_text, print_columns
from graphc.compiler import passes


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["demo", "--help"], ["doctor", "-h"], ["passes", "-h"]]
)
def test_help_has_examples(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert "Example" in result.output
    assert "\n    graphc " in result.output


def test_version() -> None:
    assert invoke("--version").output == f"graphc, version {graphc.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["dmo"], ["demo", "--epochs", "0"], ["demo", "--target", "tpu"], ["demo", "--colour"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_python_m_graphc() -> None:
    root = Path(graphc.__file__).parent.parent
    path = os.pathsep.join([str(root), str(root / "backends")])
    result = subprocess.run(
        [sys.executable, "-m", "graphc", "--version"],
        capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert result.stdout.startswith("graphc, version")


def test_help_is_quick() -> None:
    code = "from graphc.cli import main; import sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(graphc.__file__).parent.parent)},
    )  # fmt: skip
    assert not {"numpy", "rich", "llvmlite"} & set(result.stdout.split())


# ------------------------------------------------------------------------------------- demo


def test_demo_trains_and_writes_pictures(tmp_path: Path) -> None:
    result = invoke("demo", "--target", "interpret", "--epochs", "3", "-o", str(tmp_path / "new"))
    assert result.exit_code == 0, result.output
    assert "epoch 3/3" in result.output
    assert "17,226 in 6 arrays" in result.output
    assert "test accuracy" in result.output
    assert str(tmp_path / "new") in result.output
    written = sorted(p.name for p in (tmp_path / "new").glob("*.dot"))
    assert written == ["1-defined.dot", "2-differentiated.dot"]
    assert (tmp_path / "new" / "1-defined.dot").read_text().startswith("digraph")


def test_demo_reaches_97_percent_and_shows_all_stages(tmp_path: Path) -> None:
    result = invoke("demo", "-o", str(tmp_path))
    assert result.exit_code == 0, result.output
    accuracy = result.output.split("test accuracy")[1].split("%")[0].strip(" │")
    assert float(accuracy) >= 97.0
    for word in ("arena", "FLOPs", "steps per second", "kernels"):
        assert word in result.output
    stages = ["defined", "differentiated", "optimized", "fused", "planned"]
    expected = [f"{i}-{stage}.dot" for i, stage in enumerate(stages, 1)]
    assert sorted(p.name for p in tmp_path.glob("*.dot")) == expected


def test_demo_makes_a_new_directory_each_time(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert demos.make_directory(None) == tmp_path / "graphc-demo"
    assert demos.make_directory(None) == tmp_path / "graphc-demo-2"
    assert demos.make_directory(Path("x/y")) == tmp_path / "x" / "y"


def test_demo_falls_back_to_a_temporary_directory(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    directory = demos.make_directory(None)
    assert directory.is_dir()
    assert directory.parent != tmp_path
    text = capsys.readouterr().out
    assert f"cannot write to {tmp_path} (Permission denied): using {directory}" in text


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    result = invoke("demo", "-o", str(path))
    assert result.exit_code == 2
    assert "is a file" in result.output


def test_a_failure_is_exit_code_1(monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demos, "run_demo", fail)
    result = invoke("demo")
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert "Traceback" not in result.output


# ----------------------------------------------------------------------------------- doctor


def test_doctor_says_what_there_is(monkeypatch: Any) -> None:
    monkeypatch.setattr(doctors, "native_code", lambda: (True, "works"))
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    for word in ("graphc", "numpy", "llvmlite", "instructions", "threads", "cache", "GPU", "works"):
        assert word in result.output


def test_doctor_fails_when_native_code_does_not_work(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise graphc.errors.BackendError("no llvmlite")

    monkeypatch.setattr(graphc, "compile", fail)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "does not work: no llvmlite" in result.output


def test_cache_state(tmp_path: Path) -> None:
    assert doctors.cache_state(None) == "off"
    assert "made when first needed" in doctors.cache_state(tmp_path / "none")
    (tmp_path / "a").write_bytes(b"x" * 1500)
    assert doctors.cache_state(tmp_path) == f"{tmp_path} (1 files, 1,500 B)"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (9999, "9,999 B"),
        (12_345, "12.3 kB"),
        (1_234_567, "1.2 MB"),
        (10**10, "10.0 GB"),
    ],
)
def test_bytes_text(count: int, text: str) -> None:
    assert bytes_text(count) == text


# ----------------------------------------------------------------------------------- passes


def test_passes_are_listed_in_order() -> None:
    result = invoke("passes")
    assert result.exit_code == 0, result.output
    rows = [line.split("│") for line in result.output.splitlines() if line.startswith("│")]
    found = [(int(row[1]), row[2].strip(), row[3].strip()) for row in rows]
    assert found == [(i, *row) for i, row in enumerate(passes.table(), 1)]
    assert "loops" in result.output


def test_brackets_are_no_markup(capsys: Any) -> None:
    print_columns("title", ("name", "value"), [("x", "f32[3] [bold]y[/bold]")])
    assert "f32[3] [bold]y[/bold]" in capsys.readouterr().out
