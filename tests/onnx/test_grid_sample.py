"""GridSample in all its modes beside onnxruntime, and beside a wider image with the same border."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import graphc as gx
from graphc.errors import FormatError
from graphc.testing import assert_close

RNG = np.random.default_rng(0)


def model(x: Any, grid: Any, **attributes: Any) -> Any:
    """A model of one GridSample."""
    declared = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(a.shape))
        for name, a in (("x", x), ("grid", grid))
    ]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], **attributes)
    graph = helper.make_graph([node], "g", declared, [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def ours(x: Any, grid: Any, **attributes: Any) -> Any:
    """What the interpreter makes of it."""
    loaded = gx.onnx.load(model(x, grid, **attributes))
    (y,) = loaded.outputs.values()
    return gx.compile(list(loaded.inputs.values()), y, target="interpret")(x, grid)


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_all_modes(mode: str, padding: str, corners: int) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the other implementation")
    shapes = [(3, 4), (5, 2), (1, 3)] + [(2, 3, 4)] * (mode != "cubic")
    for sizes in shapes:
        x = RNG.standard_normal((2, 3, *sizes)).astype(np.float32)
        drawn = RNG.uniform(-2.6, 2.6, (2, *(7, 5, 3)[: len(sizes)], len(sizes)))
        options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
        for grid in (drawn, np.round(drawn * 8) / 8):
            feed = {"x": x, "grid": grid.astype(np.float32)}
            session = runtime.InferenceSession(model(**feed, **options).SerializeToString())
            assert_close(ours(**feed, **options), session.run(None, feed)[0])


@pytest.mark.parametrize("corners", [0, 1])
def test_cubic_beyond_the_border_is_cubic_on_a_wider_image(corners: int) -> None:
    """The border moves each tap inside, not the place; the reference evaluator moves the place."""
    x = RNG.standard_normal((1, 2, 4, 5)).astype(np.float32)
    wide = np.pad(x, ((0, 0), (0, 0), (8, 8), (8, 8)), mode="edge")
    grid = RNG.uniform(-2.0, 2.0, (1, 6, 6, 2)).astype(np.float32)
    sizes, wider = (np.array([n[3], n[2]]) for n in (x.shape, wide.shape))
    moved = grid * (sizes - corners) / (wider - corners)  # both centres are the same
    options = {"mode": "cubic", "align_corners": corners}
    wanted = ours(wide, moved.astype(np.float32), padding_mode="zeros", **options)
    assert_close(ours(x, grid, padding_mode="border", **options), wanted, each=True, floor=10.0)


def test_a_grid_of_another_rank_is_refused() -> None:
    with pytest.raises(FormatError, match=r"a grid .* names no places of"):
        ours(np.ones((1, 1, 3, 3), np.float32), np.ones((1, 2, 2, 3), np.float32))
