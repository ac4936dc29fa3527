"""examples/c: built with all warnings, run under sanitizers, on a microcontroller."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc_llvm.runtime.session import host
from graphc_llvm.target import host_target, make_target

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "c"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def needs(*tools: str) -> Any:
    missing = [t for t in tools if shutil.which(t) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def run(*command: Any, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def digits(folder: Path, target: str = "host") -> dict[str, Any]:
    """What make_digits.py defines, after it has run in this process."""
    path, names = EXAMPLES / "make_digits.py", {"__file__": "make_digits.py"}
    given, sys.argv = sys.argv, ["make_digits.py", str(folder), target]
    try:
        exec(compile(path.read_text(), path, "exec"), names)
    finally:
        sys.argv = given
    return names


@needs("cc", "make")
def test_train_and_predict(tmp_path: Path) -> None:
    names = digits(tmp_path / "digits")
    shutil.copytree(EXAMPLES, tmp_path / "c", ignore=shutil.ignore_patterns("digits"))
    told = run("make", "DIGITS=../digits", "run", cwd=tmp_path / "c").splitlines()
    last = next(line for line in reversed(told) if line.startswith("epoch 20"))
    assert float(last.split()[-1]) > 0.95
    found = run("./predict", "digits.state", "../digits/test.x", cwd=tmp_path / "c").split()
    (_, _), (x, y) = gx.data.digits()
    assert len(found) == len(x)
    assert f"{np.mean(np.array(found, int) == y):.4f}" == last.split()[-1]
    library = names["bundle"].load()  # what C has learnt, in Python
    library.load((tmp_path / "c" / "digits.state").read_bytes())
    np.testing.assert_array_equal(library.predict(x[:64])["digit"], np.array(found[:64], int))


@needs("cc")
@pytest.mark.parametrize("how", ["sanitizers", "valgrind"])
def test_no_error_of_memory(how: str, tmp_path: Path) -> None:
    if how == "valgrind" and shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    # valgrind does not know AVX-512
    digits(tmp_path, "host" if how == "sanitizers" else "baseline")
    options = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    options = options if how == "sanitizers" else []
    runner = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full"]
    runner = runner if how == "valgrind" else []
    for word in ("train", "predict"):
        archive = tmp_path / "digits.a"
        source = EXAMPLES / f"{word}.c"
        run("cc", "-g", *WARNINGS, *options, f"-I{tmp_path}", source, archive, "-o",
            tmp_path / word)  # fmt: skip
    for word in ("x", "y"):
        for part in ("train", "test"):
            values = np.fromfile(tmp_path / f"{part}.{word}", np.float32)
            values[: (150 * 64 if word == "x" else 150)].tofile(tmp_path / f"{part}.{word}")
    run(*runner, tmp_path / "train", tmp_path, tmp_path / "state", "1")
    found = run(*runner, tmp_path / "predict", tmp_path / "state", tmp_path / "test.x").split()
    assert len(found) == 150


@needs("cc", "cmake")
def test_cmake(tmp_path: Path) -> None:
    digits(tmp_path / "digits")
    run("cmake", "-S", EXAMPLES, "-B", tmp_path / "build", f"-DDIGITS={tmp_path / 'digits'}")
    run("cmake", "--build", tmp_path / "build")
    train = tmp_path / "build" / "train"
    assert "epoch 1:" in run(train, tmp_path / "digits", tmp_path / "state", "1")


@needs("arm-none-eabi-gcc", "make", "qemu-system-arm")
def test_training_on_a_microcontroller(tmp_path: Path) -> None:
    step = digits(tmp_path / "m4", "cortex-m4")["step"]
    shutil.copytree(EXAMPLES / "cortex-m", tmp_path / "image")
    done = subprocess.run(
        ["make", f"DIGITS={tmp_path / 'm4'}", "run"], cwd=tmp_path / "image",
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = (done.stdout + done.stderr).splitlines()  # semihosting writes where qemu likes
    assert "self-test passed" in told
    if host_target().has_fma:
        step.native.target = replace(make_target("baseline"), triple=host().triple)
    x = (np.arange(8 * 64) * 7 % 17 / 16).astype(np.float32).reshape(8, 64)
    losses = [line for line in told if line.startswith("loss ")]
    assert len(losses) == 20
    for line in losses:
        loss = step(x, np.arange(8, dtype=np.int32))["loss"]
        assert line == f"loss {np.float32(loss).view(np.uint32):08x}"
