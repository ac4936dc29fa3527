"""Models that people use: those inside installed packages, and networks with random weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

PACKAGES = {
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
IMAGE = (1, 3, 224, 224)


def find_file(package: str, path: str) -> Path | None:
    """A file inside an installed package, which is not imported; None where there is none."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(found.submodule_search_locations[0]) / path
    return file if file.exists() else None


def light_models() -> list[Path]:
    """The convolutional networks inside the onnx package, whose weights are not stored."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return sorted(p for p in folder.glob("light_*.onnx") if "output" not in p.name)


def read(path: Path) -> Any:
    """A model, with random weights where it is a light one."""
    model = onnx.load(path)
    light = path.name.startswith("light_")
    return with_weights(model, np.random.default_rng(0)) if light else model


def input_of(model: Any) -> Any:
    """The declaration of the only input that has no stored value."""
    stored = {t.name for t in model.graph.initializer}
    (declared,) = (i for i in model.graph.input if i.name not in stored)
    return declared


def some_input(model: Any, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Bytes for a model of integers, pixels around 0 for one of floats."""
    rng = np.random.default_rng(seed)
    if input_of(model).type.tensor_type.elem_type == onnx.TensorProto.INT32:
        return rng.integers(0, 256, shape, np.int32)
    return rng.standard_normal(shape).astype(np.float32)


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
