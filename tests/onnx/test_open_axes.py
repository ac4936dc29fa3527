"""Models with a dynamic batch: operators ask for the sizes that they need, and name them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphc as gx
from graphc import nn
from graphc.errors import ShapeError
from graphc.onnx.errors import UnknownValueError
from graphc.testing import assert_close

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
TURNED = KERNEL.reshape(3, 4, 3, 3)
SCALES = np.array([1, 1, 2.5, 1.5], np.float32)
GRID = RNG.uniform(-1, 1, (3, 2, 2, 2)).astype(np.float32)
ROIS, WHICH = np.array([[0, 0, 4, 4], [1, 1, 3, 5]], np.float32), np.array([0, 2])
SAME = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
WINDOW = {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}
NONE = np.zeros(0, np.float32)

# operator, operator set, attributes, stored inputs after x; x is (N, 3, 8, 6) in all
CASES: list[tuple[str, int, dict[str, Any], list[Any]]] = [
    ("Conv", 11, SAME, [KERNEL]),
    ("Conv", 11, SAME | {"auto_pad": "SAME_LOWER"}, [KERNEL]),
    ("ConvTranspose", 11, SAME, [TURNED]),
    ("ConvTranspose", 11, {"output_shape": [16, 12], "strides": [2, 2]}, [TURNED]),
    ("MaxPool", 12, SAME, []),
    ("MaxPool", 12, WINDOW, []),
    ("AveragePool", 11, SAME, []),
    ("AveragePool", 19, WINDOW, []),
    ("LpPool", 18, SAME, []),
    ("Resize", 13, {"mode": "linear"}, [NONE, SCALES]),
    ("Resize", 13, {"mode": "cubic"}, [NONE, SCALES]),
    ("Resize", 13, {"mode": "nearest"}, [NONE, SCALES]),
    ("Pad", 18, {"mode": "reflect"}, [np.array([0, 0, 2, 3, 0, 0, 1, 2])]),
    ("Tile", 13, {}, [np.array([2, 1, 3, 1])]),
    ("Split", 18, {"axis": 2, "num_outputs": 3}, []),
    ("SpaceToDepth", 13, {"blocksize": 2}, []),
    ("LRN", 13, {"size": 3}, []),
    ("RoiAlign", 16, {"output_height": 2, "output_width": 2, "sampling_ratio": 2}, [ROIS, WHICH]),
    ("Slice", 13, {}, [np.array([0]), np.array([512]), np.array([2])]),
    ("GlobalLpPool", 2, {"p": 2}, []),
]  # fmt: skip


def model(name: str, opset: int, attributes: dict[str, Any], stored: list[Any], *shape: Any) -> Any:
    """A model of one operator with an input x."""
    constants = [numpy_helper.from_array(np.asarray(a), f"c{i}") for i, a in enumerate(stored)]
    count = attributes.get("num_outputs", 1)
    outputs = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(count)]
    node = helper.make_node(
        name, ["x", *(c.name for c in constants)], [o.name for o in outputs], **attributes
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "g", [x], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_only_the_batch_is_dynamic(case: Any) -> None:
    open_model, fixed = model(*case, "N", 3, 8, 6), model(*case, 3, 3, 8, 6)
    x = RNG.standard_normal((3, 3, 8, 6)).astype(np.float32)
    found = []
    for proto in (open_model, fixed):
        loaded = gx.onnx.load(proto)
        function = gx.compile(list(loaded.inputs.values()), list(loaded.outputs.values()))
        found.append(function(x))
    for a, b in zip(*found, strict=True):
        assert_close(a, b, tolerance="ulps", each=True)


NEEDED = [
    ("Conv", 11, SAME, [KERNEL]),
    ("MaxPool", 12, SAME, []),
    ("Resize", 13, {"mode": "linear"}, [NONE, SCALES]),
    ("GridSample", 20, {"mode": "linear"}, [GRID]),
    ("SpaceToDepth", 13, {"blocksize": 2}, []),
]


@pytest.mark.parametrize("case", NEEDED, ids=lambda case: case[0])
def test_what_is_needed_is_named(case: Any) -> None:
    batch = 3 if case[0] == "GridSample" else "N"
    proto = model(*case, batch, 3, "H", 6)
    with pytest.raises(UnknownValueError) as caught:
        gx.onnx.load(proto)
    assert caught.value.dims == ("H",)
    assert re.search(r"\bH\b", caught.value.message)
    assert 'gx.onnx.load(..., dims={"H": 4})' in str(caught.value.hint)
    assert gx.onnx.load(proto, dims={"H": 8}).outputs["y0"].shape[0] is not None


def test_sizes_that_only_a_shape_operand_has_are_named() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[2, 6] x, float[M, 6] z) => (float[A, B] y) {
        s = Shape (z)
        y = Reshape (x, s)
    }"""
    with pytest.raises(UnknownValueError) as caught:
        gx.onnx.load(onnx.parser.parse_model(text))
    assert caught.value.dims == ("M",)


@pytest.mark.parametrize("ends", [([0], [512]), ([3], [512]), ([-4], [100]), ([-1], [-600])])
def test_slices_are_cut(ends: Any) -> None:
    steps = -2 if ends[1][0] < -512 else 1
    arrays = [np.array(ends[0]), np.array(ends[1]), np.array([1]), np.array([steps])]
    proto = model("Slice", 13, {}, arrays, 2, "N")
    loaded = gx.onnx.load(proto)
    function = gx.compile(list(loaded.inputs.values()), loaded.outputs["y0"])
    for n in (1, 3, 6, 600):
        x = np.arange(2 * n, dtype=np.float32).reshape(2, n)
        wanted = x[:, ends[0][0] : ends[1][0] : steps]
        np.testing.assert_array_equal(function(x), wanted)


def test_our_own_functions_ask_for_no_other_axis() -> None:
    x = gx.input("x", ("n", 8, 6, 3))
    w = gx.constant(np.moveaxis(KERNEL, (0, 1), (3, 2)))
    assert nn.conv(x, w, strides=2, padding="same").shape == (x.shape[0], 4, 3, 4)
    assert nn.max_pool(x, 3, strides=2, padding="same").shape[1:] == (4, 3, 3)
    assert nn.resize(x, (12, 5)).shape[1:] == (12, 5, 3)
    tall = gx.input("x", (2, "h", 6, 3))
    with pytest.raises(ShapeError, match=r"got h \(axis 1 of input 0\)"):
        nn.conv(tall, w, strides=2, padding="same")
    wide = gx.input("x", (2, "h", 6, "c"))
    grouped = gx.input("w", (3, 3, "c", 4))
    assert nn.conv(wide, grouped, padding="same").shape == (2, wide.shape[1], 6, 4)


@pytest.mark.parametrize("pads", [(0, 0), (1, 1), (0, 2), (2, 0)])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_last_window_of_an_open_axis(pads: Any, size: int) -> None:
    for stride in (1, 2, 3, 4):
        arguments = {"window": size, "strides": stride, "padding": (pads,), "ceil_mode": True}
        x = gx.input("x", (1, gx.dim("n", min=4), 1))
        function = gx.compile([x], nn.max_pool(x, **arguments), target="interpret")
        for n in range(4, 10):
            array = RNG.standard_normal((1, n, 1)).astype(np.float32)
            known = gx.input("x", (1, n, 1))
            wanted = gx.compile([known], nn.max_pool(known, **arguments), target="interpret")(array)
            np.testing.assert_array_equal(function(array), wanted)
            starts = np.arange(-pads[0], n, stride)
            assert wanted.shape[1] <= len(starts)
