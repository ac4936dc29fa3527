"""Models that people use, where their packages are installed: agree with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from tests.onnx import packaged
from tests.tolerances import NETWORK

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CASES = [(p, path, shape) for p, found in packaged.PACKAGES.items() for path, shape in found]
UNIT = gx.dim("N"), 3, 32 * gx.dim("H"), 32 * gx.dim("W")
STRIP = gx.dim("N"), 3, 48, 8 * gx.dim("W")
# (package, file, declared shape or None, shapes to run)
DYNAMIC = (
    ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", UNIT,
     ((1, 3, 96, 160), (2, 3, 64, 64), (1, 3, 160, 96))),
    ("rapidocr", "models/PP-OCRv6_det_small.onnx", UNIT,
     ((1, 3, 96, 160), (2, 3, 64, 64), (1, 3, 160, 96))),
    ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", STRIP,
     ((1, 3, 48, 160), (2, 3, 48, 96), (1, 3, 48, 320))),
    ("rapidocr", "models/PP-OCRv6_rec_small.onnx", None,
     ((1, 3, 48, 160), (2, 3, 48, 96), (1, 3, 48, 320))),
    ("magika", "models/standard_v3_3/model.onnx", None, ((1, 2048), (5, 2048), (2, 2048))),
)  # fmt: skip


def package_file(package: str, path: str) -> Path:
    """A file inside an installed package; skips where there is none."""
    file = packaged.find_file(package, path)
    if file is None:
        pytest.skip(f"{package} is not installed or has no {path}")
    return file


def session_of(data: bytes) -> Any:
    """The model in onnxruntime; skips where that is not installed."""
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(data, providers=["CPUExecutionProvider"])


def difference(found: Any, expected: Any) -> float:
    """The largest difference relative to the largest number."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compared(model: Any, x: Any) -> float:
    """The difference from onnxruntime of the one output for an input of known sizes."""
    name, data = packaged.input_of(model).name, packaged.typed(packaged.logits_of(model))
    (expected,) = session_of(data).run(None, {name: x})
    loaded = gx.onnx.load(data, shapes={name: x.shape})
    (found,) = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))(x)
    return difference(found, expected)


@pytest.mark.parametrize(("package", "path", "shape"), CASES)
def test_agrees_with_onnxruntime(package: str, path: str, shape: tuple[int, ...]) -> None:
    model = onnx.load(package_file(package, path))
    assert compared(model, packaged.some_input(model, shape)) < NETWORK


@pytest.mark.parametrize(("package", "path", "declared", "shapes"), DYNAMIC)
def test_one_function_runs_at_any_size(
    package: str, path: str, declared: Any, shapes: tuple[tuple[int, ...], ...]
) -> None:
    model = packaged.logits_of(onnx.load(package_file(package, path)))
    name, data = packaged.input_of(model).name, packaged.typed(model)
    session = session_of(data)
    loaded = gx.onnx.load(data, shapes={name: declared} if declared else {})
    step = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))
    for seed, shape in enumerate(shapes):
        x = packaged.some_input(model, shape, seed)
        (expected,) = session.run(None, {name: x})
        assert difference(step(x)[0], expected) < NETWORK
    assert len(step.variants) == 2


@pytest.mark.parametrize("path", packaged.light_models(), ids=lambda path: path.stem)
def test_networks_with_random_weights_agree_with_onnxruntime(path: Path) -> None:
    model = packaged.read(path)
    assert compared(model, packaged.some_input(model, packaged.IMAGE, 1)) < NETWORK
