"""The example programs run as a user would run them."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    environment = {k: v for k, v in os.environ.items() if k != "FASHION_MNIST"}
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
        env={**environment, "PYTHONPATH": path},
    )  # fmt: skip


def accuracy(result: subprocess.CompletedProcess[str]) -> float:
    assert result.returncode == 0, result.stderr
    return float(result.stdout.splitlines()[-1].removeprefix("test accuracy "))


def test_digits_mlp_reaches_97_percent() -> None:
    assert accuracy(run("digits_mlp.py")) >= 0.97


def test_resnet_learns_in_three_epochs() -> None:
    assert accuracy(run("resnet.py", "--depth", "8", "--epochs", "3")) > 0.95


def test_resnet_has_depths_of_its_own() -> None:
    result = run("resnet.py", "--depth", "9")
    assert result.returncode == 2
    assert "--depth must be 6 n + 2: 8, 14, 20, ..., got 9" in result.stderr


def write_clothes(directory: Path) -> None:
    """Four IDX files of pictures in which the row of the bright stripe is the class."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 512), ("t10k", 100)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        images[np.arange(count), 2 * labels] = 250
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            path = directory / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))


def test_mnist_reads_idx_files(tmp_path: Path) -> None:
    write_clothes(tmp_path)
    options = ["--set", "fashion", "--model", "mlp", "--epochs", "20", "--batch-size", "32"]
    assert accuracy(run("mnist.py", "--data", str(tmp_path), *options)) > 0.95


def test_mnist_says_which_file_is_missing(tmp_path: Path) -> None:
    result = run("mnist.py", "--data", str(tmp_path / "nowhere"))
    assert result.returncode == 1
    assert "nowhere holds neither train-images-idx3-ubyte.gz nor" in result.stderr


def test_mnist_leaves_a_library_of_equal_accuracy(tmp_path: Path) -> None:
    export, out = tmp_path / "library", tmp_path / "out"
    places = ["--export", str(export), "--out", str(out)]
    result = run("mnist.py", "--model", "logistic", "--rate", "0.03", *places)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    found = [line.split()[-1] for line in lines if line.startswith("test accuracy")]
    assert len(found) == 2
    assert found[0] == found[1]
    assert float(found[0]) > 0.3  # by chance: 0.1
    assert (out / "train.html").is_file()


def test_lstm_in_five_lines_remembers() -> None:
    result = run("lstm_five_lines.py")
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split()[-1]) < 0.02  # 0.167 is what always saying 1 gives
