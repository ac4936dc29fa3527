"""What checks and measures a machine with a GPU: limits, crashes, reports, the bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.benchmarks.gpu.names import PRIORITY
from tests.benchmarks.gpu.run import medians, table
from tests.benchmarks.gpu.settings import SETTINGS
from tests.gpu_bundle import repack
from tests.gpu_check.run_stage import ROOT, run_stage
from tests.gpu_check.stages import Stage, stages

ENVIRONMENT = dict(os.environ)


def ended(code: str, folder: Path, seconds: float = 30.0, output: Path | None = None) -> object:
    stage = Stage("sample", (sys.executable, "-c", code), seconds, output)
    return run_stage(stage, ENVIRONMENT, seconds, folder)


def test_a_hang_loses_one_stage(tmp_path: Path) -> None:
    written = tmp_path / "part.json"
    code = f"open({str(written)!r}, 'w').write('[]'); import time; time.sleep(100)"
    result = ended(code, tmp_path, 2.0, written)
    assert isinstance(result, dict)
    assert (result["status"], result["result"]) == ("timeout", [])
    assert result["seconds"] < 30


def test_half_a_result_is_left_out(tmp_path: Path) -> None:
    written = tmp_path / "part.json"
    result = ended(f"open({str(written)!r}, 'w').write('[1, ')", tmp_path, output=written)
    assert isinstance(result, dict)
    assert result["status"] == "passed"
    assert "result" not in result


def test_a_crash_loses_one_stage(tmp_path: Path) -> None:
    result = ended("import os; print('before', flush=True); os.abort()", tmp_path)
    assert isinstance(result, dict)
    assert (result["status"], result["message"]) == ("failed", "signal 6: before")


def test_tests_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "test_three.py"
    file.write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert 1 == 2\n"
        "def test_c(): pytest.skip('no reason')\n"
    )
    report = f"--junitxml={tmp_path / 'r.xml'}"
    command = (sys.executable, "-m", "pytest", "-c", os.devnull, "-n", "0", str(file), report)
    result = run_stage(Stage("three", command, 60), ENVIRONMENT, 60, tmp_path)
    assert result["status"] == "failed"
    counts, _, first = result["message"].partition("; ")
    assert counts == "1 passed, 1 failed, 1 skipped: test_c: no reason"
    assert first.startswith("test_b: assert 1 == 2")
    assert result["tests"]["failed"][0]["test"] == "test_b"


def test_without_a_gpu_the_reason_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gpu_check", "--out", str(tmp_path), "--only"]
    hidden = ENVIRONMENT | {"LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "one kernel", "ops"], cwd=ROOT, env=hidden, capture_output=True, timeout=100
    )
    found = json.loads((tmp_path / "results.json").read_text())
    assert done.returncode == 1
    assert not found["gpu_works"]
    assert found["why"].startswith("0 passed, 0 failed, 1 skipped: test_one_kernel: ")
    assert [s["status"] for s in found["stages"]] == ["skipped", "left out"]


def test_every_setting_has_a_stage(tmp_path: Path) -> None:
    assert sorted(PRIORITY) == sorted(SETTINGS)
    for rehearse in (False, True):
        names = [s.name for s in stages(tmp_path, rehearse, 1)]
        assert len(set(names)) == len(names)
        assert {f"step {name}" for name in SETTINGS} <= set(names)


def test_ratios_are_those_of_medians() -> None:
    def row(device: float) -> dict[str, float]:
        return {
            "device_ms": device, "call_ms": 2 * device, "first_call_s": 1.0, "first_loss": 0.5,
            "parameters": 3, "bound_ms": 0.5,
        }  # fmt: skip

    mine = [row(1.0), row(3.0), row(2.0)]
    found = medians({"graphc": mine, "jax": [row(8.0)], "torch eager": [{"error": "x"}]})
    assert found["jax"]["device_ms_ratio"] == found["jax"]["call_ms_ratio"] == 4.0
    lines = table("mlp", found).splitlines()
    assert lines[4] == "| graphc | 2.0000 | 4.0000 | 3 | 1.00 | 1.00 | 1.0 | 4.0 |"
    assert lines[-1] == "| torch eager | x |"


@pytest.mark.parametrize("content", [b"", b"a" * 100_000], ids=["empty", "large"])
def test_wheels_are_packed_again(content: bytes, tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/b.so", content)
        archive.writestr("a-1.dist-info/METADATA", "Name: a")
    before = wheel.stat().st_size
    assert repack(wheel) < before + 100
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("a/b.so") == content
        assert archive.testzip() is None
