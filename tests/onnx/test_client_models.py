"""Models that people use, where their packages are installed: agree with onnxruntime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import graphc as gx

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MODELS = {
    "rapidocr_onnxruntime": (
        ("models/ch_PP-OCRv4_det_infer.onnx", (1, 3, 160, 224)),
        ("models/ch_PP-OCRv4_rec_infer.onnx", (2, 3, 48, 160)),
        ("models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (3, 3, 48, 192)),
    ),
    "rapidocr": (
        ("models/PP-OCRv6_det_small.onnx", (1, 3, 96, 160)),
        ("models/PP-OCRv6_rec_small.onnx", (1, 3, 48, 160)),
    ),
    "magika": (("models/standard_v3_3/model.onnx", (3, 2048)),),
}
CASES = [(package, path, shape) for package, found in MODELS.items() for path, shape in found]


def package_file(package: str, path: str) -> Path:
    """A file inside an installed package, which is not imported; skips where there is none."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    file = Path(found.submodule_search_locations[0]) / path
    if not file.exists():
        pytest.skip(f"{package} has no {path}")
    return file


def logits_of(model: Any) -> Any:
    """The model with what goes into a last softmax or sigmoid as its output.

    Probabilities near 0 have errors of their own size, which say nothing.
    """
    last = next((n for n in model.graph.node if model.graph.output[0].name in n.output), None)
    if last is not None and last.op_type in ("Softmax", "Sigmoid"):
        del model.graph.output[:]
        model.graph.output.append(helper.make_empty_tensor_value_info(last.input[0]))
    return model


def typed(model: Any) -> bytes:
    """The model's bytes; onnxruntime wants a type for every output."""
    for output in model.graph.output:
        if not output.type.HasField("tensor_type"):
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return bytes(model.SerializeToString())


def compared(model: Any, name: str, x: Any) -> float:
    """The largest difference from onnxruntime, relative to the largest number."""
    runtime = pytest.importorskip("onnxruntime")
    data = typed(model)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {name: x})
    loaded = gx.onnx.load(data, shapes={name: x.shape})
    (found,) = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))(x)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("package", "path", "shape"), CASES)
def test_agrees_with_onnxruntime(package: str, path: str, shape: tuple[int, ...]) -> None:
    model = logits_of(onnx.load(package_file(package, path)))
    (declared,) = model.graph.input
    rng = np.random.default_rng(0)
    whole = declared.type.tensor_type.elem_type == onnx.TensorProto.INT32
    x = rng.integers(0, 256, shape, np.int32) if whole else rng.random(shape, np.float32)
    assert compared(model, declared.name, x) < 1e-4


def test_a_recogniser_runs_at_any_width() -> None:
    runtime = pytest.importorskip("onnxruntime")
    file = package_file("rapidocr", "models/PP-OCRv6_rec_small.onnx")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    loaded = gx.onnx.load(file)
    step = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))
    for batch, width in ((1, 160), (2, 96), (1, 320)):
        x = np.random.default_rng(width).random((batch, 3, 48, width), np.float32)
        (expected,) = session.run(None, {"x": x})
        np.testing.assert_allclose(step(x)[0], expected, atol=1e-4)
    assert len(step.variants) == 2


def test_a_detector_runs_at_multiples_of_32() -> None:
    file = package_file("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx")
    shape = (gx.dim("N"), 3, 32 * gx.dim("H"), 32 * gx.dim("W"))
    loaded = gx.onnx.load(file, shapes={"x": shape})
    (output,) = loaded.outputs.values()
    assert str(output.type) == "f32[N,1,32*H,32*W]"


# ------------------------------------------------------------------- light models


def light_models() -> list[Path]:
    """The convolutional networks inside the onnx package, whose weights are not stored."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return sorted(p for p in folder.glob("light_*.onnx") if "output" not in p.name)


def with_weights(model: Any, rng: np.random.Generator) -> Any:
    """Random weights in place of the constants that stand for them."""
    graph = model.graph
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    made = {n.output[0]: shapes[n.input[0]] for n in graph.node if n.op_type == "ConstantOfShape"}
    kept = [n for n in graph.node if n.output[0] not in made]
    readers = {name: (n.op_type, i) for n in kept for i, name in enumerate(n.input)}
    for name, shape in made.items():
        values = weights(*readers.get(name, ("", 0)), tuple(int(s) for s in shape), rng)
        graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def weights(operator: str, place: int, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Weights that keep numbers within bounds on their way through a deep network."""
    if operator == "BatchNormalization":
        return rng.uniform(0.5, 1.5, shape) if place in (1, 4) else rng.normal(0, 0.1, shape)
    if len(shape) == 1:
        return rng.normal(0, 0.1, shape)
    fan = max(shape) if operator == "Gemm" else int(np.prod(shape[1:]))
    return rng.normal(0, np.sqrt(2 / fan), shape)


@pytest.mark.parametrize("path", light_models(), ids=lambda path: path.stem)
def test_networks_with_random_weights_agree_with_onnxruntime(path: Path) -> None:
    model = logits_of(with_weights(onnx.load(path), np.random.default_rng(0)))
    stored = {t.name for t in model.graph.initializer}
    (declared,) = [i for i in model.graph.input if i.name not in stored]
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    assert compared(model, declared.name, x) < 1e-4
