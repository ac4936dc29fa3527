"""Resize in all its modes beside onnxruntime, sizes known and not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphc as gx
from graphc.onnx.errors import UnknownValueError
from graphc.testing import assert_close

COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
)  # fmt: skip
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
FACTORS = (2.0, 3.0, 2.5, 0.5, 0.7, 1.5, 0.3, 1.2, 3.3, 1 / 3)


def model(shape: tuple[Any, ...], attributes: Any, scales: Any = None, sizes: Any = None) -> Any:
    """A model of one Resize of a tensor of floats."""
    inputs = ["x", "", "s" if scales is not None else "", "z" if sizes is not None else ""]
    stored = []
    if scales is not None:
        stored.append(numpy_helper.from_array(np.array(scales, np.float32), "s"))
    if sizes is not None:
        stored.append(numpy_helper.from_array(np.array(sizes, np.int64), "z"))
    node = helper.make_node("Resize", inputs[: 3 if sizes is None else 4], ["y"], **attributes)
    of = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in (("x", list(shape)), ("y", [None] * len(shape)))
    ]
    graph = helper.make_graph([node], "g", of[:1], of[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def ours(proto: Any, x: Any) -> Any:
    """What the interpreter makes of it."""
    loaded = gx.onnx.load(proto)
    (y,) = loaded.outputs.values()
    return gx.compile(list(loaded.inputs.values()), y, target="interpret")(x)


def theirs(proto: Any, x: Any) -> Any:
    """What onnxruntime makes of it."""
    runtime = pytest.importorskip("onnxruntime", reason="the other implementation")
    runtime.set_default_logger_severity(4)
    return runtime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]


def numbers(*shape: int) -> Any:
    """Different numbers in no order."""
    count = int(np.prod(shape))
    return np.random.default_rng(count).permutation(count).astype(np.float32).reshape(shape)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", [*NEAREST, "linear"])
def test_one_axis(mode: str, coordinates: str) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode in NEAREST:
        attributes |= {"mode": "nearest", "nearest_mode": mode}
    cases = [(n, {"scales": [1, 1, s]}) for n in (1, 2, 3, 5, 7, 10) for s in FACTORS]
    cases += [(n, {"sizes": [1, 1, z]}) for n in (1, 2, 5, 7) for z in (1, 2, 4, 5, 11, 13)]
    for n, how in cases:
        proto, x = model((1, 1, n), attributes, **how), numbers(1, 1, n)
        got, want = ours(proto, x), theirs(proto, x)
        assert got.shape == want.shape, (n, how)
        assert_close(got, want, message=f"{n} {how}")


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_two_axes(mode: str, coordinates: str) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    for sizes, scales in itertools.product(((4, 5), (7, 3)), ((2.0, 0.7), (1.5, 3.0), (2.5, 1.0))):
        proto, x = model((1, 2, *sizes), attributes, [1, 1, *scales]), numbers(1, 2, *sizes)
        got, want = ours(proto, x), theirs(proto, x)
        assert got.shape == want.shape
        assert_close(got, want, message=f"{sizes} {scales}")


@pytest.mark.parametrize("coordinates", [c for c in COORDINATES if c != "align_corners"])
@pytest.mark.parametrize("mode", NEAREST)
def test_whole_factors_of_sizes_that_are_not_known(mode: str, coordinates: str) -> None:
    attributes = {"mode": "nearest", "nearest_mode": mode}
    attributes["coordinate_transformation_mode"] = coordinates
    for factor in (1, 2, 3, 4, 5):
        proto = model((1, "C", "W"), attributes, [1, 1, factor])
        loaded = gx.onnx.load(proto)
        (y,) = loaded.outputs.values()
        f = gx.compile(list(loaded.inputs.values()), y, target="interpret")
        for n in (1, 2, 4, 9):
            x = numbers(1, 2, n)
            np.testing.assert_array_equal(f(x), theirs(proto, x), err_msg=f"{n} {factor}")


def test_only_the_axes_that_change_must_be_known() -> None:
    linear = {"mode": "linear"}
    proto = model(("N", "C", 4), linear, [1, 1, 2.5])
    assert str(gx.onnx.load(proto).outputs["y"].type) == "f32[N,C,10]"
    assert_close(ours(proto, numbers(2, 3, 4)), theirs(proto, numbers(2, 3, 4)), each=True)
    with pytest.raises(UnknownValueError, match=r"size of axis 1 of its input 0 \(X\)"):
        gx.onnx.load(model(("N", "C", 4), linear, [1, 2, 2.5]))


def test_a_crop_is_made_also_where_the_size_stays() -> None:
    """onnxruntime copies then, which is not what the format says."""
    attributes = {
        "mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize",
    }  # fmt: skip
    proto = model((5,), attributes, sizes=[5])
    proto.graph.node[0].input[1] = "roi"
    roi = np.array([0.25, 0.75], np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(roi, "roi"))
    np.testing.assert_allclose(ours(proto, np.arange(5, dtype=np.float32)), [1, 1.5, 2, 2.5, 3])


def test_a_size_that_float32_rounds_up() -> None:
    """0.7 in float32 is less than 0.7, ten times it is 7, as torch and onnxruntime have it."""
    proto = model((10,), {"mode": "nearest"}, [0.7])
    assert ours(proto, numbers(10)).shape == (7,)
    assert ours(model((1,), {"mode": "linear"}, [0.7]), numbers(1)).shape == (0,)
