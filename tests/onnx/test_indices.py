"""Indices at and beyond both ends of every axis: right values, or an error that names the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc.errors import FormatError, RuntimeCheckError
from graphc.testing import assert_close

SHAPE = (2, 3, 4)
X = np.arange(24, dtype=np.float32).reshape(SHAPE)
HEAD = '<ir_version: 10, opset_import: ["" : {opset}]>\n'


def loaded(text: str, target: str = "cpu", opset: int = 18) -> Any:
    """The compiled function of a model in the format's text."""
    model = gx.onnx.load(onnx.parser.parse_model(HEAD.format(opset=opset) + text))
    (y,) = model.outputs.values()
    return gx.compile(list(model.inputs.values()), y, target=target)


def gather(axis: int) -> str:
    """Operator, and the shape of what an index of one place names."""
    return f"Gather <axis = {axis}> (x, i)"


def elements(axis: int) -> str:
    return f"GatherElements <axis = {axis}> (x, i)"


def scatter(axis: int) -> str:
    return f"ScatterElements <axis = {axis}> (x, i, u)"


def along(axis: int, place: int) -> np.ndarray[Any, Any]:
    """An index with a size of 1 on every axis, also where x has more."""
    return np.full((1, 1, 1), place)


def spelled(axis: int, place: int) -> np.ndarray[Any, Any]:
    """One position, the last of the other axes."""
    return np.array([[place if i == axis else -1 for i in range(3)]])


OPERATORS: dict[str, tuple[Callable[[int], str], Callable[[int, int], Any], tuple[int, ...]]] = {
    "Gather": (gather, lambda axis, place: np.array([place]), ()),
    "GatherElements": (elements, along, ()),
    "GatherND": (lambda axis: "GatherND (x, i)", spelled, ()),
    "ScatterElements": (scatter, along, (1, 1, 1)),
    "ScatterND": (lambda axis: "ScatterND (x, i, u)", spelled, (1,)),
    "ScatterND of fewer axes": (
        lambda axis: "ScatterND (x, i, u)", lambda axis, place: spelled(axis, place)[:, : axis + 1],
        (),
    ),
}  # fmt: skip


def written(name: str, axis: int, place: int) -> np.ndarray[Any, Any]:
    """What numpy makes of it."""
    _, index, _ = OPERATORS[name]
    i, y = index(axis, place), X.copy()
    if name == "Gather":
        return X.take(i, axis)
    if name == "GatherND":
        return X[tuple(i.T)]
    key = tuple(place if k == axis else 0 for k in range(3))
    if name == "GatherElements":
        return X[key].reshape(1, 1, 1)
    y[key if name == "ScatterElements" else tuple(i.T)] = -1.0
    return y


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("known", [True, False])
def test_every_axis(name: str, axis: int, target: str, known: bool) -> None:
    text, index, shape = OPERATORS[name]
    sizes = (
        "2, 3, 4" if known else ", ".join(f"n{k}" if k == axis else str(SHAPE[k]) for k in range(3))
    )
    i = index(axis, 0)
    if name.endswith("axes"):
        shape = (1, *SHAPE[axis + 1 :])
        sizes = "2, 3, 4" if known or axis < 2 else sizes
    parts = [f"float[{sizes}] x", f"int64[{', '.join(map(str, i.shape))}] i"]
    arrays = [np.full(shape, -1.0, np.float32)] if shape else []
    parts += [f"float[{', '.join(map(str, shape))}] u"] * bool(shape)
    f = loaded(
        f"g ({', '.join(parts)}) => (float[?, ?, ?] y) {{ [the_node] y = {text(axis)} }}", target
    )
    size = SHAPE[axis]
    for place in (0, size - 1, -1, -size):
        got = f(X, index(axis, place), *arrays)
        np.testing.assert_array_equal(got, written(name, axis, place))
    for place in (size, size + 1, -size - 1, -size - 2, 2**40, -(2**40)):
        with pytest.raises(RuntimeCheckError, match="out of range") as caught:
            f(X, index(axis, place), *arrays)
        assert f"node the_node ({name.split()[0]}, opset 18)" in str(caught.value)


def test_a_part_of_the_other_axes() -> None:
    """Scattered elements whose index is smaller elsewhere, all reductions, both signs."""
    rng = np.random.default_rng(0)
    for axis, shape in ((0, (5, 2, 3)), (1, (1, 6, 4)), (2, (2, 1, 5))):
        for reduction in ("none", "add", "mul", "max", "min"):
            index = rng.integers(-SHAPE[axis], SHAPE[axis], shape)
            index = np.argsort(rng.random(shape), axis) % SHAPE[axis] - SHAPE[axis]
            updates = rng.standard_normal(shape).astype(np.float32)
            sizes = ", ".join(map(str, shape))
            text = f"""g (float[2, 3, 4] x, int64[{sizes}] i, float[{sizes}] u)
                => (float[2, 3, 4] y) {{
                y = ScatterElements <axis = {axis}, reduction = "{reduction}"> (x, i, u)
            }}"""
            want = X.copy()
            for place in np.ndindex(shape):
                key = tuple(index[place] if k == axis else place[k] for k in range(3))
                u, old = updates[place], want[key]
                want[key] = {
                    "none": u, "add": old + u, "mul": old * u, "max": max(old, u),
                    "min": min(old, u),
                }[reduction]  # fmt: skip
            assert_close(loaded(text)(X, index, updates), want, tolerance="ulps", each=True)


