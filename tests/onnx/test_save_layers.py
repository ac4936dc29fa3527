"""gx.onnx.save: layers become the operators that ONNX has for them, and agree with onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc import nn
from graphc.onnx.save import to_model
from tests.onnx.test_save import check, close, normal

LAYOUTS = ("channels_last", "channels_first")


def kinds(model: Any) -> list[str]:
    """The operators of a model, without those that only change shapes."""
    views = ("Transpose", "Reshape", "Expand", "Unsqueeze", "Concat", "Shape", "Squeeze")
    return [n.op_type for n in model.graph.node if n.op_type not in views]


def image(layout: str, *sizes: Any, channels: int = 4) -> gx.Tensor:
    """An input of images."""
    shape = (*sizes, channels) if layout == LAYOUTS[0] else (channels, *sizes)
    return gx.input("x", ("batch", *shape))


def feed(x: gx.Tensor, batch: int, **sizes: int) -> dict[Any, Any]:
    """Variates for an input with one open size or more."""
    shape = [s if isinstance(s, int) else {"batch": batch, **sizes}[str(s)] for s in x.shape]
    return {x: normal(*shape)}


def vector(name: str, *shape: int) -> gx.Tensor:
    """A parameter whose elements differ, all positive."""
    return gx.parameter(name, value=np.abs(normal(*shape)) + np.float32(0.5))


def test_a_network_is_a_chain_of_operators_in_one_layout() -> None:
    x = gx.input("x", ("batch", 12, 12, 3))
    h = nn.relu(nn.BatchNorm()(nn.Conv2D(8, 3, padding=1)(x)))
    h = nn.max_pool(h, 2)
    h = h + nn.Conv2D(8, 3, padding=1)(nn.relu(nn.Conv2D(8, 1)(h)))
    h = nn.avg_pool(nn.gelu(h), 2)
    flat = gx.reshape(h, (h.shape[0], -1))
    y = nn.softmax(nn.Dense(10)(flat))
    model = check({"y": y}, feed(x, 3), feed(x, 1))
    assert kinds(model) == [
        "Conv", "BatchNormalization", "Relu", "MaxPool", "Conv", "Relu", "Conv", "Add", "Gelu",
        "AveragePool", "Gemm", "Softmax",
    ]  # fmt: skip
    parameters = {t.name for t in model.graph.initializer if t.data_type == 1}
    moved = [n for n in model.graph.node if n.op_type == "Transpose"]
    assert len([n for n in moved if n.input[0] not in parameters]) == 2  # in, and back to flatten


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"window": 2}, {"window": 3, "strides": 1, "padding": 1}, {"window": 3, "strides": 2},
        {"window": (2, 3), "strides": (2, 1), "padding": ((0, 1), (1, 0))},
        {"window": 2, "dilation": 2, "strides": 1}, {"window": 3, "padding": "same"},
        {"window": 3, "strides": 2, "ceil_mode": True},
    ],
)  # fmt: skip
def test_pooling(layout: str, arguments: dict[str, Any]) -> None:
    x = image(layout, 8, 7)
    largest = nn.max_pool(x, **arguments, layout=layout)
    means = nn.avg_pool(x, **arguments, layout=layout)
    padded = nn.avg_pool(x, **arguments, layout=layout, count_include_pad=True)
    model = check([largest, means, padded], feed(x, 2))
    assert kinds(model)[:2] == ["MaxPool", "AveragePool"]
    if not arguments.get("ceil_mode"):  # where the zeros beyond the padding do not count
        assert kinds(model) == ["MaxPool", "AveragePool", "AveragePool"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pooling_of_any_size(layout: str) -> None:
    x = image(layout, gx.dim("high", min=4), gx.dim("wide", min=4))
    outputs = [
        nn.max_pool(x, 3, strides=2, padding=1, layout=layout),
        nn.avg_pool(x, 3, strides=2, padding=1, layout=layout),
        nn.avg_pool(x, 2, layout=layout),
    ]
    model = check(outputs, feed(x, 2, high=8, wide=9), feed(x, 1, high=5, wide=4))
    assert kinds(model) == ["MaxPool", "AveragePool", "AveragePool"]


@pytest.mark.parametrize(("shape", "window"), [((2, 9, 3), 3), ((2, 5, 6, 4, 3), (2, 3, 1))])
def test_pooling_of_signals_and_volumes(shape: tuple[int, ...], window: Any) -> None:
    x = gx.input("x", shape)
    model = check([nn.max_pool(x, window), nn.avg_pool(x, window)], {x: normal(*shape)})
    assert kinds(model) == ["MaxPool", "AveragePool"]


def test_padding_as_wide_as_the_window_is_still_right() -> None:
    x = image("channels_last", 5, 5)
    check([nn.max_pool(x, 2, padding=2), nn.avg_pool(x, 2, padding=2)[:, 1:3, 1:3]], feed(x, 1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("groups", "outputs"), [(1, 6), (2, 6), (4, 4), (4, 8)])
def test_convolutions_with_bias_and_groups(layout: str, groups: int, outputs: int) -> None:
    x = image(layout, 7, 6)
    kernel = gx.parameter("kernel", value=normal(3, 2, 4 // groups, outputs))
    y = nn.conv(x, kernel, strides=(2, 1), padding=((1, 1), (0, 1)), groups=groups, layout=layout)
    bias = vector("bias", outputs)
    along = bias if layout == LAYOUTS[0] else gx.reshape(bias, (outputs, 1, 1))
    assert kinds(check({"y": y}, feed(x, 2))) == ["Conv"]
    model = check({"y": y + along}, feed(x, 2))
    assert kinds(model) == ["Conv"]
    assert model.graph.node[-1].op_type == ("Conv" if layout == LAYOUTS[1] else "Transpose")


@pytest.mark.parametrize("axis", [-1, (1, 2), (2,), (1,)])
def test_layer_normalisation(axis: Any) -> None:
    x = gx.input("x", ("batch", 4, 6))
    inner = (6,) if axis in (-1, (2,)) else (4, 6)
    scale, bias = vector("scale", *inner), vector("bias", *inner)
    if axis == (1,):  # not the last axes: means and a formula
        assert "LayerNormalization" not in kinds(check([nn.layer_norm(x, axis=1)], feed(x, 3)))
        return
    outputs = [
        nn.layer_norm(x, scale, bias, axis=axis, epsilon=1e-2), nn.layer_norm(x, scale, axis=axis),
        nn.layer_norm(x, None, bias, axis=axis, epsilon=0.5), nn.layer_norm(x, axis=axis),
    ]  # fmt: skip
    model = check(outputs, feed(x, 3), feed(x, 1))
    found = [n for n in model.graph.node if n.op_type == "LayerNormalization"]
    assert [round(n.attribute[1].f, 5) for n in found] == [0.01, 0.00001, 0.5, 0.00001]
    assert set(kinds(model)) <= {"LayerNormalization", "Add"}


@pytest.mark.parametrize(("shape", "axis"), [((3, 5), 1), ((2, 4, 5, 3), 1), ((2, 4, 5, 3), 3)])
def test_batch_normalisation(shape: tuple[int, ...], axis: int) -> None:
    x = gx.input("x", shape)
    scale, bias, mean, var = (vector(n, shape[axis]) for n in "sbmv")
    outputs = [
        nn.batch_norm(x, s, b, axis=axis, epsilon=0.1, mean=mean, variance=var)
        for s, b in ((scale, bias), (scale, None), (None, bias), (None, None))
    ]
    model = check(outputs, {x: normal(*shape)})
    assert set(kinds(model)) == {"BatchNormalization"}
    assert len(kinds(model)) == 4


def test_softmax_along_every_axis() -> None:
    x = gx.input("x", ("batch", 3, 4))
    outputs = [f(x, axis) for f in (nn.softmax, nn.log_softmax) for axis in range(3)]
    model = check(outputs, feed(x, 2), feed(x, 1))
    assert kinds(model) == ["Softmax"] * 3 + ["LogSoftmax"] * 3


def test_activations_and_means() -> None:
    x = gx.input("x", ("batch", 5, 6, 4))
    outputs = {
        "Gelu": nn.gelu(x), "Gelu2": nn.gelu(x, approximate=True), "Mish": nn.mish(x),
        "LeakyRelu": nn.leaky_relu(x, 0.3), "Elu": nn.elu(x, 1.5), "Selu": nn.selu(x),
        "HardSwish": nn.hard_silu(x), "HardSigmoid": nn.hard_sigmoid(x),
        "ReduceMean": gx.mean(x, (1, 2)), "ReduceMean2": gx.mean(x, 2, keepdims=True),
    }  # fmt: skip
    model = check(outputs, feed(x, 2))
    assert kinds(model) == [name.rstrip("2") for name in outputs]
    half = gx.input("half", (3, 4), dtype="float64")
    model = to_model({"y": nn.softmax(half)})  # runtimes have some of them in float32 alone
    assert "Softmax" not in kinds(model)


def test_what_only_looks_like_a_layer_is_none() -> None:
    x, y = gx.input("x", (3, 4)), gx.input("y", (3, 4))
    powers = gx.exp(x - gx.max(x, axis=1, keepdims=True))
    other = gx.exp(y - gx.max(x, axis=1, keepdims=True))
    scaled = nn.layer_norm(x) * vector("s", 3, 1)
    outputs = [
        powers / gx.sum(other, axis=1, keepdims=True), powers / gx.sum(powers, axis=0), scaled,
        gx.where(x > 0, x, y * 0.3), 0.5 * x * (1.0 + gx.erf(x * 0.7)),
    ]  # fmt: skip
    model = check(outputs, {x: normal(3, 4), y: normal(4, 3).T.copy()})
    assert not {"Softmax", "LeakyRelu", "Gelu"} & set(kinds(model))


def test_layers_inside_loops() -> None:
    xs = gx.input("xs", ("time", 2, 6))
    scale = vector("scale", 6)
    last, ys = gx.scan(lambda c, row: ((n := nn.layer_norm(c + row, scale)), nn.softmax(n)),
                       gx.zeros((2, 6)), xs)  # fmt: skip
    model = check([last, ys], {xs: normal(3, 2, 6)})
    (scan,) = (n for n in model.graph.node if n.op_type == "Scan")
    (body,) = (a.g for a in scan.attribute if a.name == "body")
    assert [n.op_type for n in body.node if n.op_type != "Identity"] == [
        "Add", "LayerNormalization", "Softmax",
    ]  # fmt: skip


# --------------------------------------------------------------------- arrays in a second file


def dense(width: int) -> tuple[gx.Tensor, gx.Tensor]:
    """An input and a product with a parameter."""
    x = gx.input("x", ("batch", width))
    return x, x @ gx.parameter("w", value=normal(width, 32)) + vector("b", 32)


def test_arrays_in_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = dense(64)
    gx.onnx.save(tmp_path / "one.onnx", {"y": y})
    gx.onnx.save(tmp_path / "two.onnx", {"y": y}, external=True)
    monkeypatch.setattr(sys.modules["graphc.onnx.save"], "MAX_FILE_BYTES", 8000)
    gx.onnx.save(tmp_path / "large.onnx", {"y": y})
    gx.onnx.save(tmp_path / "kept.onnx", {"y": y}, external=False)
    names = ["kept.onnx", "large.onnx", "large.onnx.data", "one.onnx", "two.onnx", "two.onnx.data"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert (tmp_path / "two.onnx.data").stat().st_size >= 64 * 32 * 4
    assert (tmp_path / "two.onnx").stat().st_size < 2000
    a = normal(3, 64)
    wanted = gx.compile([x], y)(a)
    runtime = pytest.importorskip("onnxruntime")
    for name in ("one.onnx", "two.onnx", "large.onnx"):
        onnx.checker.check_model(tmp_path / name, full_check=True)
        (found,) = runtime.InferenceSession(tmp_path / name).run(None, {"x": a})
        close(found, wanted)
        again = gx.onnx.load(tmp_path / name)
        close(gx.compile([again.inputs["x"]], again.outputs["y"])(a), wanted)


def test_a_second_file_that_cannot_be_written_names_the_model(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"model\.onnx"):
        gx.onnx.save(tmp_path / "none" / "model.onnx", dense(8)[1], external=True)


@pytest.mark.slow
def test_a_model_above_two_gigabytes(tmp_path: Path) -> None:
    rows = 2**21 + 1000
    table = gx.parameter("table", value=np.arange(rows, dtype=np.float32)[:, None].repeat(256, 1))
    at = gx.input("at", (3,), dtype="int64")
    gx.onnx.save(tmp_path / "model.onnx", {"y": table[at]})
    assert (tmp_path / "model.onnx.data").stat().st_size == rows * 1024 > 2**31
    runtime = pytest.importorskip("onnxruntime")
    places = np.array([0, rows - 1, 2**20])
    (found,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {"at": places})
    np.testing.assert_array_equal(found[:, -1], places)
    again = gx.onnx.load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(again.parameters["table"].value[places, 0], places)


@pytest.mark.parametrize(
    "equation",
    ["bik,bkj->bij", "bik,bjk->bij", "bki,bkj->bij", "bik,kj->bij", "ki,bkj->bij", "bik,bkj->bji",
     "ik,jk->ij", "ki,jk->ji", "bthd,bshd->bhts", "bhts,bshd->bhtd", "bcik,bcjk->bcij",
     "ik,kj->ji"],
)  # fmt: skip
def test_products_of_matrices_in_any_order_of_axes(equation: str) -> None:
    sizes = {"b": 2, "c": 3, "h": 3, "i": 4, "j": 5, "k": 6, "t": 4, "s": 5, "d": 6}
    left, right = equation.split("->")[0].split(",")
    a, b = (gx.input(n, tuple(sizes[i] for i in t)) for n, t in (("a", left), ("b", right)))
    feeds = {a: normal(*a.shape), b: normal(*b.shape)}
    assert kinds(check({"y": gx.einsum(equation, a, b)}, feeds)) == ["MatMul"]


@pytest.mark.parametrize("equation", ["bi,bj->ij", "aik,bkj->abij", "ikl,klj->ij", "abi,bai->ab"])
def test_other_products_are_sums_over_labels(equation: str) -> None:
    left, right = equation.split("->")[0].split(",")
    sizes = {"a": 2, "b": 2, "i": 4, "j": 5, "k": 6, "l": 3}
    a, b = (gx.input(n, tuple(sizes[i] for i in t)) for n, t in (("a", left), ("b", right)))
    check({"y": gx.einsum(equation, a, b)}, {a: normal(*a.shape), b: normal(*b.shape)})