def test_indices_and_updates_of_other_shapes_are_refused() -> None:
    with pytest.raises(FormatError, match=r"the indices i64\[2,5,4\] are larger than .* axis 1"):
        loaded(
            "g (float[2,1,4] x, int64[2,5,4] i) => (float[2,5,4] y) { y = GatherElements (x, i) }"
        )
    with pytest.raises(FormatError, match=r"updates must be \[2,3\], got f32\[2,1\]"):
        loaded(
            "g (float[4,3] x, int64[2,1] i, float[2,1] u)"
            " => (float[4,3] y) { y = ScatterND (x, i, u) }"
        )
    with pytest.raises(FormatError, match=r"indices i64\[2,3\] spell no positions of f32\[4,3\]"):
        loaded(
            "g (float[4,3] x, int64[2,3] i, float[2] u)"
            " => (float[4,3] y) { y = ScatterND (x, i, u) }"
        )


def test_places_in_a_batch() -> None:
    """A position may not run into the next example."""
    f = loaded(
        "g (float[2,3] x, int64[2,1] i)"
        " => (float[2] y) { [n] y = GatherND <batch_dims = 1> (x, i) }"
    )
    x = X[:, :, 0]
    np.testing.assert_array_equal(f(x, np.array([[2], [-3]])), [x[0, 2], x[1, 0]])
    for wrong in ([[3], [0]], [[0], [-4]]):
        with pytest.raises(RuntimeCheckError, match="out of range for axis 1 of size 3"):
            f(x, np.array(wrong))


def test_positions_that_do_not_count_from_the_end() -> None:
    text = """g (float[2,1,5,3] x, float[2,1,2,3] u, int64[2] i) => (float[2,1,5,3] y) {
        [n] y = TensorScatter <axis = -2, mode = "linear"> (x, u, i)
    }"""
    f = loaded(text, opset=24)
    x, u = np.zeros((2, 1, 5, 3), np.float32), np.ones((2, 1, 2, 3), np.float32)
    assert f(x, u, np.array([0, 3]))[1, 0, 3:].all()
    for wrong in ([4, 0], [0, -1]):
        with pytest.raises(RuntimeCheckError, match="an index is not from 0 to 4"):
            f(x, u, np.array(wrong))
    text = """g (float[1,1,2,2] x, int64[1,1,2,2] i) => (float[1,1,4,4] y) {
        [n] y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (x, i)
    }"""
    f = loaded(text)
    x = np.ones((1, 1, 2, 2), np.float32)
    assert f(x, np.array([0, 3, 14, 15]).reshape(x.shape)).sum() == 4
    for place in (16, -1):
        with pytest.raises(RuntimeCheckError, match="an index is not from 0 to 15"):
            f(x, np.array([0, 3, 14, place]).reshape(x.shape))
    text = """g (float[2,1,4,4] x, float[1,4] r, int64[1] i) => (float[1,1,2,2] y) {
        [n] y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 1> (x, r, i)
    }"""
    f = loaded(text)
    x, r = np.ones((2, 1, 4, 4), np.float32), np.array([[0, 0, 3, 3]], np.float32)
    f(x, r, np.array([1]))
    for place in (2, -1):
        with pytest.raises(RuntimeCheckError, match="an index is not from 0 to 1"):
            f(x, r, np.array([place]))


@pytest.mark.parametrize("bad", [(0, 4), (0, -5), (2, 0), (-3, 0)])
def test_derivatives_check_too(bad: tuple[int, int]) -> None:
    model = gx.onnx.load(
        onnx.parser.parse_model(
            HEAD.format(opset=18) + "g (float[2,4] x, int64[1,2] i, float[1] u)"
            " => (float[2,4] y) { y = ScatterND (x, i, u) }"
        )
    )
    x, i, u = model.inputs.values()
    d = gx.grad(gx.sum(gx.square(model.outputs["y"])), [x, u])
    f = gx.compile([x, i, u], tuple(d))
    a = np.arange(8, dtype=np.float32).reshape(2, 4)
    dx, du = f(a, np.array([[-1, 0]]), np.array([9.0], np.float32))
    np.testing.assert_array_equal(dx, 2 * np.where(a == 4, 0, a))
    np.testing.assert_array_equal(du, [18])
    with pytest.raises(RuntimeCheckError):
        f(a, np.array([bad]), np.array([9.0], np.float32))
